#!/usr/bin/env python3
"""Compiles instances of the CUDA texts with NVRTC, without a GPU, and prints registers, shared memory and stack of each kernel. Fails where a text does not
compile or a kernel spills registers that is not in SPILLS: check_cuda_texts.py [ARCHITECTURE …] (default: all that we build for). NVRTC:
scripts/setup_cuda.sh, REPRISE_CUDA_PATH or a toolkit."""

import ctypes
import multiprocessing
import os
import pathlib
import re
import sys

ARCHITECTURES = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"]
ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ROOT / "src/kernels/cuda/text"
NARROW, WIDE = "Keyed<u32_t, u32_t>", "Keyed<u64_t, i64_t>"
NORM = "NormRows<f16_t, f16_t, f16_t, f32_t, f32_t, i32_t>"
GROUPS = "BeginsGroup<f32_t, u32_t, i32_t>"

# Written at run time otherwise: what follows a sum, and whole kernels of reductions and scalar programs.
FUSED = """
#include "scalar.cuh"
struct Fused {
  const f16_t* e0;
  __device__ f32_t operator()(f32_t value, i64_t offset) const { return op_maximum(op_tanh(value) * widen(e0[offset]), 0.5f); }
};
"""
REDUCE = """
template <class Fold, class T>
__global__ void __launch_bounds__(256) reduce_rows(const T* __restrict__ x, f32_t* y, i32_t count) {
  typename Fold::State state = Fold::start();
  for (i32_t i = threadIdx.x; i < count; i += 256) state = Fold::add(state, widen(x[blockIdx.x * count + i]), i);
  state = merge_block<Fold, 1, 256, true>(state, 0, threadIdx.x);
  if (threadIdx.x == 0) y[blockIdx.x] = Fold::template finish<f32_t>(state);
}
"""
POINTWISE = """
template <class T>
__global__ void __launch_bounds__(256) ordinary(const T* __restrict__ x, T* y, i32_t count) {
  const i32_t i = blockIdx.x * 256 + threadIdx.x;
  if (i < count) y[i] = convert<T>(op_erf(widen(x[i])) * op_exp(widen(x[i])) + op_pow(widen(x[i]), widen(x[i])));
}
"""
SPECIAL = """
__global__ void __launch_bounds__(256) special(const f64_t* __restrict__ x, f64_t* y, i32_t count) {
  const i32_t i = blockIdx.x * 256 + threadIdx.x;
  if (i < count) y[i] = op_igamma(x[i], y[i]) + op_zeta(x[i], y[i]) + op_digamma(x[i]) + op_i0e(x[i]) + op_ndtri(x[i]);
}
"""
TEXT_AFTER = {"conv_direct.cuh": FUSED, "gemm_cluster.cuh": FUSED, "gemm_fma.cuh": FUSED, "gemm_mma.cuh": FUSED, "gemm_reduce.cuh": FUSED,
              "reduce.cuh": REDUCE, "scalar.cuh": POINTWISE, "special.cuh": SPECIAL}

# Kernels that may spill, and why.
SPILLS = {
    r"attention_mma<\w+, 256, 256,": "a thread's sums of 256 values and its scores are more than 255 registers",
    r"conv_direct<": "around the call of 64-bit division, once an output",
    r"gemm_mma<\w+(, \d+){8}, 2,": "around the call of 64-bit division, once a row",
    r"attention_mma<bf16_t, 128, 128": "36 bytes at most, where a thread's sums and scores take all registers of sm_100 and sm_120",
    r"gemm_fma<(u64_t|bool)": "24 bytes at most, around the call of 64-bit division, once a row",
    r"gemm_mma<f16_t, 32, 32": "36 bytes at most, around the call of 64-bit division, once a row",
}

INSTANCES = {
    "attention_fma.cuh": ["attention_fma<f32_t, float, false, bool>", "attention_fma<f32_t, float, true, f32_t>", "attention_fma<f64_t, double, true, bool>"],
    "attention_mma.cuh": ["attention_mma<f16_t, 64, 64, 4, 1, 64, 0, false, bool>", "attention_mma<bf16_t, 128, 128, 2, 2, 32, 0, true, bf16_t>",
                          "attention_mma<f16_t, 80, 80, 1, 4, 32, 2, true, f32_t>", "attention_mma<f16_t, 256, 256, 4, 1, 64, 0, true, bool>"],
    "check.cuh": ["check"],
    "conv_direct.cuh": ["conv_direct<f16_t, f32_t, 1, true, NoFinish>", "conv_direct<f32_t, f32_t, 2, false, Fused>", "conv_direct<f64_t, f64_t, 1, false, NoFinish>",
                        "conv_depthwise<f16_t, 8, 3, 3, 4, true, NoFinish>", "conv_depthwise<bf16_t, 8, 3, 3, 2, false, Fused>",
                        "conv_depthwise<f32_t, 4, 5, 5, 1, false, Fused>"],
    "gemm_cluster.cuh": ["gemm_cluster<f16_t, false, 128, 128, 64, 4, 2, 1, 4, 8, false, 2, NoFinish>", "gemm_cluster<bf16_t, false, 128, 64, 64, 4, 2, 1, 4, 8, false, 1, Fused>",
                         "gemm_cluster<f16_t, false, 64, 128, 64, 2, 4, 1, 4, 8, true, 0, Fused>", "gemm_cluster<bf16_t, false, 64, 64, 64, 2, 2, 1, 5, 8, false, 0, NoFinish>",
                         "gemm_cluster<f16_t, false, 32, 64, 64, 2, 2, 1, 6, 4, false, 1, Fused>", "gemm_cluster<bf16_t, false, 64, 32, 64, 2, 2, 1, 6, 8, true, 0, NoFinish>",
                         "gemm_cluster<f16_t, false, 32, 32, 64, 2, 2, 1, 8, 8, false, 2, Fused>", "gemm_cluster<bf16_t, false, 16, 64, 64, 1, 4, 2, 8, 8, false, 0, Fused>",
                         "gemm_cluster<f16_t, false, 16, 32, 64, 1, 2, 4, 8, 4, false, 0, NoFinish>", "gemm_cluster<f16_t, false, 16, 64, 128, 1, 4, 2, 5, 8, false, 2, Fused>",
                         "gemm_cluster<f16_t, true, 64, 32, 64, 4, 1, 2, 8, 8, false, 2, Fused>", "gemm_cluster<bf16_t, true, 64, 64, 64, 4, 1, 1, 6, 4, false, 1, NoFinish>",
                         "gemm_cluster<f16_t, true, 64, 64, 64, 4, 1, 2, 6, 8, false, 2, Fused>", "gemm_cluster<bf16_t, true, 64, 128, 64, 4, 1, 2, 5, 8, false, 0, Fused>",
                         "gemm_cluster<f16_t, true, 128, 128, 64, 8, 1, 1, 4, 8, false, 2, Fused>",
                         "gemm_cluster<f16_t, true, 128, 128, 64, 8, 1, 1, 4, 8, false, 0, NoFinish, false>", "gemm_cluster<bf16_t, false, 16, 32, 64, 1, 2, 4, 8, 4, false, 0, Fused, false>"],
    "gemm_fma.cuh": ["gemm_fma<f32_t, 128, 128, 8, 8, 0, true, false, false, NoFinish>", "gemm_fma<f32_t, 64, 64, 4, 4, 1, false, true, false, Fused>",
                     "gemm_fma<f32_t, 64, 64, 4, 4, 2, true, true, true, NoFinish>", "gemm_fma<f64_t, 64, 64, 4, 4, 0, true, true, false, NoFinish>",
                     "gemm_fma<u64_t, 64, 64, 4, 4, 0, false, true, false, NoFinish>", "gemm_fma<bool, 32, 32, 2, 2, 0, true, true, false, NoFinish>"],
    "gemm_mma.cuh": ["gemm_mma<f16_t, 128, 128, 32, 2, 4, 4, 0, 0, 0, 0, NoFinish>", "gemm_mma<bf16_t, 128, 128, 32, 2, 4, 4, 0, 1, 0, 0, Fused>",
                     "gemm_mma<f16_t, 128, 128, 32, 2, 4, 4, 3, 2, 1, 2, Fused>", "gemm_mma<f16_t, 64, 64, 64, 2, 2, 3, 0, 0, 1, 0, Fused>",
                     "gemm_mma<bf16_t, 32, 64, 64, 2, 2, 4, 0, 0, 2, 1, NoFinish>", "gemm_mma<f16_t, 32, 32, 64, 2, 2, 4, 2, 3, 0, 3, NoFinish>"],
    "gemm_reduce.cuh": ["gemm_reduce<f16_t, f32_t, Fused>", "gemm_reduce<f64_t, f64_t, NoFinish>"],
    "indexing.cuh": ["read_blocks<Vector<u64_t, 2>, i32_t, 1>", "read_blocks<u16_t, i64_t, 3>", "write_few_blocks<u32_t, i32_t, 1>", "find_last<u32_t, i32_t, 2>",
                     "write_last_blocks<u64_t, u64_t, i64_t, 1>"],
    "iota.cuh": ["iota<f16_t, f64_t>", "iota<i64_t, i64_t>"],
    "join.cuh": ["pad<u16_t, kReflect, i32_t>", "pad<Vector<u64_t, 2>, kConstant, i64_t>", "concat<Vector<u64_t, 2>, 4, i32_t>", "concat<u8_t, 16, i64_t>"],
    "nms.cuh": ["find_covers<f16_t, f32_t, u32_t>", "keep_boxes<u32_t>"],
    "norm.cuh": [f"norm_short<{NORM}, 8, 4, true, true, false, i32_t>", f"norm_short<{NORM}, 8, 4, false, true, true, i32_t>", f"norm_long<{NORM}, 8, true, true, true, i32_t>",
                 f"norm_long<{NORM}, 1, false, false, false, i32_t>", "norm_channels<f32_t, f32_t, f32_t, f32_t, f32_t, i64_t>"],
    "random.cuh": ["draw<f32_t, kNormal, i32_t>", "draw<i64_t, kIntegers, i64_t>", "count_run"],
    "reduce.cuh": ["reduce_rows<Sum<float>, f16_t>", "reduce_rows<ArgExtreme<f32_t, true>, bf16_t>", "reduce_rows<Max<f64_t>, f64_t>"],
    "scalar.cuh": ["ordinary<f16_t>", "ordinary<f32_t>", "ordinary<f64_t>"],
    "scan.cuh": ["scan_across<RunningSum<f64_t>, f32_t, f32_t, i32_t>", "scan_chunks<RunningSum<f64_t>, true, f32_t, f32_t, i32_t>",
                 "scan_chunks<RunningExtreme<f32_t, true>, false, f32_t, f32_t, i64_t>", "scan_totals<RunningLogSumExp<f64_t>>"],
    "search.cuh": ["search_sorted<f16_t, f32_t, i64_t, true, i32_t>", "search_sorted<i64_t, u8_t, i32_t, false, i64_t>"],
    "segments.cuh": ["number_targets<u32_t, i32_t, 1>", "combine_blocks<kSum, f16_t, u32_t, u32_t, i32_t, 1>", "combine_blocks<kMean, i32_t, u64_t, i64_t, i64_t, 2>"],
    "select.cuh": ["count_chosen<IsNonzero<f16_t, i32_t>>", "put_chosen<IsNonzero<f16_t, i64_t>, PutIndices<i64_t>>", "repeat_indices<i32_t>"],
    "softmax.cuh": ["softmax_short<f16_t, 8, 4, false, i32_t>", "softmax_short<f32_t, 4, 8, true, i32_t>", "softmax_long<bf16_t, 8, false, i32_t>",
                    "softmax_across<f64_t, true, i64_t>"],
    "sort.cuh": [f"sort_tiles<{NARROW}, 256, Values<f16_t, {NARROW}, i32_t>, ToTensors<u16_t, {NARROW}, i32_t>, ByKey>",
                 f"sort_tiles<{WIDE}, 256, Values<i64_t, {WIDE}, i64_t>, ToSorted<{WIDE}>, ByKey>",
                 f"merge_runs<{NARROW}, 256, Sorted<{NARROW}>, ToSorted<{NARROW}>, ByKey>", f"merge_runs<{WIDE}, 256, Sorted<{WIDE}>, ToTensors<u64_t, {WIDE}, i64_t>, ByKey>",
                 f"copy_elements<Sorted<{NARROW}>, ToTensors<u32_t, {NARROW}, i32_t>>"],
    "special.cuh": ["special"],
    "strided_copy.cuh": ["strided_copy<1>", "strided_copy<8>"],
    "unique.cuh": ["sort_tiles<Slice, 256, AllSlices, SortedSlices, BySlices<f32_t, i32_t>>", f"put_chosen<{GROUPS}, PutGroups<u32_t>>", "put_unique<f32_t, u32_t, i32_t>"],
    "windows.cuh": ["pool<f16_t, Maximum, false, 8, i32_t>", "pool<u8_t, Average, true, 1, i64_t>", "pool_whole<f16_t, Average, 8, 4, i32_t>", "pool_plane<bf16_t, Maximum, 3, 3, 8, i32_t>",
                    "pool_whole<f64_t, Maximum, 1, 1, i64_t>", "pool_wide<f16_t, Average, true, true, i32_t>",
                    "pool_wide<f64_t, Maximum, true, false, i32_t>", "resize<f16_t, f32_t, kLinear, 1, i32_t>", "resize<f64_t, f64_t, kCubicAntialias, 1, i64_t>"],
}


def load_nvrtc():
    folders = [*filter(None, os.environ.get("REPRISE_CUDA_PATH", "").split(":")), str(ROOT / ".cuda/nvidia/cu13/lib"), "/usr/local/cuda/lib64", ""]
    for folder in folders:
        for name in ("libnvrtc.so.13", "libnvrtc.so.12"):
            try:
                library = ctypes.CDLL(os.path.join(folder, name))
            except OSError:
                continue
            for part in pathlib.Path(folder or ".").glob("libnvrtc-builtins.so.*"):  # NVRTC looks for it by name alone
                ctypes.CDLL(str(part))
            return library
    sys.exit("NVRTC is not to be found (scripts/setup_cuda.sh brings it)")


class Nvrtc:
    def __init__(self):
        self.library = load_nvrtc()

    def log_of(self, program):
        size = ctypes.c_size_t()
        self.library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.library.nvrtcGetProgramLog(program, log)
        return log.value.decode()

    def lowered(self, program, entry):
        name = ctypes.c_char_p()
        self.library.nvrtcGetLoweredName(program, entry.encode(), ctypes.byref(name))
        return name.value.decode()

    def compile(self, text, architecture):
        """Whether it compiled, the log, and the instances by the names that the log has for them."""
        program = ctypes.c_void_p()
        options = [f"--gpu-architecture={architecture}", "--std=c++20", "--ptxas-options=-v", f"--include-path={TEXTS}"]
        source = f'#include "{text}"\n' + TEXT_AFTER.get(text, "")
        self.library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
        for entry in INSTANCES[text]:
            self.library.nvrtcAddNameExpression(program, entry.encode())
        compiled = self.library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*[o.encode() for o in options])) == 0
        names = {self.lowered(program, entry): entry for entry in INSTANCES[text]} if compiled else {}
        log = self.log_of(program)
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return compiled, log, names


def kernels(log):
    """(name, registers, bytes of shared memory, of stack, of spills) of each kernel in a log of ptxas."""
    for part in log.split("Compiling entry function '")[1:]:
        found = [re.search(pattern, part) for pattern in (r"Used (\d+) registers", r"(\d+) bytes smem", r"(\d+) bytes stack", r"(\d+) bytes spill stores")]
        yield part.split("'")[0], *(int(m.group(1)) if m else 0 for m in found)


def check(job):
    """Lines of the table and the number of errors."""
    architecture, text = job
    compiled, log, names = Nvrtc().compile(text, architecture)
    if not compiled:
        return [f"{architecture} {text} does not compile:\n{log}"], 1
    lines, bad = [], 0
    for name, registers, shared, stack, spills in kernels(log):
        entry = names.get(name, name)
        note = ""
        if spills:
            reason = next((why for pattern, why in SPILLS.items() if re.match(pattern, entry)), None)
            note = f" {spills} spilled ({reason or 'NOT EXPECTED'})"
            bad += reason is None
        lines.append(f"{architecture:7} {text:18} {entry[:90]:90} {registers:4} registers {shared:6} shared {stack:4} stack{note}")
    if len(lines) < len(INSTANCES[text]):
        return [*lines, f"{architecture} {text}: ptxas names {len(lines)} of {len(INSTANCES[text])} kernels:\n{log}"], bad + 1
    return lines, bad


def main():
    missing = {path.name for path in TEXTS.glob("*.cuh") if "__global__" in path.read_text()} - INSTANCES.keys()
    bad = len(missing)
    for text in sorted(missing):
        print(f"{text}: no instance of its kernels is checked")
    jobs = [(architecture, text) for architecture in sys.argv[1:] or ARCHITECTURES for text in INSTANCES]
    with multiprocessing.Pool(2) as pool:
        for lines, errors in pool.imap(check, jobs):
            print("\n".join(lines), flush=True)
            bad += errors
    print(f"{len(jobs)} texts compiled, {bad} errors")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
