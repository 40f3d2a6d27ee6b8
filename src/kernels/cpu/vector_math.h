// Functions of vectors of floats, by the formulas of kernels/reference/vector_math.h; within 4e-7 of the result, also of infinities and NaN.
#pragma once

#include "kernels/cpu/vector.h"

namespace reprise::kernels::cpu {

template <class V>
REPRISE_INLINE V absolute(V x) {
  return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(x) & 0x7fffffff);
}
template <class V>
REPRISE_INLINE V with_sign_of(V magnitude, V sign) {
  return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(absolute(magnitude)) | (reinterpret_cast<Bits<V>>(sign) & 0x80000000));
}

template <class V>
REPRISE_INLINE V exp_of(V x) {
  const V high = x > 89.0F ? broadcast<V>(89.0F) : x, clamped = high < -104.0F ? broadcast<V>(-104.0F) : high;
  constexpr float kMagic = 12582912.0F;
  const V shifted = clamped * 1.44269504F + kMagic, n = shifted - kMagic;
  const V r = (clamped - n * 0.693145752F) - n * 1.42860677e-6F;
  const V p = 1.0F + r * (1.0F + r * (0.5F + r * (1.0F / 6 + r * (1.0F / 24 + r * (1.0F / 120 + r * (1.0F / 720 + r * (1.0F / 5040)))))));
  using I = typename VectorTypes<kWidth<V>>::I;
  const I exponent = reinterpret_cast<I>(shifted) - 0x4b400000, half = exponent >> 1;  // 2^n in two factors: n may be outside the range of one
  return p * reinterpret_cast<V>((half + 127) << 23) * reinterpret_cast<V>((exponent - half + 127) << 23);
}

template <class V>
REPRISE_INLINE V sigmoid_of(V x) {
  return 1.0F / (1.0F + exp_of(-x));
}

template <class V>
REPRISE_INLINE V tanh_of(V x) {
  const V magnitude = absolute(x), square = x * x;
  const V small = x * (945.0F + square * (105.0F + square)) / (945.0F + square * (420.0F + square * 15.0F));
  const V large = 1.0F - 2.0F / (exp_of(2.0F * magnitude) + 1.0F);
  return magnitude < 0.55F ? small : with_sign_of(large, x);
}

/// x P(x²) / Q(x²), fitted to the relative error by reweighted least squares up to where erf is 1 in f32.
template <class V>
REPRISE_INLINE V erf_of(V x) {
  constexpr float kEnd = 3.92F;
  const V high = x > kEnd ? broadcast<V>(kEnd) : x, clamped = high < -kEnd ? broadcast<V>(-kEnd) : high, s = clamped * clamped;
  const V p = 1.12837911F + s * (0.191510424F + s * (0.0528706908F + s * (0.00380660477F + s * (0.000284679409F + s * 2.02655747e-06F))));
  const V q = 1.0F + s * (0.50305438F + s * (0.114543609F + s * (0.0150519349F + s * (0.00117039902F + s * 3.78381119e-05F))));
  const V y = clamped * (p / q), low = y > 1.0F ? broadcast<V>(1.0F) : y;
  return low < -1.0F ? broadcast<V>(-1.0F) : low;
}

/// The larger, or a NaN if there is one.
template <class V>
REPRISE_INLINE V maximum_of(V a, V b) {
  return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(larger_of(b, a)) | reinterpret_cast<Bits<V>>(is_nan(b)));
}
template <class V>
REPRISE_INLINE V minimum_of(V a, V b) {
  return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(b < a ? b : a) | reinterpret_cast<Bits<V>>(is_nan(b)));
}

}  // namespace reprise::kernels::cpu
