// Normalizations of rows: layer and RMS (weight and bias along the row), group (one of each for a channel). Mean first, then the mean square of what is left.
#pragma once
#include "rows.cuh"

__device__ inline f32_t root(f32_t x) { return sqrtf(x); }
__device__ inline f64_t root(f64_t x) { return sqrt(x); }

// What the kernels share; the host writes it member by member. Types: x and y, weight, bias, mean, rstd.
template <class E, class W, class B, class M, class R, class Index>
struct NormRows {
  using Element = E;
  using Weight = W;
  using Bias = B;
  using C = compute_t<E>;
  using Position = Index;
  const E* x;
  E* y;
  const W* weight;  // null: 1
  const B* bias;    // null: 0
  M* mean;          // null: not wanted
  R* rstd;
  f64_t eps;
  i64_t rows, length;
  i64_t group_rows;         // group: rows of one image
  i64_t channel_size;       // group: elements of a channel, which follow each other in a row
  i64_t channel_strides[2]; // group: of weight and bias
  Dims<Index, 4> around;    // x, y, mean, rstd: where a row begins
  Dims<Index, 4> line;      // x, y, weight, bias: where its elements lie (group: x and y)
};

// `parameter` (operand `operand` of the line) for pack `pack` of row r.
template <class C, int kWidth, bool kDense, bool kGroup, class P, class N>
__device__ void get_parameter(const N& n, const P* parameter, int operand, i64_t r, i64_t pack, C absent, C (&out)[kWidth]) {
  using Index = typename N::Position;
  C value = absent;
  if (parameter != nullptr) {
    if constexpr (kGroup) {  // a pack lies within one channel
      const i64_t channel = r % n.group_rows * (n.length / n.channel_size) + static_cast<Index>(pack * kWidth) / static_cast<Index>(n.channel_size);
      value = convert<C>(parameter[channel * n.channel_strides[operand - 2]]);
    } else if constexpr (kDense) {
      const auto got = reinterpret_cast<const Vector<P, kWidth>*>(parameter)[pack];
#pragma unroll
      for (int i = 0; i < kWidth; ++i) out[i] = convert<C>(got.at[i]);
      return;
    } else {
      Index at[4];
      n.line.locate(static_cast<Index>(pack), at);
      value = convert<C>(parameter[at[operand]]);
    }
  }
#pragma unroll
  for (int i = 0; i < kWidth; ++i) out[i] = value;
}

template <class C, int kWidth, bool kDense, bool kGroup, class N>
struct Affine {
  const N& n;
  i64_t r;
  C mean, rstd;
  template <class E>
  __device__ Vector<E, kWidth> operator()(i64_t pack, const C (&x)[kWidth]) const {
    C weight[kWidth], bias[kWidth];
    get_parameter<C, kWidth, kDense, kGroup>(n, n.weight, 2, r, pack, C(1), weight);
    get_parameter<C, kWidth, kDense, kGroup>(n, n.bias, 3, r, pack, C(0), bias);
    Vector<E, kWidth> out;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) out.at[i] = convert<E>((x[i] - mean) * rstd * weight[i] + bias[i]);
    return out;
  }
};

template <class S, class C>
__device__ void put_as(S* to, C value) {
  *to = convert<S>(value);
}
template <class N, class Index, class C>
__device__ void put_statistics(const N& n, const Index (&at)[4], C mean, C rstd) {
  if (threadIdx.x != 0) return;
  if (n.mean != nullptr) put_as(n.mean + at[2], mean);
  if (n.rstd != nullptr) put_as(n.rstd + at[3], rstd);
}

// Weight and bias of a dense row, read together with its elements and not when these are through.
template <class N, int kWidth, int kPacks>
struct RowParameters {
  using C = typename N::C;
  Vector<typename N::Weight, kWidth> weight[kPacks];
  Vector<typename N::Bias, kWidth> bias[kPacks];
  __device__ void load(const N& n, int p, i64_t pack) {
    if (n.weight != nullptr) weight[p] = reinterpret_cast<const Vector<typename N::Weight, kWidth>*>(n.weight)[pack];
    if (n.bias != nullptr) bias[p] = reinterpret_cast<const Vector<typename N::Bias, kWidth>*>(n.bias)[pack];
  }
  __device__ C scaled(const N& n, int p, int i, C x) const {
    return x * (n.weight != nullptr ? convert<C>(weight[p].at[i]) : C(1)) + (n.bias != nullptr ? convert<C>(bias[p].at[i]) : C(0));
  }
};

// A row is at most kPacks packs for each thread of its team, dense and aligned, and stays in registers; so do weight and bias if kEarly (not group), which
// blocks of many threads have no registers for.
template <class N, int kWidth, int kPacks, bool kEarly, bool kCentered, bool kGroup, class Index>
__global__ void norm_short(const N n) {
  wait_for_earlier_kernels();
  using E = typename N::Element;
  using C = typename N::C;
  const i64_t r = static_cast<i64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (r >= n.rows) return;  // teams of several to a block are warps
  Index at[4];
  n.around.locate(static_cast<Index>(r), at);
  const auto* from = reinterpret_cast<const Vector<E, kWidth>*>(n.x + at[0]);
  auto* to = reinterpret_cast<Vector<E, kWidth>*>(n.y + at[1]);
  const i64_t packs = n.length / kWidth;
  C values[kPacks][kWidth];
  RowParameters<N, kWidth, kEarly ? kPacks : 1> parameters;
  C sum = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const i64_t pack = threadIdx.x + static_cast<i64_t>(p) * blockDim.x;
    if (pack < packs) {
      const auto got = from[pack];
      if constexpr (kEarly) parameters.load(n, p, pack);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sum += values[p][i] = convert<C>(got.at[i]);
    }
  }
  const C mean = kCentered ? team_sum(sum) / static_cast<C>(n.length) : C(0);
  C squares = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    if (threadIdx.x + static_cast<i64_t>(p) * blockDim.x < packs) {
#pragma unroll
      for (int i = 0; i < kWidth; ++i) squares += (values[p][i] - mean) * (values[p][i] - mean);
    }
  }
  const C rstd = C(1) / root(team_sum(squares) / static_cast<C>(n.length) + static_cast<C>(n.eps));
  put_statistics(n, at, mean, rstd);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const i64_t pack = threadIdx.x + static_cast<i64_t>(p) * blockDim.x;
    if (pack >= packs) continue;
    if constexpr (kEarly) {
      Vector<E, kWidth> out;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) out.at[i] = convert<E>(parameters.scaled(n, p, i, (values[p][i] - mean) * rstd));
      to[pack] = out;
    } else {
      to[pack] = Affine<C, kWidth, true, kGroup, N>{n, r, mean, rstd}.template operator()<E>(pack, values[p]);
    }
  }
}

// The packs of a row, shared out among the threads of a block.
template <class N, int kWidth, bool kDense>
struct InRow {
  using E = typename N::Element;
  using C = typename N::C;
  const N& n;
  const E* x;
  E* y;
  __device__ i64_t offset(i64_t pack, int operand) const {
    if constexpr (kDense) return pack * kWidth;
    typename N::Position at[4];
    n.line.locate(static_cast<typename N::Position>(pack), at);
    return at[operand];
  }
  template <class Body>
  __device__ void each(const Body& body) const {
    const i64_t packs = n.length / kWidth;
#pragma unroll 4
    for (i64_t pack = threadIdx.x; pack < packs; pack += blockDim.x) {
      const auto got = *reinterpret_cast<const Vector<E, kWidth>*>(x + offset(pack, 0));
      C values[kWidth];
#pragma unroll
      for (int i = 0; i < kWidth; ++i) values[i] = convert<C>(got.at[i]);
      body(pack, values);
    }
  }
};

// Rows of any length that lie anyhow, read three times, by a block each. kDense: in packs.
template <class N, int kWidth, bool kDense, bool kCentered, bool kGroup, class Index>
__global__ void norm_long(const N n) {
  wait_for_earlier_kernels();
  using E = typename N::Element;
  using C = typename N::C;
  const i64_t r = blockIdx.x;
  Index at[4];
  n.around.locate(static_cast<Index>(r), at);
  const InRow<N, kWidth, kDense> row{n, n.x + at[0], n.y + at[1]};
  C sum = 0;
  if constexpr (kCentered) {
    row.each([&](i64_t, const C(&values)[kWidth]) {
      for (const C v : values) sum += v;
    });
    sum = team_sum(sum);
  }
  const C mean = kCentered ? sum / static_cast<C>(n.length) : C(0);
  C squares = 0;
  row.each([&](i64_t, const C(&values)[kWidth]) {
    for (const C v : values) squares += (v - mean) * (v - mean);
  });
  const C rstd = C(1) / root(team_sum(squares) / static_cast<C>(n.length) + static_cast<C>(n.eps));
  put_statistics(n, at, mean, rstd);
  const Affine<C, kWidth, kDense, kGroup, N> affine{n, r, mean, rstd};
  row.each([&](i64_t pack, const C(&values)[kWidth]) {
    *reinterpret_cast<Vector<E, kWidth>*>(row.y + row.offset(pack, 1)) = affine.template operator()<E>(pack, values);
  });
}

// Batch norm at inference. x, y, then one element of each parameter for a channel; weight and bias may be null.
template <class E, class M, class V, class W, class B, class Index>
__global__ void norm_channels(const E* x, E* y, const M* mean, const V* variance, const W* weight, const B* bias, f64_t eps, i64_t count,
                              const Dims<Index, 6> dims) {
  wait_for_earlier_kernels();
  using C = compute_t<E>;
  const Index i = thread_position<Index>();
  if (i >= count) return;
  Index at[6];
  dims.locate(i, at);
  const C scale = (weight == nullptr ? C(1) : convert<C>(weight[at[4]])) / root(convert<C>(variance[at[3]]) + static_cast<C>(eps));
  const C shift = (bias == nullptr ? C(0) : convert<C>(bias[at[5]])) - convert<C>(mean[at[2]]) * scale;
  y[at[1]] = convert<E>(convert<C>(x[at[0]]) * scale + shift);
}
