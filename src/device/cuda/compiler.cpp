#include "device/cuda/compiler.h"

#include <dlfcn.h>

#include <array>
#include <atomic>
#include <exception>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "device/cuda/shared_library.h"
#include "device/cuda/texts.h"

namespace reprise::device::cuda {
namespace {

// The part of NVRTC's interface that is used; it has been the same since CUDA 11.
using Program = struct ProgramOfNvrtc*;
struct Nvrtc {
  int (*version)(int*, int*);
  const char* (*error_text)(int);
  int (*create)(Program*, const char* text, const char* name, int headers, const char* const* contents, const char* const* names);
  int (*destroy)(Program*);
  int (*add_name)(Program, const char*);
  int (*compile)(Program, int options, const char* const*);
  int (*log_size)(Program, std::size_t*);
  int (*log)(Program, char*);
  int (*code_size)(Program, std::size_t*);
  int (*code)(Program, char*);
  int (*lowered_name)(Program, const char*, const char**);
};

/// NVRTC opens a second library by name alone; one that is open already is found wherever it lies.
void open_builtins(void* function) {
  Dl_info info{};
  if (::dladdr(function, &info) == 0 || info.dli_fname == nullptr) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(info.dli_fname).parent_path(), error))
    if (entry.path().filename().string().starts_with("libnvrtc-builtins.so.")) ::dlopen(entry.path().c_str(), RTLD_NOW | RTLD_LOCAL);
}

Nvrtc load() {
  constexpr const char* kWhat = "NVRTC";
  void* library = open_shared_library(kWhat, {"libnvrtc.so.13", "libnvrtc.so.12"});
  Nvrtc n{};
  find_function(n.version, library, kWhat, "nvrtcVersion");
  find_function(n.error_text, library, kWhat, "nvrtcGetErrorString");
  find_function(n.create, library, kWhat, "nvrtcCreateProgram");
  find_function(n.destroy, library, kWhat, "nvrtcDestroyProgram");
  find_function(n.add_name, library, kWhat, "nvrtcAddNameExpression");
  find_function(n.compile, library, kWhat, "nvrtcCompileProgram");
  find_function(n.log_size, library, kWhat, "nvrtcGetProgramLogSize");
  find_function(n.log, library, kWhat, "nvrtcGetProgramLog");
  find_function(n.code_size, library, kWhat, "nvrtcGetCUBINSize");
  find_function(n.code, library, kWhat, "nvrtcGetCUBIN");
  find_function(n.lowered_name, library, kWhat, "nvrtcGetLoweredName");
  open_builtins(reinterpret_cast<void*>(n.version));
  return n;
}

const Nvrtc& nvrtc() {
  static const Nvrtc loaded = load();
  return loaded;
}

void check(int result, const char* what) { REPRISE_CHECK(result == 0, Error, "[device/compile] {} failed ({})", what, nvrtc().error_text(result)); }

class Compilation {
 public:
  explicit Compilation(const ProgramSource& source) : source_(source) {
    std::vector<const char*> contents, names;
    for (const Text& text : texts()) {
      contents.push_back(text.content);
      names.push_back(text.name);
    }
    check(nvrtc().create(&program_, source.text.c_str(), "kernel.cu", static_cast<int>(names.size()), contents.data(), names.data()), "making a program");
  }
  Compilation(const Compilation&) = delete;
  Compilation& operator=(const Compilation&) = delete;
  ~Compilation() { nvrtc().destroy(&program_); }

  CompiledProgram run(const std::string& architecture) {
    check(nvrtc().add_name(program_, source_.entry.c_str()), "naming the kernel");
    const std::string target = "--gpu-architecture=" + architecture;
    std::vector<const char*> options = {target.c_str(), "--std=c++20", "--no-source-include"};
    for (const auto& option : source_.options) options.push_back(option.c_str());
    const int result = nvrtc().compile(program_, static_cast<int>(options.size()), options.data());
    REPRISE_CHECK(result == 0, Error, "[device/compile] kernel '{}' does not compile for {} ({}):\n{}", source_.entry, architecture, nvrtc().error_text(result),
                  log());
    CompiledProgram compiled;
    std::size_t size = 0;
    check(nvrtc().code_size(program_, &size), "reading the code");
    compiled.code = Tensor::empty(std::array{static_cast<std::int64_t>(size)}, DType::u8);
    check(nvrtc().code(program_, compiled.code.data_as<char>()), "reading the code");
    const char* lowered = nullptr;
    check(nvrtc().lowered_name(program_, source_.entry.c_str(), &lowered), "finding the kernel");
    compiled.kernel = lowered;
    return compiled;
  }

 private:
  [[nodiscard]] std::string log() const {
    std::size_t size = 0;
    if (nvrtc().log_size(program_, &size) != 0 || size == 0) return "";
    std::string text(size, '\0');
    nvrtc().log(program_, text.data());
    return text.substr(0, text.find('\0'));
  }

  const ProgramSource& source_;
  Program program_ = nullptr;
};

}  // namespace

CompiledProgram compile_program(const ProgramSource& source, const std::string& architecture) { return Compilation(source).run(architecture); }

std::vector<CompiledProgram> compile_programs(std::span<const ProgramSource> sources, const std::string& architecture,
                                              const std::function<void(std::size_t done)>& done) {
  (void)compiler_version();  // tells NVRTC missing before any thread starts
  std::vector<CompiledProgram> programs(sources.size());
  std::atomic<std::size_t> next = 0;
  std::size_t finished = 0;
  std::exception_ptr error;
  std::mutex mutex;
  const auto work = [&] {
    for (std::size_t i = next++; i < sources.size(); i = next++) {
      try {
        programs[i] = compile_program(sources[i], architecture);
        const std::scoped_lock lock(mutex);
        ++finished;
        if (done) done(finished);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (error == nullptr) error = std::current_exception();
        next = sources.size();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1, n = std::min<std::size_t>(sources.size(), std::thread::hardware_concurrency()); i < n; ++i) threads.emplace_back(work);
    work();
  }
  if (error != nullptr) std::rethrow_exception(error);
  return programs;
}

std::string compiler_version() {
  int major = 0, minor = 0;
  check(nvrtc().version(&major, &minor), "asking for the version");
  return fmt::format("{}.{}", major, minor);
}

}  // namespace reprise::device::cuda
