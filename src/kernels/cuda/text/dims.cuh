// Strided windows: from a position, counted in row-major order, to offsets of elements. The host writes these (dims.h); fields and their order are shared with it.
#pragma once
#include "prelude.cuh"

constexpr int kMaxRank = 16;

template <class Index>
using Divisor = conditional_t<sizeof(Index) == 4, FastDivisor, PlainDivisor>;
template <class Index>
__device__ inline Index quotient(Index n, const Divisor<Index>& d) {
  return static_cast<Index>(divide(static_cast<conditional_t<sizeof(Index) == 4, u32_t, i64_t>>(n), d));
}

// Windows of the same sizes into several operands. Outermost dimension first; padded to a multiple of 8 bytes.
template <class Index, int kOperands>
struct alignas(8) Dims {
  i64_t rank;
  Divisor<Index> sizes[kMaxRank];
  Index strides[kOperands][kMaxRank];

  __device__ void locate(Index position, Index (&offsets)[kOperands]) const {
    for (int k = 0; k < kOperands; ++k) offsets[k] = 0;
    for (int d = static_cast<int>(rank) - 1; d > 0; --d) {
      const Index outer = quotient(position, sizes[d]), at = position - outer * static_cast<Index>(sizes[d].divisor);
      for (int k = 0; k < kOperands; ++k) offsets[k] += at * strides[k][d];
      position = outer;
    }
    if (rank > 0) {
      for (int k = 0; k < kOperands; ++k) offsets[k] += position * strides[k][0];
    }
  }
};

// The position that this thread stands for.
template <class Index>
__device__ inline Index thread_position() {
  return static_cast<Index>(blockIdx.x) * static_cast<Index>(blockDim.x) + static_cast<Index>(threadIdx.x);
}
