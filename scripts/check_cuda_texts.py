#!/usr/bin/env python3
"""Compiles instances of the CUDA texts with NVRTC, without a GPU, and prints registers, shared memory and stack of each kernel. Fails where a text does not
compile or spills registers: check_cuda_texts.py [ARCHITECTURE …] (default sm_80 sm_90a sm_120). NVRTC: scripts/setup_cuda.sh, REPRISE_CUDA_PATH or a toolkit."""

import ctypes
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ROOT / "src/kernels/cuda/text"
NARROW, WIDE = "Keyed<u32_t, u32_t>", "Keyed<u64_t, i64_t>"
NORM = "NormRows<f16_t, f16_t, f16_t, f32_t, f32_t, i32_t>"
GROUPS = "BeginsGroup<f32_t, u32_t, i32_t>"

INSTANCES = {
    "indexing.cuh": ["read_blocks<Vector<u64_t, 2>, i32_t, 1>", "read_blocks<u16_t, i64_t, 3>", "write_few_blocks<u32_t, i32_t, 1>", "find_last<u32_t, i32_t, 2>",
                     "write_last_blocks<u64_t, u64_t, i64_t, 1>"],
    "join.cuh": ["pad<u16_t, kReflect, i32_t>", "pad<Vector<u64_t, 2>, kConstant, i64_t>", "concat<Vector<u64_t, 2>, 4, i32_t>", "concat<u8_t, 16, i64_t>"],
    "nms.cuh": ["find_covers<f16_t, f32_t, u32_t>", "keep_boxes<u32_t>"],
    "norm.cuh": [f"norm_short<{NORM}, 8, 4, true, false, i32_t>", f"norm_short<{NORM}, 8, 4, true, true, i32_t>", f"norm_long<{NORM}, 8, true, true, true, i32_t>",
                 f"norm_long<{NORM}, 1, false, false, false, i32_t>", "norm_channels<f32_t, f32_t, f32_t, f32_t, f32_t, i64_t>"],
    "random.cuh": ["draw<f32_t, kNormal, i32_t>", "draw<i64_t, kIntegers, i64_t>", "count_run"],
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
    "unique.cuh": ["sort_tiles<Slice, 256, AllSlices, SortedSlices, BySlices<f32_t, i32_t>>", f"put_chosen<{GROUPS}, PutGroups<u32_t>>", "put_unique<f32_t, u32_t, i32_t>"],
    "windows.cuh": ["pool<f16_t, Maximum, false, 8, i32_t>", "pool<u8_t, Average, true, 1, i64_t>", "pool_whole<f16_t, Average, 8, 4, i32_t>", "pool_plane<bf16_t, Maximum, 3, 3, 8, i32_t>",
                    "pool_whole<f64_t, Maximum, 1, 1, i64_t>", "pool_wide<f16_t, Average, true, true, i32_t>",
                    "pool_wide<f64_t, Maximum, true, false, i32_t>", "resize<f16_t, f32_t, kLinear, 1, i32_t>", "resize<f64_t, f64_t, kCubicAntialias, 0, i64_t>"],
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

    def compile(self, text, entries, architecture):
        """Whether it compiled, and the log."""
        program, size = ctypes.c_void_p(), ctypes.c_size_t()
        options = [f"--gpu-architecture={architecture}", "--std=c++20", "--restrict", "--ptxas-options=-v", f"--include-path={TEXTS}"]
        self.library.nvrtcCreateProgram(ctypes.byref(program), f'#include "{text}"\n'.encode(), b"kernel.cu", 0, None, None)
        for entry in entries:
            self.library.nvrtcAddNameExpression(program, entry.encode())
        result = self.library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*[o.encode() for o in options]))
        self.library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.library.nvrtcGetProgramLog(program, log)
        self.library.nvrtcDestroyProgram(ctypes.byref(program))
        return result == 0, log.value.decode()


def kernels(log):
    """(name, registers, bytes of shared memory, of stack, of spills) of each kernel in a log of ptxas."""
    for part in log.split("Compiling entry function '")[1:]:
        found = [re.search(pattern, part) for pattern in (r"Used (\d+) registers", r"(\d+) bytes smem", r"(\d+) bytes stack", r"(\d+) bytes spill stores")]
        yield part.split("'")[0], *(int(m.group(1)) if m else 0 for m in found)


def main():
    nvrtc = Nvrtc()
    bad = 0
    for architecture in sys.argv[1:] or ["sm_80", "sm_90a", "sm_120"]:
        for text, entries in INSTANCES.items():
            compiled, log = nvrtc.compile(text, entries, architecture)
            if not compiled:
                print(f"{architecture} {text} does not compile:\n{log}")
                bad += 1
            for name, registers, shared, stack, spills in kernels(log):
                bad += spills > 0
                print(f"{architecture:7} {text:14} {name[:60]:60} {registers:4} registers {shared:6} shared {stack:4} stack{f' {spills} SPILLED' if spills else ''}")
    sys.exit(bad > 0)


main()
