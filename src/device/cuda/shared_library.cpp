#include "device/cuda/shared_library.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace reprise::device::cuda {
namespace {

std::vector<std::string> folders() {
  std::vector<std::string> all;
  if (const char* path = std::getenv("REPRISE_CUDA_PATH")) {
    for (std::string_view rest = path; !rest.empty();) {
      const std::size_t colon = std::min(rest.find(':'), rest.size());
      if (colon > 0) all.emplace_back(std::string(rest.substr(0, colon)) + "/");
      rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
  }
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&open_shared_library), &info) != 0 && info.dli_fname != nullptr)
    all.push_back(std::filesystem::path(info.dli_fname).parent_path().string() + "/");
  all.emplace_back();
  all.emplace_back("/usr/local/cuda/lib64/");
  return all;
}

std::atomic<std::int64_t>& library_nanoseconds() {
  static std::atomic<std::int64_t> sum = 0;
  return sum;
}

}  // namespace

LibraryTimer::~LibraryTimer() { library_nanoseconds() += std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin_).count(); }
double LibraryTimer::milliseconds() { return static_cast<double>(library_nanoseconds()) / 1e6; }

void* open_shared_library(const char* what, std::initializer_list<const char*> names) {
  const LibraryTimer timer;
  std::string problem;
  for (const auto& folder : folders()) {
    for (const char* name : names) {
      const std::string path = folder + name;
      if (void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
      const char* reason = ::dlerror();
      if (problem.empty() || std::filesystem::exists(path)) problem = reason != nullptr ? reason : path;
    }
  }
  REPRISE_FAIL(DeviceError, "[device/cuda] {} is not to be found; name its folder in REPRISE_CUDA_PATH ({})", what, problem);
}

void* find_function(void* library, const char* what, const char* name) {
  void* function = ::dlsym(library, name);
  REPRISE_CHECK(function != nullptr, DeviceError, "[device/cuda] {} is of another version (it lacks {})", what, name);
  return function;
}

}  // namespace reprise::device::cuda
