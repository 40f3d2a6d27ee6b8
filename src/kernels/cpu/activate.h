// Activations of vectors, and elements that are fewer than a vector has.
#pragma once

#include "kernels/cpu/vector.h"
#include "kernels/epilogue_form.h"

namespace reprise::kernels::cpu {

template <Activation kind, class V>
REPRISE_INLINE V activate(V x) {
  if constexpr (kind == Activation::relu) return x < 0.0F ? V{} : x;  // NaN stays
  if constexpr (kind == Activation::sigmoid || kind == Activation::silu) {
    const V gate = 1.0F / (1.0F + exp2_of(x * -1.44269504F > 126.0F ? broadcast<V>(126.0F) : x * -1.44269504F));
    return kind == Activation::silu ? x * gate : gate;
  }
  if constexpr (kind == Activation::hardsigmoid || kind == Activation::hardswish) {
    const V shifted = x + 3.0F, above = shifted < 0.0F ? V{} : shifted, gate = (above > 6.0F ? V{} + 6.0F : above) * (1.0F / 6.0F);
    return kind == Activation::hardswish ? x * gate : gate;
  }
  return x;
}

/// For functions that name an instruction set themselves: they may neither pass nor take vectors of those that do not.
template <Activation kind, class V>
REPRISE_INLINE void activate_in_place(V& x) {
  x = activate<kind>(x);
}

constexpr bool has_vector_form(Activation kind) {
  return kind == Activation::identity || kind == Activation::relu || kind == Activation::sigmoid || kind == Activation::silu ||
         kind == Activation::hardsigmoid || kind == Activation::hardswish;
}

/// Calls f.template operator()<kind>() for an activation that has_vector_form.
template <class F>
REPRISE_INLINE void with_activation(Activation kind, const F& f) {
  if (kind == Activation::relu) return f.template operator()<Activation::relu>();
  if (kind == Activation::sigmoid) return f.template operator()<Activation::sigmoid>();
  if (kind == Activation::silu) return f.template operator()<Activation::silu>();
  if (kind == Activation::hardsigmoid) return f.template operator()<Activation::hardsigmoid>();
  if (kind == Activation::hardswish) return f.template operator()<Activation::hardswish>();
  f.template operator()<Activation::identity>();
}

/// The first `n` elements; zeros behind them.
template <class V, class E>
REPRISE_INLINE V load_first(const E* p, std::int64_t n) {
  if (n == kWidth<V>) return load<V>(p);
  E lanes[kWidth<V>] = {};
  std::int64_t i = 0;
  if (2 * n >= kWidth<V>) {
    std::memcpy(lanes, p, sizeof lanes / 2);
    i = kWidth<V> / 2;
  }
  for (; i < n; ++i) lanes[i] = p[i];
  return load<V>(lanes);
}
template <class V, class E>
REPRISE_INLINE void store_first(E* p, V v, std::int64_t n) {
  if (n == kWidth<V>) return store(p, v);
  E lanes[kWidth<V>];
  store(lanes, v);
  std::int64_t i = 0;
  if (2 * n >= kWidth<V>) {
    std::memcpy(p, lanes, sizeof lanes / 2);
    i = kWidth<V> / 2;
  }
  for (; i < n; ++i) p[i] = lanes[i];
}

}  // namespace reprise::kernels::cpu
