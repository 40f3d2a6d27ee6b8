// Pooling and resizing: an output position reads a few input positions along each of up to three dimensions (missing ones have size 1).
#pragma once
#include "dims.cuh"
#include "numbers.cuh"

// ---- pool -------------------------------------------------------------------------------------------------------------------------------

template <class Index>
struct Pooling {
  i64_t count;  // outputs (packs of them)
  i64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
  i64_t x_strides[3];  // elements
  i64_t divisor;       // avg: 0: as many as `count_include_pad` says
  i64_t count_include_pad;
  Dims<Index, 6> outputs;  // x (image and channel), y, indices, position along the three dimensions
};

// Input positions first, first + step, … (count of them); `full` counts padding too, but not what lies beyond it.
template <class Index>
struct Span {
  Index first, count, step, full;
};

template <bool kAdaptive, class Index>
__device__ Span<Index> span_of(const Pooling<Index>& p, int d, Index o) {
  const Index in = static_cast<Index>(p.in[d]);
  if constexpr (kAdaptive) {
    const i64_t out = p.out[d];
    const Index first = static_cast<Index>(o * p.in[d] / out), count = static_cast<Index>(((o + 1) * p.in[d] + out - 1) / out) - first;
    return {first, count, 1, count};
  } else {
    const Index dilation = static_cast<Index>(p.dilation[d]), kernel = static_cast<Index>(p.kernel[d]), padding = static_cast<Index>(p.padding[d]);
    const Index start = o * static_cast<Index>(p.stride[d]) - padding;
    const Index first = start + (start < 0 ? (-start + dilation - 1) / dilation * dilation : 0);
    const Index reach = start + (kernel - 1) * dilation + 1, end = reach < in ? reach : in;
    const Index full = (start + kernel < in + padding ? start + kernel : in + padding) - start;
    return {first, end > first ? (end - first + dilation - 1) / dilation : 0, dilation, full};
  }
}

// The first of equal maxima; a NaN is greater than all, and the last one counts.
template <class E>
struct Maximum {
  using C = compute_t<E>;
  C value;
  i64_t where;  // -1: nothing yet
  static __device__ Maximum none() { return {C(0), -1}; }
  __device__ void add(C x, i64_t position) {
    if (where < 0 || x > value || is_not_number(x)) {
      value = x;
      where = position;
    }
  }
  __device__ void add(const Maximum& b) {
    if (b.where < 0) return;
    const bool equal = b.value == value, unknown = is_not_number(value);
    if (where < 0 || (is_not_number(b.value) ? !unknown || b.where > where : !unknown && (b.value > value || (equal && b.where < where)))) *this = b;
  }
  __device__ E result(i64_t, i64_t) const { return convert<E>(value); }
};

template <class E>
struct Average {
  using C = conditional_t<kIsReal<compute_t<E>>, compute_t<E>, i64_t>;
  C sum;
  i64_t where;
  static __device__ Average none() { return {C(0), 0}; }
  __device__ void add(C x, i64_t) { sum += x; }
  __device__ void add(const Average& b) { sum += b.sum; }
  __device__ E result(i64_t inside, i64_t divisor) const { return inside == 0 ? convert<E>(C(0)) : convert<E>(static_cast<C>(sum / static_cast<C>(divisor))); }
};

template <class Index>
__device__ i64_t divisor_of(const Pooling<Index>& p, const Span<Index> (&window)[3]) {
  i64_t divisor = 1;
  for (int d = 0; d < 3; ++d) divisor *= p.count_include_pad != 0 ? window[d].full : window[d].count;
  return p.divisor != 0 ? p.divisor : divisor;
}

template <class E, template <class> class Fold, bool kAdaptive, int kWidth, class Index>
__global__ void pool(const E* x, E* y, i64_t* indices, const Pooling<Index> p) {
  wait_for_earlier_kernels();
  const Index i = thread_position<Index>();
  if (i >= p.count) return;
  Index at[6];
  p.outputs.locate(i, at);
  Span<Index> window[3];
  for (int d = 0; d < 3; ++d) window[d] = span_of<kAdaptive>(p, d, at[3 + d]);
  Fold<E> folds[kWidth];
  for (auto& fold : folds) fold = Fold<E>::none();
  for (Index a = 0, i0 = window[0].first; a < window[0].count; ++a, i0 += window[0].step) {
    for (Index b = 0, i1 = window[1].first; b < window[1].count; ++b, i1 += window[1].step) {
      const E* row = x + at[0] + i0 * p.x_strides[0] + i1 * p.x_strides[1];
#pragma unroll 4
      for (Index c = 0, i2 = window[2].first; c < window[2].count; ++c, i2 += window[2].step) {
        const auto got = *reinterpret_cast<const Vector<E, kWidth>*>(row + i2 * p.x_strides[2]);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) folds[k].add(convert<typename Fold<E>::C>(got.at[k]), (i0 * p.in[1] + i1) * p.in[2] + i2);
      }
    }
  }
  const i64_t inside = static_cast<i64_t>(window[0].count) * window[1].count * window[2].count, divisor = divisor_of(p, window);
  Vector<E, kWidth> out;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) out.at[k] = folds[k].result(inside, divisor);
  *reinterpret_cast<Vector<E, kWidth>*>(y + at[1]) = out;
  if (kWidth == 1 && indices != nullptr) indices[at[2]] = folds[0].where;
}

// Few outputs with wide windows. kAcross: threadIdx.x counts outputs, which lie beside each other in the input, and threadIdx.y shares out the window; otherwise
// a block has one output.
template <class E, template <class> class Fold, bool kAdaptive, bool kAcross, class Index>
__global__ void pool_wide(const E* x, E* y, i64_t* indices, const Pooling<Index> p) {
  wait_for_earlier_kernels();
  constexpr int kLanes = kAcross ? 32 : 1, kParts = 256 / kLanes;
  __shared__ Fold<E> folds[kParts][kLanes];
  const int lane = kAcross ? threadIdx.x : 0, part = kAcross ? threadIdx.y : threadIdx.y * 32 + threadIdx.x;
  const Index i = static_cast<Index>(blockIdx.x) * kLanes + lane;
  Index at[6];
  p.outputs.locate(i < p.count ? i : 0, at);
  Span<Index> window[3];
  for (int d = 0; d < 3; ++d) window[d] = span_of<kAdaptive>(p, d, at[3 + d]);
  const Index inside = window[0].count * window[1].count * window[2].count;
  Fold<E> fold = Fold<E>::none();
#pragma unroll 4
  for (Index w = part; w < inside; w += kParts) {
    const Index row = w / window[2].count;
    const i64_t i2 = window[2].first + (w - row * window[2].count) * window[2].step, i1 = window[1].first + row % window[1].count * window[1].step,
                i0 = window[0].first + row / window[1].count * window[0].step;
    const E value = x[at[0] + i0 * p.x_strides[0] + i1 * p.x_strides[1] + i2 * p.x_strides[2]];
    fold.add(convert<typename Fold<E>::C>(value), (i0 * p.in[1] + i1) * p.in[2] + i2);
  }
  folds[part][lane] = fold;
  for (int step = kParts / 2; step > 0; step /= 2) {
    __syncthreads();
    if (part < step) folds[part][lane].add(folds[part + step][lane]);
  }
  if (part > 0 || i >= p.count) return;
  y[at[1]] = folds[0][lane].result(inside, divisor_of(p, window));
  if (indices != nullptr) indices[at[2]] = folds[0][lane].where;
}

template <class Index>
struct WholePooling {
  i64_t count;      // outputs (packs of them)
  i64_t positions;  // of a window, `step` elements apart
  i64_t step, divisor;
  Dims<Index, 2> outputs;  // x, y
};

/// What the thread of the same warp whose number differs in `mask` has.
template <class T>
__device__ T from_lane(const T& value, int mask) {
  constexpr int kWords = sizeof(T) / 4;
  static_assert(sizeof(T) % 4 == 0);
  T other;
  u32_t words[kWords];
  memcpy(words, &value, sizeof(T));
#pragma unroll
  for (int i = 0; i < kWords; ++i) words[i] = __shfl_xor_sync(0xffffffffu, words[i], mask);
  memcpy(&other, words, sizeof(T));
  return other;
}

// The window is all of the image, whose positions are evenly apart. kLanes threads beside each other have an output (a pack of them) each, and the others of the
// block share out the positions, kBatch loads at once.
template <class E, template <class> class Fold, int kWidth, int kLanes, class Index>
__global__ void __launch_bounds__(256) pool_whole(const E* x, E* y, const WholePooling<Index> p) {
  wait_for_earlier_kernels();
  constexpr int kParts = 256 / kLanes, kBatch = 8, kWarps = 8;
  using Pack = Vector<E, kWidth>;
  __shared__ Fold<E> folds[kWarps][kLanes][kWidth];
  const int lane = threadIdx.x % kLanes, part = threadIdx.x / kLanes;
  const Index i = static_cast<Index>(blockIdx.x) * kLanes + lane, positions = static_cast<Index>(p.positions);
  Index at[2];
  p.outputs.locate(i < p.count ? i : 0, at);
  Fold<E> fold[kWidth];
  for (auto& f : fold) f = Fold<E>::none();
  for (Index w = part; w < positions; w += kBatch * kParts) {
    Pack got[kBatch];
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const Index at_k = w + k * kParts;
      got[k] = *reinterpret_cast<const Pack*>(x + at[0] + static_cast<Index>(p.step) * (at_k < positions ? at_k : w));
    }
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      if (w + k * kParts >= positions) break;
#pragma unroll
      for (int c = 0; c < kWidth; ++c) fold[c].add(convert<typename Fold<E>::C>(got[k].at[c]), w + k * kParts);
    }
  }
#pragma unroll
  for (int mask = kLanes; mask < 32; mask *= 2) {
#pragma unroll
    for (int c = 0; c < kWidth; ++c) fold[c].add(from_lane(fold[c], mask));
  }
  if (threadIdx.x % 32 < kLanes) {
#pragma unroll
    for (int c = 0; c < kWidth; ++c) folds[threadIdx.x / 32][lane][c] = fold[c];
  }
  __syncthreads();
  // A thread for every element: of lane `o`, channel `c` of its pack.
  const int o = threadIdx.x / kWidth, c = threadIdx.x % kWidth;
  const Index output = static_cast<Index>(blockIdx.x) * kLanes + o;
  if (o >= kLanes || output >= p.count) return;
  Fold<E> whole = folds[0][o][c];
  for (int w = 1; w < kWarps; ++w) whole.add(folds[w][o][c]);
  p.outputs.locate(output, at);
  y[at[1] + c] = whole.result(positions, p.divisor);
}

// Small windows in a plane: all loads of one at once.
template <class E, template <class> class Fold, int kRows, int kColumns, int kWidth, class Index>
__global__ void pool_plane(const E* x, E* y, const Pooling<Index> p) {
  wait_for_earlier_kernels();
  using Pack = Vector<E, kWidth>;
  const Index i = thread_position<Index>();
  if (i >= p.count) return;
  Index at[6];
  p.outputs.locate(i, at);
  Span<Index> window[3];
  for (int d = 0; d < 3; ++d) window[d] = span_of<false>(p, d, at[3 + d]);
  Pack got[kRows][kColumns];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const Index row = window[1].first + (r < window[1].count ? r : 0) * window[1].step, column = window[2].first + (c < window[2].count ? c : 0) * window[2].step;
      if (window[1].count > 0 && window[2].count > 0) got[r][c] = *reinterpret_cast<const Pack*>(x + at[0] + row * p.x_strides[1] + column * p.x_strides[2]);
    }
  }
  Fold<E> folds[kWidth];
  for (auto& fold : folds) fold = Fold<E>::none();
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      if (r >= window[1].count || c >= window[2].count) continue;
#pragma unroll
      for (int k = 0; k < kWidth; ++k) folds[k].add(convert<typename Fold<E>::C>(got[r][c].at[k]), r * kColumns + c);
    }
  }
  const i64_t inside = static_cast<i64_t>(window[1].count) * window[2].count, divisor = divisor_of(p, window);
  Pack out;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) out.at[k] = folds[k].result(inside, divisor);
  *reinterpret_cast<Pack*>(y + at[1]) = out;
}

// ---- resize -----------------------------------------------------------------------------------------------------------------------------

enum Filter { kNearest, kNearestExact, kLinear, kCubic, kLinearAntialias, kCubicAntialias };

template <class Index>
struct Resizing {
  i64_t count;
  i64_t in[3], x_strides[3];
  f64_t scale[3];  // input positions per output position, rounded as F is
  i64_t align_corners;
  Dims<Index, 5> outputs;  // x (image and channel), y, position along the three dimensions
};

// A product that is rounded before it is added to, as the CPU's is.
__device__ inline f32_t product(f32_t a, f32_t b) { return __fmul_rn(a, b); }
__device__ inline f64_t product(f64_t a, f64_t b) { return __dmul_rn(a, b); }

// Keys' cubic convolution kernel at distance x.
template <class F>
__device__ F cubic(F x, F a) {
  x = x < 0 ? -x : x;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : F(0);
}

// The input positions that output position o is made of, and their weights.
template <Filter kFilter, class F>
struct Taps {
  static constexpr bool kAntialias = kFilter >= kLinearAntialias;
  static constexpr int kCount = kFilter <= kNearestExact ? 1 : kFilter == kLinear ? 2 : 4;
  i64_t in, first, wide;
  F part, stretch, total;

  __device__ Taps(i64_t in_size, F scale, bool align_corners, i64_t o) : in(in_size), wide(kCount), stretch(1), total(1) {
    if constexpr (kFilter <= kNearestExact) {
      const f32_t at = product((static_cast<f32_t>(o) + (kFilter == kNearestExact ? 0.5f : 0.0f)), static_cast<f32_t>(scale));
      first = static_cast<i64_t>(floorf(at));
      part = 0;
    } else if constexpr (kAntialias) {
      stretch = scale > 1 ? scale : F(1);
      const F support = (kFilter == kCubicAntialias ? F(2) : F(1)) * stretch, center = product(scale, static_cast<F>(o) + F(0.5));
      part = center;
      first = static_cast<i64_t>(center - support + F(0.5));
      first = first > 0 ? first : 0;
      const i64_t end = static_cast<i64_t>(center + support + F(0.5));
      wide = (end < in ? end : in) - first;
      F sum = 0;
      for (i64_t k = 0; k < wide; ++k) sum += weight(k);
      total = sum == 0 ? F(1) : sum;
    } else {
      F at = align_corners ? product(scale, static_cast<F>(o)) : product(scale, static_cast<F>(o) + F(0.5)) - F(0.5);
      if (kFilter == kLinear && at < 0) at = 0;
      const F low = floor(at);
      part = at - low;
      first = static_cast<i64_t>(low) - (kFilter == kCubic ? 1 : 0);
      if (kFilter == kLinear && first >= in) {
        first = in - 1;
        part = 1;
      }
    }
  }
  __device__ i64_t count() const { return kAntialias ? wide : kCount; }
  __device__ i64_t position(i64_t k) const {
    const i64_t at = first + k;
    return at < 0 ? 0 : at < in ? at : in - 1;
  }
  __device__ F weight(i64_t k) const {
    if constexpr (kFilter == kLinear) return k == 0 ? F(1) - part : part;
    if constexpr (kFilter == kCubic) return cubic(part - static_cast<F>(k - 1), F(-0.75));
    if constexpr (kAntialias) {
      const F x = (static_cast<F>(first + k) - part + F(0.5)) / stretch, distance = x < 0 ? -x : x;
      return (kFilter == kCubicAntialias ? cubic(x, F(-0.5)) : distance < 1 ? F(1) - distance : F(0)) / total;
    }
    return F(1);
  }
};

template <int kDim, int kFirst, class F, class E, class T, class Index>
__device__ F weighted(const E* x, const T (&taps)[3], const Resizing<Index>& r) {
  if constexpr (kDim == 3) {
    return convert<F>(*x);
  } else if constexpr (kDim < kFirst) {
    return weighted<kDim + 1, kFirst, F>(x, taps, r);
  } else {
    F sum = 0;
    const i64_t count = taps[kDim].count();
#pragma unroll 4
    for (i64_t k = 0; k < count; ++k) sum += taps[kDim].weight(k) * weighted<kDim + 1, kFirst, F>(x + taps[kDim].position(k) * r.x_strides[kDim], taps, r);
    return sum;
  }
}

// Integers are rounded to the nearest, ties to even, and clamped.
template <class E, class F>
__device__ E rounded(F v) {
  if constexpr (is_same<E, bool>::value || kIsReal<compute_t<E>>) {
    return convert<E>(v);
  } else {
    const F low = static_cast<F>(Limits<E>::lowest()), high = static_cast<F>(Limits<E>::highest()), whole = rint(v);
    return whole <= low ? Limits<E>::lowest() : whole >= high ? Limits<E>::highest() : static_cast<E>(whole);
  }
}

// F: what values and weights are computed in. Dimensions before kFirst are missing.
template <class E, class F, Filter kFilter, int kFirst, class Index>
__global__ void resize(const E* x, E* y, const Resizing<Index> r) {
  wait_for_earlier_kernels();
  const Index i = thread_position<Index>();
  if (i >= r.count) return;
  Index at[5];
  r.outputs.locate(i, at);
  using T = Taps<kFilter, F>;
  const bool corners = r.align_corners != 0;
  const T taps[3] = {T(r.in[0], static_cast<F>(r.scale[0]), corners, at[2]), T(r.in[1], static_cast<F>(r.scale[1]), corners, at[3]),
                     T(r.in[2], static_cast<F>(r.scale[2]), corners, at[4])};
  y[at[1]] = rounded<E>(weighted<0, kFirst, F>(x + at[0], taps, r));
}
