// NVIDIA's libraries, opened when they are first needed: a program that does not use one does not load it.
#pragma once

#include <chrono>
#include <initializer_list>
#include <string>

namespace reprise::device::cuda {

/// Opens the first of `names` ("libnvrtc.so.13", then "libnvrtc.so.12") that is found: in the folders of REPRISE_CUDA_PATH (separated by colons), beside this
/// library, where this library was linked to look and where the system looks, then in /usr/local/cuda/lib64. Stays open. Throws DeviceError naming `what`.
void* open_shared_library(const char* what, std::initializer_list<const char*> names);

/// A function of an opened library. Throws DeviceError when it lacks it.
void* find_function(void* library, const char* what, const char* name);
template <class Function>
void find_function(Function& function, void* library, const char* what, const char* name) {
  function = reinterpret_cast<Function>(find_function(library, what, name));
}

/// Measures, while it lives, what NVIDIA's driver and libraries take to be opened and to start.
class LibraryTimer {
 public:
  LibraryTimer() = default;
  LibraryTimer(const LibraryTimer&) = delete;
  LibraryTimer& operator=(const LibraryTimer&) = delete;
  ~LibraryTimer();
  /// Of all so far, in this process; threads add up.
  static double milliseconds();

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace reprise::device::cuda
