// Chosen elements in their order: chunks are counted, the counts summed up (scan.cuh), then every element learns how many chosen ones stand before it.
#pragma once
#include "dims.cuh"
#include "numbers.cuh"

constexpr int kSelectThreads = 256, kSelectRounds = 8, kSelectChunk = kSelectThreads * kSelectRounds;

// Flag: `bool operator()(i64_t i)`; sink: `put(i, before, chosen)`, both for i < count.
template <class Flag>
__global__ void __launch_bounds__(kSelectThreads) count_chosen(const Flag flag, i64_t* totals, i64_t count) {
  wait_for_earlier_kernels();
  int chosen = 0;
  for (int round = 0; round < kSelectRounds; ++round) {
    const i64_t i = static_cast<i64_t>(blockIdx.x) * kSelectChunk + round * kSelectThreads + threadIdx.x;
    chosen += __syncthreads_count(i < count && flag(i));
  }
  if (threadIdx.x == 0) totals[blockIdx.x] = chosen;
}

// `totals` are summed up by now; the last is the result's size.
template <class Flag, class Sink>
__global__ void __launch_bounds__(kSelectThreads) put_chosen(const Flag flag, const Sink sink, const i64_t* totals, i64_t count, i64_t* size) {
  wait_for_earlier_kernels();
  __shared__ int warps[kSelectThreads / 32];
  i64_t before = blockIdx.x == 0 ? 0 : totals[blockIdx.x - 1];
  if (threadIdx.x == 0 && blockIdx.x == gridDim.x - 1) *size = totals[blockIdx.x];
  const int warp = threadIdx.x / 32;
  for (int round = 0; round < kSelectRounds; ++round) {
    const i64_t i = static_cast<i64_t>(blockIdx.x) * kSelectChunk + round * kSelectThreads + threadIdx.x;
    const bool chosen = i < count && flag(i);
    const u32_t mask = __ballot_sync(0xffffffffu, chosen);
    if (threadIdx.x % 32 == 0) warps[warp] = __popc(mask);
    __syncthreads();
    i64_t mine = before + __popc(mask & ((1u << threadIdx.x % 32) - 1));
    for (int w = 0; w < kSelectThreads / 32; ++w) {
      if (w < warp) mine += warps[w];
      before += warps[w];
    }
    if (i < count) sink.put(i, mine, chosen);
    __syncthreads();
  }
}

// ---- nonzero ----------------------------------------------------------------------------------------------------------------------------

// Dims are x's own, not merged: positions along them are the result.
template <class E, class Index>
struct IsNonzero {
  const E* x;
  Dims<Index, 1> dims;
  __device__ bool operator()(i64_t i) const {
    Index at[1];
    dims.locate(static_cast<Index>(i), at);
    return convert<compute_t<E>>(x[at[0]]) != compute_t<E>(0);
  }
};

template <class Index>
struct PutIndices {
  i64_t* y;  // [size, rank]
  Dims<Index, 1> dims;
  __device__ void put(i64_t i, i64_t before, bool chosen) const {
    if (!chosen) return;
    const int rank = static_cast<int>(dims.rank);
    Index position = static_cast<Index>(i);
    for (int d = rank - 1; d >= 0; --d) {
      const Index outer = quotient(position, dims.sizes[d]);
      y[before * rank + d] = position - outer * static_cast<Index>(dims.sizes[d].divisor);
      position = outer;
    }
  }
};

// ---- repeat_interleave ------------------------------------------------------------------------------------------------------------------

// `ends[i]`: how many results there are up to and with index i. `size` may be null.
template <class I>
__global__ void repeat_indices(const I* repeats, i64_t stride, const i64_t* ends, i64_t* y, i64_t* size, i64_t count, i64_t room, u64_t* negative,
                               u64_t* too_many) {
  wait_for_earlier_kernels();
  const i64_t j = static_cast<i64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (j < count && repeats[j * stride] < 0) *negative = static_cast<u64_t>(static_cast<i64_t>(repeats[j * stride]));
  const i64_t total = count == 0 ? 0 : ends[count - 1];
  if (j == 0) {
    if (total > room) *too_many = static_cast<u64_t>(total);
    if (size != nullptr) *size = total < 0 ? 0 : total < room ? total : room;
  }
  if (j >= room || j >= total) return;
  i64_t low = 0, high = count - 1;
  while (low < high) {
    const i64_t middle = (low + high) / 2;
    if (ends[middle] <= j)
      low = middle + 1;
    else
      high = middle;
  }
  y[j] = low;
}
