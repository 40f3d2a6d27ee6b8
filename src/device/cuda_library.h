// The CUDA half: one shared library, opened when a GPU is first asked for. Everything else in this library is free of CUDA.
#pragma once

namespace reprise::device {

/// Bumped whenever an interface that crosses the border changes (device.h, command_list.h, kernel.h, ahead.h).
inline constexpr int kCudaLibraryVersion = 6;

/// Name of a function that the library exports; `Function` is a pointer type. The library is looked for at REPRISE_CUDA_LIBRARY (a file), then beside the
/// binary that this code is in, in its ../lib, and where the system looks. It stays open. Throws DeviceError: it is not there, or it belongs to another build.
void* cuda_library_function(const char* name);

template <class Function>
Function cuda_function(const char* name) {
  return reinterpret_cast<Function>(cuda_library_function(name));
}

}  // namespace reprise::device
