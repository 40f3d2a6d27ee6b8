// search_sorted: for every value the first place where it may stand among the sorted ones.
#pragma once
#include "dims.cuh"
#include "numbers.cuh"

// A key in what values of both dtypes are compared in: f32, f64, u64, or i64 for the other integers.
template <class E>
__device__ auto comparable(E x) {
  using C = compute_t<E>;
  if constexpr (kIsReal<C> || is_same<C, u64_t>::value)
    return order_key(convert<C>(x));
  else
    return order_key(static_cast<i64_t>(x));
}

template <class S, class V, class O, bool kRight, class Index>
__global__ void search_sorted(const S* sorted, const V* values, O* y, i64_t count, i64_t length, i64_t stride, const Dims<Index, 3> dims) {
  wait_for_earlier_kernels();
  const Index i = thread_position<Index>();
  if (i >= count) return;
  Index at[3];  // sorted (its row), values, y
  dims.locate(i, at);
  const auto wanted = comparable(values[at[1]]);
  i64_t low = 0, high = length;
  while (low < high) {
    const i64_t middle = (low + high) / 2;
    const auto here = comparable(sorted[at[0] + middle * stride]);
    if (kRight ? !(wanted < here) : here < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  y[at[2]] = static_cast<O>(low);
}
