#include "device/cuda/driver.h"

#include <dlfcn.h>

#include <string>

#include "base/check.h"
#include "device/cuda/shared_library.h"

namespace reprise::device::cuda {
namespace {

std::string cuda_version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

struct LoadedDriver {
  Driver functions;
  std::string problem;
};

std::string too_old(const Driver& functions, const char* missing) {
  int version = 0;
  if (functions.cuDriverGetVersion != nullptr) functions.cuDriverGetVersion(&version);
  return fmt::format("the NVIDIA driver is too old (got one for CUDA {}, want {} or later; it lacks {})", cuda_version(version), cuda_version(CUDA_VERSION),
                     missing);
}

LoadedDriver load() {
  LoadedDriver loaded;
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    loaded.problem = fmt::format("no CUDA GPU: there is no NVIDIA driver ({})", reason != nullptr ? reason : "libcuda.so.1");
    return loaded;
  }
  const char* missing = nullptr;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    if (function == nullptr && missing == nullptr) missing = name;
  };
#define REPRISE_CUDA_TEXT(name) #name
#define REPRISE_CUDA_FIND(name) find(loaded.functions.name, REPRISE_CUDA_TEXT(name));
  REPRISE_CUDA_DRIVER_FUNCTIONS(REPRISE_CUDA_FIND)
#undef REPRISE_CUDA_FIND
#undef REPRISE_CUDA_TEXT
  if (missing != nullptr) {
    loaded.problem = too_old(loaded.functions, missing);
    return loaded;
  }
  const CUresult result = loaded.functions.cuInit(0);
  if (result == CUDA_ERROR_NO_DEVICE) loaded.problem = "no CUDA GPU: the NVIDIA driver finds none";
  if (result != CUDA_SUCCESS && loaded.problem.empty()) {
    const char* text = nullptr;
    loaded.functions.cuGetErrorString(result, &text);
    loaded.problem = fmt::format("no CUDA GPU: the NVIDIA driver does not start ({})", text != nullptr ? text : "unknown error");
  }
  return loaded;
}

const LoadedDriver& loaded_driver() {
  static const LoadedDriver loaded = [] {
    const LibraryTimer timer;
    return load();
  }();
  return loaded;
}

}  // namespace

const Driver& driver() {
  const LoadedDriver& loaded = loaded_driver();
  REPRISE_CHECK(loaded.problem.empty(), DeviceError, "[device/open] {}", loaded.problem);
  return loaded.functions;
}

std::string error_text(CUresult result) {
  const char *name = nullptr, *text = nullptr;
  const Driver& functions = loaded_driver().functions;
  functions.cuGetErrorName(result, &name);
  functions.cuGetErrorString(result, &text);
  return fmt::format("{}: {}", name != nullptr ? name : "unknown error", text != nullptr ? text : std::to_string(static_cast<int>(result)));
}

void fail(CUresult result, std::string_view what) {
  REPRISE_CHECK(result != CUDA_ERROR_OUT_OF_MEMORY, OutOfMemory, "[device/cuda] {} failed: the GPU has no memory left", what);
  REPRISE_FAIL(DeviceError, "[device/cuda] {} failed ({})", what, error_text(result));
}

void fill_memory(CUdeviceptr to, std::uint32_t value, int width, std::size_t count, CUstream stream) {
  const Driver& cuda = driver();
  const CUresult result = width == 1   ? cuda.cuMemsetD8Async(to, static_cast<unsigned char>(value), count, stream)
                          : width == 2 ? cuda.cuMemsetD16Async(to, static_cast<unsigned short>(value), count, stream)
                                       : cuda.cuMemsetD32Async(to, value, count, stream);
  check(result, "filling memory");
}

CurrentContext::CurrentContext(CUcontext context) noexcept {
  CUcontext current = nullptr;
  const Driver& cuda = loaded_driver().functions;
  if (cuda.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == context) return;
  pushed_ = cuda.cuCtxPushCurrent(context) == CUDA_SUCCESS;
}

CurrentContext::~CurrentContext() {
  CUcontext popped = nullptr;
  if (pushed_) loaded_driver().functions.cuCtxPopCurrent(&popped);
}

}  // namespace reprise::device::cuda
