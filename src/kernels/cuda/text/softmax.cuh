// Softmax along rows that lie anyhow. Maximum and sum are taken together: where the maximum grows, the sum shrinks.
#pragma once
#include "rows.cuh"

__device__ inline f32_t exponential(f32_t x) { return __expf(x); }
__device__ inline f64_t exponential(f64_t x) { return exp(x); }
__device__ inline f32_t logarithm(f32_t x) { return logf(x); }
__device__ inline f64_t logarithm(f64_t x) { return log(x); }
__device__ inline f32_t greater(f32_t a, f32_t b) { return fmaxf(a, b); }
__device__ inline f64_t greater(f64_t a, f64_t b) { return fmax(a, b); }

// sum = Σ exp(x - max) of what was seen. A NaN is in the sum only; infinities make NaN where PyTorch's do.
template <class C>
struct Exponentials {
  C max, sum;
  static __device__ C scale(C from, C to) { return from == to ? C(1) : exponential(from - to); }
  __device__ void add(C x) {
    const C now = greater(max, x);
    sum = sum * scale(max, now) + (x == Limits<C>::lowest() ? C(0) : exponential(x - now));
    max = now;
  }
  __device__ Exponentials with(const Exponentials& b) const {
    const C now = greater(max, b.max);
    return {now, sum * scale(max, now) + b.sum * scale(b.max, now)};
  }
  __device__ static Exponentials join(const Exponentials& a, const Exponentials& b) { return a.with(b); }
  __device__ Exponentials from_lane(int distance) const { return {__shfl_xor_sync(0xffffffffu, max, distance), __shfl_xor_sync(0xffffffffu, sum, distance)}; }
};

template <bool kLog, class C>
struct Finish {
  C max, factor;  // log: shift
  __device__ explicit Finish(const Exponentials<C>& e) : max(e.max), factor(kLog ? logarithm(e.sum) : C(1) / e.sum) {}
  __device__ C operator()(C x) const { return kLog ? x - max - factor : exponential(x - max) * factor; }
};

// A row is at most kPacks packs for each thread of its team, and stays in registers.
template <class E, int kWidth, int kPacks, bool kLog, class Index>
__global__ void softmax_short(const E* x, E* y, i64_t rows, i64_t length, i64_t x_stride, i64_t y_stride, const Dims<Index, 2> around) {
  wait_for_earlier_kernels();
  using C = compute_t<E>;
  const i64_t r = static_cast<i64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (r >= rows) return;  // teams of several to a block are warps
  Index at[2];
  around.locate(static_cast<Index>(r), at);
  const Row<const E, kWidth> from{x + at[0], x_stride};
  const Row<E, kWidth> to{y + at[1], y_stride};
  const i64_t packs = length / kWidth;
  C values[kPacks][kWidth];
  C max = Limits<C>::lowest();
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const i64_t pack = threadIdx.x + static_cast<i64_t>(p) * blockDim.x;
    if (pack < packs) {
      const auto got = from.get(pack);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) values[p][i] = convert<C>(got.at[i]);
    } else {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) values[p][i] = Limits<C>::lowest();
    }
#pragma unroll
    for (int i = 0; i < kWidth; ++i) max = greater(max, values[p][i]);
  }
  C sum = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
#pragma unroll
    for (int i = 0; i < kWidth; ++i) sum += values[p][i] == Limits<C>::lowest() ? C(0) : exponential(values[p][i] - max);
  }
  const Finish<kLog, C> finish(team_combine(Exponentials<C>{max, sum}, Exponentials<C>::join));
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const i64_t pack = threadIdx.x + static_cast<i64_t>(p) * blockDim.x;
    if (pack >= packs) break;
    Vector<E, kWidth> out;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) out.at[i] = convert<E>(finish(values[p][i]));
    to.put(pack, out);
  }
}

// Rows of any length, read twice, by a block each.
template <class E, int kWidth, bool kLog, class Index>
__global__ void softmax_long(const E* x, E* y, i64_t rows, i64_t length, i64_t x_stride, i64_t y_stride, const Dims<Index, 2> around) {
  wait_for_earlier_kernels();
  using C = compute_t<E>;
  Index at[2];
  around.locate(static_cast<Index>(blockIdx.x), at);
  const Row<const E, kWidth> from{x + at[0], x_stride};
  const Row<E, kWidth> to{y + at[1], y_stride};
  const i64_t packs = length / kWidth;
  Exponentials<C> seen{Limits<C>::lowest(), 0};
#pragma unroll 4
  for (i64_t pack = threadIdx.x; pack < packs; pack += blockDim.x) {
    const auto got = from.get(pack);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) seen.add(convert<C>(got.at[i]));
  }
  const Finish<kLog, C> finish(team_combine(seen, Exponentials<C>::join));
#pragma unroll 4
  for (i64_t pack = threadIdx.x; pack < packs; pack += blockDim.x) {
    const auto got = from.get(pack);
    Vector<E, kWidth> out;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) out.at[i] = convert<E>(finish(convert<C>(got.at[i])));
    to.put(pack, out);
  }
}

// Neighbouring rows lie beside each other: threadIdx.x counts rows, threadIdx.y shares out a row.
template <class E, bool kLog, class Index>
__global__ void softmax_across(const E* x, E* y, i64_t rows, i64_t length, i64_t x_stride, i64_t y_stride, const Dims<Index, 2> around) {
  wait_for_earlier_kernels();
  using C = compute_t<E>;
  __shared__ Exponentials<C> parts[32][33];
  const i64_t r = static_cast<i64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  Index at[2];
  around.locate(static_cast<Index>(r < rows ? r : 0), at);
  const E* from = x + at[0];
  E* to = y + at[1];
  Exponentials<C> seen{Limits<C>::lowest(), 0};
#pragma unroll 4
  for (i64_t i = threadIdx.y; i < length; i += blockDim.y) seen.add(convert<C>(from[i * x_stride]));
  if (blockDim.y > 1) {
    parts[threadIdx.y][threadIdx.x] = seen;
    __syncthreads();
    seen = parts[0][threadIdx.x];
    for (int part = 1; part < blockDim.y; ++part) seen = seen.with(parts[part][threadIdx.x]);
  }
  if (r >= rows) return;
  const Finish<kLog, C> finish(seen);
#pragma unroll 4
  for (i64_t i = threadIdx.y; i < length; i += blockDim.y) to[i * y_stride] = convert<E>(finish(convert<C>(from[i * x_stride])));
}
