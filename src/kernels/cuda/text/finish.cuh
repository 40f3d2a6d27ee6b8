// What kernels do with a sum before they store it.
#pragma once

#include "prelude.cuh"

/// What is done with a sum before it is stored at y[offset]: a struct of pointers (generated), or nothing.
struct NoFinish {
  const void* none;
  template <class Sum>
  __device__ Sum operator()(Sum value, i64_t) const {
    return value;
  }
};
