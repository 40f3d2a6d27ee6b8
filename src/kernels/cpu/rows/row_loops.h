// Loops over one row of elements, in vectors; the last may be short.
#pragma once

#include <algorithm>

#include "kernels/cpu/vector.h"

namespace reprise::kernels::cpu {

/// The first n < W elements, `fill` behind them.
template <class V, class E>
REPRISE_INLINE V load_some(const E* p, std::int64_t n, float fill) {
  float lanes[kWidth<V>];
  store(lanes, broadcast<V>(fill));
  for (std::int64_t i = 0; i < n; ++i) lanes[i] = static_cast<float>(p[i]);
  return load<V>(lanes);
}
template <class V, class E>
REPRISE_INLINE void store_some(E* p, std::int64_t n, V v) {
  float lanes[kWidth<V>];
  store(lanes, v);
  for (std::int64_t i = 0; i < n; ++i) p[i] = static_cast<E>(lanes[i]);
}

/// Accumulators that hide the latency of `step`, joined: step(accumulator, vector); a short vector is filled up with `fill`.
template <class V, class E, class Step, class Join>
REPRISE_INLINE V fold_row(const E* x, std::int64_t n, V start, float fill, const Step& step, const Join& join) {
  constexpr int W = kWidth<V>, kChains = 4;
  V chains[kChains];
#pragma GCC unroll 4
  for (int c = 0; c < kChains; ++c) chains[c] = start;
  std::int64_t i = 0;
  for (; i + kChains * W <= n; i += kChains * W) {
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) chains[c] = step(chains[c], load<V>(x + i + c * W));
  }
  for (; i + W <= n; i += W) chains[0] = step(chains[0], load<V>(x + i));
  if (i < n) chains[1] = step(chains[1], load_some<V>(x + i, n - i, fill));
  return join(join(chains[0], chains[1]), join(chains[2], chains[3]));
}

/// Σ step of a row: f32 within blocks, f64 across them. step(accumulator, vector) adds nothing for `fill`.
template <class V, class E, class Step>
REPRISE_INLINE double sum_row(const E* x, std::int64_t n, float fill, const Step& step) {
  constexpr std::int64_t kBlock = 1024;
  double total = 0;
  for (std::int64_t at = 0; at < n; at += kBlock) {
    const V sum = fold_row<V>(x + at, std::min(kBlock, n - at), V{}, fill, step, [](V a, V b) REPRISE_INLINE_LAMBDA { return a + b; });
    total += static_cast<double>(sum_of(sum));
  }
  return total;
}

/// y[i] = f(x[i], i) for vectors of elements.
template <class V, class E, class To, class F>
REPRISE_INLINE void map_row(const E* x, std::int64_t n, To* y, const F& f) {
  constexpr int W = kWidth<V>;
  std::int64_t i = 0;
  for (; i + W <= n; i += W) store(y + i, f(load<V>(x + i), i, W));
  if (i < n) store_some(y + i, n - i, f(load_some<V>(x + i, n - i, 0), i, n - i));
}

/// n of W floats from `p` on: all where n is W.
template <class V>
REPRISE_INLINE V load_upto(const float* p, std::int64_t n) {
  return n == kWidth<V> ? load<V>(p) : load_some<V>(p, n, 0);
}

/// The largest of n elements; a NaN is found by `sum_row` over what comes of it.
template <class V, class E>
REPRISE_INLINE float largest_in_row(const E* x, std::int64_t n) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  const V largest = fold_row<V>(
      x, n, broadcast<V>(kLowest), kLowest, [](V a, V v) REPRISE_INLINE_LAMBDA { return larger_of(v, a); },
      [](V a, V b) REPRISE_INLINE_LAMBDA { return larger_of(a, b); });
  return largest_of(largest);
}

}  // namespace reprise::kernels::cpu
