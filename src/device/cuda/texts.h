// The texts of src/kernels/cuda/text, built into the library.
#pragma once

#include <span>

namespace reprise::device::cuda {

struct Text {
  const char* name;  // "prelude.cuh"
  const char* content;
};

/// All of them.
std::span<const Text> texts();

}  // namespace reprise::device::cuda
