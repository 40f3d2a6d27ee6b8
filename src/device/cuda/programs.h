// Kernels from source text: compiled by NVRTC in the background, each text once per GPU and process, unless a module's file has brought the machine code.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reprise/tensor.h"

namespace reprise::device::cuda {

struct ProgramSource {
  /// CUDA C++. May include every file of src/kernels/cuda/text by its name ("prelude.cuh"); nothing else, no system header.
  std::string text;
  /// A function's name (extern "C") or a name expression ("reduce<float, 4>").
  std::string entry;
  /// For the compiler: "-DWIDTH=4". The architecture and the language version are added.
  std::vector<std::string> options = {};
};

struct CompiledProgram {
  std::string kernel;  // the entry's name in the machine code
  Tensor code;         // a cubin: u8, one dimension
};

/// Names a program for files: SHA-256 of all that its machine code follows from, which is the source, every text that it may include, and the architecture.
std::string program_key(const ProgramSource& source, const std::string& architecture);
/// Of every text that sources may include.
const std::string& texts_key();

/// A kernel that is being compiled. `get` waits for it and throws Error with the compiler's log when the text does not compile.
using Kernel = std::shared_future<CUfunction>;

/// Thread safe. Lives as long as its Gpu; the functions with it.
class Programs {
 public:
  /// Kernels are loaded into `context`; without one they are only noted for `take_requests`. `architecture`: "sm_90a".
  Programs(CUcontext context, std::string architecture) : context_(context), architecture_(std::move(architecture)) {}
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  /// Returns at once; the same source gives the same kernel. Throws DeviceError when it must be compiled and NVRTC is not to be found.
  [[nodiscard]] Kernel request(const ProgramSource& source);

  /// Machine code for this architecture, by program_key: what is asked for from now on is loaded and not compiled. Stays.
  void add(const std::string& key, CompiledProgram program);
  /// The machine code of a source that was requested before, or came by `add`; waits while it is being compiled. nullopt: there is none.
  [[nodiscard]] std::optional<CompiledProgram> find(const ProgramSource& source) const;

  struct Counts {
    std::size_t compiled = 0, loaded = 0;  // by NVRTC, from a module's file; in this process
  };
  [[nodiscard]] Counts counts() const;

  /// Without a context: what was requested since the last call, in order, also what had been before.
  [[nodiscard]] std::vector<ProgramSource> take_requests();

 private:
  using Compilation = std::shared_future<CompiledProgram>;
  struct Entry {
    Kernel kernel;
    Compilation program;  // invalid: it was loaded
  };
  [[nodiscard]] Entry load_stored(const CompiledProgram& program);
  [[nodiscard]] Entry compile(const ProgramSource& source);

  CUcontext context_;
  std::string architecture_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;           // by everything that a source says
  std::unordered_map<std::string, CompiledProgram> stored_;  // by program_key
  std::vector<ProgramSource> requests_;
  Counts counts_;
};

}  // namespace reprise::device::cuda
