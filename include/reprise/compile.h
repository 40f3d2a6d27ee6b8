// Compilation of a program into a module. Part of the compiler library.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/converter.h"
#include "reprise/device.h"
#include "reprise/dtype.h"
#include "reprise/foreign_kernel.h"
#include "reprise/input.h"
#include "reprise/module.h"
#include "reprise/program.h"

namespace reprise {

struct CompileOptions {
  /// Bounds by input: the one profile. Empty: the exported ranges.
  std::vector<Input> inputs = {};
  /// Several optimization profiles, each a list like `inputs` (which is then empty).
  std::vector<std::vector<Input>> profiles = {};
  Device device = Device::cpu();
  /// Ahead of time, for a GPU of this architecture ("sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_103a", "sm_120a"), whether one is here or not: the
  /// module's kernels are compiled; it can be saved and looked at, and is called where it is loaded. Needs NVRTC, but neither a GPU nor a driver. Which kernels
  /// of NVIDIA's libraries it takes is chosen on the GPU. Empty: for the device that is here.
  std::string arch = {};
  /// f32: as exported. bf16, f16: weights and arithmetic of f32 parts are converted (f32 accumulation, norms and softmax in f32); the signature keeps its
  /// dtypes.
  DType dtype = DType::f32;
  /// On a GPU, f32 matrix products and convolutions may round their factors to tf32 (10 bits of mantissa), as PyTorch does where it is told to.
  bool allow_tf32 = false;
  /// ATen ops that run unfused in fallback segments: "aten.mul.Tensor", with or without "torch.ops."; "aten.mul" names all overloads.
  std::vector<std::string> fallback_ops = {};
  /// Engines of fewer ops are folded into the fallback segments beside them.
  int min_block_size = 1;
  /// Throws UnsupportedOp, naming the ops, where any would run in a fallback segment. min_block_size does not count then.
  bool require_full_compilation = false;
  /// The module's weights may be left on the host and be brought as a call needs them: runtime::weight_streaming says how many bytes stay on the device.
  bool enable_weight_streaming = false;
  /// For the CPU: files that the module is saved to hold weights also in the forms that its kernels want at the opt shapes, on a processor of this
  /// instruction set. A module that is loaded uses them where they lie in the file and packs nothing; with weight streaming it reads them there in each call.
  /// Where instruction set or versions are others, they are ignored.
  bool packed_weights = false;
  /// Whether calls are recorded in every mode, at first: Module::set_cuda_graph_strategy changes it. Saved with the module.
  CudaGraphStrategy cuda_graph_strategy = CudaGraphStrategy::disabled;
  /// The same as fallback_ops; both count.
  std::vector<std::string> torch_executed_ops = {};
  /// A converter of the user's that throws: true passes its error on; false lets the node fall back, to the next converter that takes it, unfused. The error is
  /// passed on where there is none.
  bool pass_through_build_failures = false;
  /// Besides those that the process registered (reprise/converter.h, reprise/foreign_kernel.h), and before them.
  std::vector<Converter> converters = {};
  std::vector<ForeignKernel> foreign_kernels = {};
  int threads = 0;  // in one call; 0: as many as the machine has
  /// 0 to 5. How much is measured to choose the kernels of products and convolutions; 0: nothing is. On a GPU: how many of the libraries' kernels compete for
  /// each at the opt shapes (docs/gpu.md says how long). On a CPU, where shapes are fixed: seconds in all, and the smallest commands that count (docs/cpu.md).
  int optimization_level = 3;
  /// A file that keeps what was measured on the device (created when missing): a second compilation with the same shapes measures nothing. Empty: none.
  std::string runtime_cache_path = {};
  /// Called as compilation proceeds: stage name, done, total. May be empty.
  std::function<void(std::string_view stage, int done, int total)> progress = {};
};

/// Tunes; on a GPU opens it, and DeviceError tells what is missing. Throws UnsupportedOp (all ops without a converter at once, with their source lines),
/// InvalidArgument and ShapeError (options), DeviceError, WriteError (the runtime cache), Error.
Module compile(const Program& program, const CompileOptions& options = {});

}  // namespace reprise
