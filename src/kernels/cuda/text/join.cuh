// pad and concat: every element of the output is fetched from where it comes from.
#pragma once
#include "dims.cuh"

enum Border { kConstant, kReflect, kReplicate, kCircular };

template <class Index>
struct Padding {
  i64_t count, rank;
  Divisor<Index> sizes[kMaxRank];  // of y
  Index x_sizes[kMaxRank], before[kMaxRank], x_strides[kMaxRank], y_strides[kMaxRank];
};

// Where position i of a padded dimension of n elements comes from; outside of [0, n) for a constant border.
template <Border kBorder, class Index>
__device__ Index source_position(Index i, Index n) {
  if constexpr (kBorder == kReplicate) return i < 0 ? 0 : i < n ? i : n - 1;
  if constexpr (kBorder == kCircular) return (i % n + n) % n;
  if constexpr (kBorder == kReflect) return i < 0 ? -i : i < n ? i : 2 * (n - 1) - i;
  return i;
}

template <class T, Border kBorder, class Index>
__global__ void pad(const T* x, T* y, const Padding<Index> p, const T value) {
  wait_for_earlier_kernels();
  Index position = thread_position<Index>();
  if (position >= p.count) return;
  Index from = 0, to = 0;
  bool inside = true;
  for (int d = static_cast<int>(p.rank) - 1; d >= 0; --d) {
    const Index outer = d > 0 ? quotient(position, p.sizes[d]) : 0, at = position - outer * static_cast<Index>(p.sizes[d].divisor);
    const Index source = source_position<kBorder>(at - p.before[d], p.x_sizes[d]);
    inside = inside && source >= 0 && source < p.x_sizes[d];
    from += source * p.x_strides[d];
    to += at * p.y_strides[d];
    position = outer;
  }
  y[to] = inside ? x[from] : value;
}

// y[outer, width] from x_k[outer, end_k - end_(k-1)], each dense but for the distance between its rows.
template <class T, int kInputs, class Index>
struct Columns {
  const T* x[kInputs];
  i64_t end[kInputs], x_stride[kInputs], y_stride, count;
  Divisor<Index> width;
};

template <class T, int kInputs, class Index>
__global__ void concat(T* y, const Columns<T, kInputs, Index> c) {
  wait_for_earlier_kernels();
  const Index i = thread_position<Index>();
  if (i >= c.count) return;
  const Index row = quotient(i, c.width), column = i - row * static_cast<Index>(c.width.divisor);
  const T* from = c.x[0] + row * c.x_stride[0] + column;
#pragma unroll
  for (int k = 1; k < kInputs; ++k) {
    if (column >= c.end[k - 1]) from = c.x[k] + row * c.x_stride[k] + (column - c.end[k - 1]);
  }
  y[row * c.y_stride + column] = *from;
}
