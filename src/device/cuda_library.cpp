#include "device/cuda_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/check.h"

namespace reprise::device {
namespace {

constexpr const char* kFileName = "libreprise_cuda.so";

std::filesystem::path own_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&cuda_library_function), &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  const auto file = std::filesystem::canonical(info.dli_fname, error);
  return error ? std::filesystem::path() : file.parent_path();
}

std::vector<std::string> candidates() {
  if (const char* named = std::getenv("REPRISE_CUDA_LIBRARY"); named != nullptr && *named != '\0') return {named};
  const auto folder = own_folder();
  return {(folder / kFileName).string(), (folder / ".." / "lib" / kFileName).string(), (folder / ".." / kFileName).string(),
          (folder / ".." / ".." / kFileName).string(), kFileName};
}

struct Library {
  void* handle = nullptr;
  std::string problem;
};

Library open_library() {
  Library library;
  for (const auto& path : candidates()) {
    library.handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library.handle != nullptr) break;
    // A file that is there and cannot be loaded tells more than one that is not.
    const char* reason = ::dlerror();
    if (library.problem.empty() || std::filesystem::exists(path)) library.problem = reason != nullptr ? reason : path;
  }
  if (library.handle == nullptr) return library;
  const auto* version = static_cast<const int*>(::dlsym(library.handle, "reprise_cuda_version"));
  if (version == nullptr || *version != kCudaLibraryVersion) return {nullptr, "it belongs to another build"};
  return library;
}

}  // namespace

void* cuda_library_function(const char* name) {
  static const Library library = open_library();
  REPRISE_CHECK(library.handle != nullptr, DeviceError, "[device/open] the CUDA half ({}) cannot be loaded: {}", kFileName, library.problem);
  void* function = ::dlsym(library.handle, name);
  REPRISE_CHECK(function != nullptr, DeviceError, "[device/open] the CUDA half lacks a function (want {})", name);
  return function;
}

}  // namespace reprise::device
