// Kernels from source text: compiled by NVRTC in the background, each text once per GPU and process.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <future>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace reprise::device::cuda {

struct ProgramSource {
  /// CUDA C++. May include every file of src/kernels/cuda/text by its name ("prelude.cuh"); nothing else, no system header.
  std::string text;
  /// A function's name (extern "C") or a name expression ("reduce<float, 4>").
  std::string entry;
  /// For the compiler: "-DWIDTH=4". The architecture and the language version are added.
  std::vector<std::string> options = {};
};

/// A kernel that is being compiled. `get` waits for it and throws Error with the compiler's log when the text does not compile.
using Kernel = std::shared_future<CUfunction>;

/// Thread safe. Lives as long as its Gpu; the functions with it.
class Programs {
 public:
  /// Kernels are loaded into `context`; without one they are compiled before `request` returns (which throws Error), and dropped. `architecture`: "sm_90a".
  Programs(CUcontext context, std::string architecture) : context_(context), architecture_(std::move(architecture)) {}
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  /// Returns at once; the same source gives the same kernel. Throws DeviceError when NVRTC is not to be found.
  [[nodiscard]] Kernel request(const ProgramSource& source);
  /// Texts compiled so far, in this process.
  [[nodiscard]] std::size_t compiled() const;

 private:
  CUcontext context_;
  std::string architecture_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Kernel> kernels_;  // by everything that a source says
};

}  // namespace reprise::device::cuda
