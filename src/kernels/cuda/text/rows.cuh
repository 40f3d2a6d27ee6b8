// Work on one row by a team of threads: a warp, of which a block holds several (blockDim.y), or a whole block.
#pragma once
#include "dims.cuh"
#include "numbers.cuh"

// Combines every thread's value; all get the result. `combine` is commutative. Called by all threads of a block.
template <class T, class Combine>
__device__ T team_combine(T value, const Combine& combine) {
  for (int distance = 16; distance > 0; distance /= 2) value = combine(value, value.from_lane(distance));
  if (blockDim.x == 32) return value;
  __shared__ T warps[32];
  __syncthreads();  // what an earlier call left may still be read
  const int warp = threadIdx.x / 32, count = blockDim.x / 32;
  if (threadIdx.x % 32 == 0) warps[warp] = value;
  __syncthreads();
  value = warps[0];
  for (int w = 1; w < count; ++w) value = combine(value, warps[w]);
  return value;
}

template <class C>
struct Sum {
  C value;
  __device__ Sum from_lane(int distance) const { return {__shfl_xor_sync(0xffffffffu, value, distance)}; }
};
template <class C>
__device__ C team_sum(C value) {
  return team_combine(Sum<C>{value}, [](Sum<C> a, Sum<C> b) { return Sum<C>{a.value + b.value}; }).value;
}

// A row of `length` elements with a given distance between them, moved as packs of kWidth (stride 1 and aligned where kWidth > 1).
template <class E, int kWidth>
struct Row {
  E* at;
  i64_t stride;
  __device__ Vector<E, kWidth> get(i64_t pack) const {
    if constexpr (kWidth == 1)
      return {{at[pack * stride]}};
    else
      return reinterpret_cast<const Vector<E, kWidth>*>(at)[pack];
  }
  __device__ void put(i64_t pack, const Vector<E, kWidth>& values) const {
    if constexpr (kWidth == 1)
      at[pack * stride] = values.at[0];
    else
      reinterpret_cast<Vector<E, kWidth>*>(at)[pack] = values;
  }
};
