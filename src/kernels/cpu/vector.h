// Vectors of W floats as a template of the loops that use them: 4, 8 or 16 wide, chosen at run time.
//
// Everything here is inlined into the function that names the instruction set (isa.h); what takes or gives vectors must not be called any other way.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/isa.h"
#include "reprise/dtype.h"
#include "tensor/half.h"

namespace reprise::kernels::cpu {

#define REPRISE_INLINE [[gnu::always_inline]] inline

template <int W>
struct VectorTypes {
  using F [[gnu::vector_size(4 * W)]] = float;
  using U [[gnu::vector_size(4 * W)]] = std::uint32_t;
  using I [[gnu::vector_size(4 * W)]] = std::int32_t;
  using H [[gnu::vector_size(2 * W)]] = std::uint16_t;
  using Pairs [[gnu::vector_size(4 * W)]] = std::uint16_t;
};
template <int W>
using Floats = typename VectorTypes<W>::F;

template <class V>
constexpr int kWidth = static_cast<int>(sizeof(V) / 4);
template <class V>
using Bits = typename VectorTypes<kWidth<V>>::U;
template <class V>
using Halves = typename VectorTypes<kWidth<V>>::H;

template <class V>
REPRISE_INLINE V load(const float* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
REPRISE_INLINE void store(float* p, V v) {
  std::memcpy(p, &v, sizeof v);
}
template <class V, int... I>
REPRISE_INLINE V widen(Halves<V> h, std::integer_sequence<int, I...>) {
  return reinterpret_cast<V>(__builtin_shufflevector(Halves<V>{}, h, (I % 2 * kWidth<V> + I / 2)...));
}
template <class V, int... I>
REPRISE_INLINE Halves<V> upper_halves(V v, std::integer_sequence<int, I...>) {
  const auto pairs = reinterpret_cast<typename VectorTypes<kWidth<V>>::Pairs>(v);
  return __builtin_shufflevector(pairs, pairs, (2 * I + 1)...);
}
template <class V>
REPRISE_INLINE V load(const BFloat16* p) {
  Halves<V> h;
  std::memcpy(&h, p, sizeof h);
  return widen<V>(h, std::make_integer_sequence<int, 2 * kWidth<V>>{});
}
/// By its bits: comparisons of a vector with itself become one of each lane.
template <class V>
REPRISE_INLINE auto is_nan(V v) {
  return (reinterpret_cast<typename VectorTypes<kWidth<V>>::I>(v) & 0x7fffffff) > 0x7f800000;
}
/// v rounded to nearest even to bf16, which the upper half of each lane holds then; a NaN stays one.
template <class V>
REPRISE_INLINE V rounded_to_bf16(V v) {
  const auto u = reinterpret_cast<Bits<V>>(v);
  return reinterpret_cast<V>(is_nan(v) ? u | 0x400000 : u + 0x7fff + ((u >> 16) & 1));
}
template <class V>
REPRISE_INLINE void store(BFloat16* p, V v) {
  const auto h = upper_halves(rounded_to_bf16(v), std::make_integer_sequence<int, kWidth<V>>{});
  std::memcpy(static_cast<void*>(p), &h, sizeof h);
}

// f16 by the formulas of half.h.
template <class V>
REPRISE_INLINE V load(const Half* p) {
  Halves<V> h;
  std::memcpy(&h, p, sizeof h);
  const Bits<V> u = __builtin_convertvector(h, Bits<V>), magnitude = u & 0x7fff;
  const Bits<V> normal = (magnitude << 13) + 0x38000000 + (magnitude >= 0x7c00 ? Bits<V>{} + 0x38000000 : Bits<V>{});
  const V subnormal = reinterpret_cast<V>(magnitude + 0x3f000000) - 0.5F;
  return reinterpret_cast<V>((magnitude < 0x400 ? reinterpret_cast<Bits<V>>(subnormal) : normal) | ((u & 0x8000) << 16));
}
template <class V>
REPRISE_INLINE void store(Half* p, V v) {
  const auto u = reinterpret_cast<Bits<V>>(v);
  const Bits<V> magnitude = u & 0x7fffffff;
  const Bits<V> normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  const Bits<V> subnormal = reinterpret_cast<Bits<V>>(reinterpret_cast<V>(magnitude) + 0.5F) - 0x3f000000;
  const Bits<V> special = magnitude > 0x7f800000 ? 0x7e00 | ((magnitude >> 13) & 0x3ff) : Bits<V>{} + 0x7c00;
  const Bits<V> finite = magnitude < 0x38800000 ? subnormal : normal;
  const auto h = __builtin_convertvector((magnitude >= 0x477ff000 ? special : finite) | ((u >> 16) & 0x8000), Halves<V>);
  std::memcpy(static_cast<void*>(p), &h, sizeof h);
}

template <class V>
REPRISE_INLINE V broadcast(float x) {
  return x - V{};
}
/// b where one is NaN.
template <class V>
REPRISE_INLINE V larger_of(V a, V b) {
  return a > b ? a : b;
}

template <class V, int... I>
REPRISE_INLINE V shuffle_low(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + I % 2 * kWidth<V>)...);
}
template <class V, int... I>
REPRISE_INLINE V shuffle_high(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (kWidth<V> / 2 + I / 2 + I % 2 * kWidth<V>)...);
}
/// The square of W vectors of W elements, transposed by perfect shuffles.
template <class V>
REPRISE_INLINE void transpose(V (&rows)[kWidth<V>]) {
  constexpr int W = kWidth<V>;
  constexpr auto kIndices = std::make_integer_sequence<int, W>{};
#pragma GCC unroll 4
  for (int round = 1; round < W; round *= 2) {
    V next[W];
#pragma GCC unroll 16
    for (int i = 0; i < W / 2; ++i) {
      next[2 * i] = shuffle_low(rows[i], rows[i + W / 2], kIndices);
      next[2 * i + 1] = shuffle_high(rows[i], rows[i + W / 2], kIndices);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) rows[i] = next[i];
  }
}

template <int kBy, class V, int... I>
REPRISE_INLINE V rotated(V v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, ((I + kBy) % kWidth<V>)...);
}
/// All lanes joined by join(V, V), in every lane.
template <class V, int kBy = kWidth<V> / 2, class Join>
REPRISE_INLINE V join_lanes(V v, const Join& join) {
  const V joined = join(v, rotated<kBy>(v, std::make_integer_sequence<int, kWidth<V>>{}));
  if constexpr (kBy == 1)
    return joined;
  else
    return join_lanes<V, kBy / 2>(joined, join);
}

#define REPRISE_INLINE_LAMBDA __attribute__((always_inline))

/// Of all lanes.
template <class V>
REPRISE_INLINE float sum_of(V v) {
  return join_lanes(v, [](V a, V b) REPRISE_INLINE_LAMBDA { return a + b; })[0];
}
template <class V>
REPRISE_INLINE float largest_of(V v) {
  return join_lanes(v, [](V a, V b) REPRISE_INLINE_LAMBDA { return larger_of(a, b); })[0];
}

/// The polynomial of exp2_of: of degree 6, relative error 2e-9.
inline constexpr float kExp2[] = {0.000153533605F, 0.00133988750F, 0.00961843692F, 0.0555033237F, 0.240226477F, 0.693147182F, 1.0F};
/// 2^t within 1.2 ulp for t <= 127; 0 below -126. 2^t = 2^n 2^r with |r| <= 1/2; 2^r by a polynomial fitted for the least relative error.
template <class V>
REPRISE_INLINE V exp2_of(V t) {
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, held in the low bits
  const V shifted = t + kMagic;
  const V r = t - (shifted - kMagic);
  V p = r * kExp2[0] + kExp2[1];
#pragma GCC unroll 8
  for (int i = 2; i < 7; ++i) p = p * r + kExp2[i];
  p = reinterpret_cast<V>(reinterpret_cast<Bits<V>>(p) + (reinterpret_cast<Bits<V>>(shifted) << 23));
  return t < -126.0F ? V{} : p;
}

template <class F16, class F8, class F4, class... Args>
auto of_widths(Isa isa, void (*plain)(Args...)) -> void (*)(Args...) {
  return isa >= Isa::avx512 ? &run_avx512<F16, Args...> : isa == Isa::avx2 ? &run_avx2<F8, Args...> : plain;
}
/// The `run` of Loop<16>, Loop<8> or Loop<4>, whichever is for the instruction set in use.
template <template <int> class Loop>
auto of_best_width() {
  return of_widths<Loop<16>, Loop<8>, Loop<4>>(active_isa(), &Loop<4>::run);
}

/// Rows of elements read as floats.
template <int W, class E>
struct ReadRows {
  /// to[r * to_stride + c] = from[r * row_stride + c * column_stride] for c < columns, 0 up to to_stride.
  REPRISE_INLINE static void run(const void* from, std::int64_t row_stride, std::int64_t column_stride, std::int64_t rows, std::int64_t columns, float* to,
                                 std::int64_t to_stride) {
    const auto* row = static_cast<const E*>(from);
    for (std::int64_t r = 0; r < rows; ++r, row += row_stride, to += to_stride) {
      std::int64_t c = 0;
      if (column_stride == 1) {
        for (; c + W <= columns; c += W) store(to + c, load<Floats<W>>(row + c));
      } else if (column_stride != 0) {
        for (E lanes[W]; c + W <= columns; c += W) {
          for (int i = 0; i < W; ++i) lanes[i] = row[(c + i) * column_stride];
          store(to + c, load<Floats<W>>(lanes));
        }
      }
      for (; c < columns; ++c) to[c] = static_cast<float>(row[c * column_stride]);
      for (; c < to_stride; ++c) to[c] = 0;
    }
  }
};
template <int W, class E>
struct WriteRows {
  /// to[r * row_stride + c * column_stride] = from[r * from_stride + c] for c < columns.
  REPRISE_INLINE static void run(const float* from, std::int64_t from_stride, std::int64_t rows, std::int64_t columns, void* to, std::int64_t row_stride,
                                 std::int64_t column_stride) {
    auto* row = static_cast<E*>(to);
    for (std::int64_t r = 0; r < rows; ++r, row += row_stride, from += from_stride) {
      std::int64_t c = 0;
      if (column_stride == 1) {
        for (; c + W <= columns; c += W) store(row + c, load<Floats<W>>(from + c));
      } else {
        for (E lanes[W]; c + W <= columns; c += W) {
          store(lanes, load<Floats<W>>(from + c));
          for (int i = 0; i < W; ++i) row[(c + i) * column_stride] = lanes[i];
        }
      }
      for (; c < columns; ++c) row[c * column_stride] = static_cast<E>(from[c]);
    }
  }
};

/// The `run` of Loop<W, E> for the instruction set in use and the elements of `dtype`: f32, f16 or bf16.
template <template <int, class> class Loop>
auto of_best_width(DType dtype) {
  const Isa isa = active_isa();
  if (dtype == DType::f16) return of_widths<Loop<16, Half>, Loop<8, Half>, Loop<4, Half>>(isa, &Loop<4, Half>::run);
  if (dtype == DType::bf16) return of_widths<Loop<16, BFloat16>, Loop<8, BFloat16>, Loop<4, BFloat16>>(isa, &Loop<4, BFloat16>::run);
  return of_widths<Loop<16, float>, Loop<8, float>, Loop<4, float>>(isa, &Loop<4, float>::run);
}

}  // namespace reprise::kernels::cpu
