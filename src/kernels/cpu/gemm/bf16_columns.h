// Up to 16, or up to 32 columns of a row of bf16 in vectors of f32. x86-64 only.
#pragma once

#include <cstdint>

#include "kernels/cpu/activate.h"
#include "kernels/cpu/matrix_units.h"

namespace reprise::kernels::cpu {

template <int Vectors>
struct Bf16Columns {
  __mmask32 there;

  static Bf16Columns first(std::int64_t count) { return {count >= 32 ? ~0U : (1U << count) - 1}; }

  REPRISE_BF16_INLINE void load(const std::uint16_t* row, __m512 (&to)[Vectors]) const {
    const __m512i all = _mm512_maskz_loadu_epi16(there, row);
    to[0] = widen(_mm512_castsi512_si256(all));
    if constexpr (Vectors == 2) to[1] = widen(_mm512_extracti64x4_epi64(all, 1));
  }
  REPRISE_BF16_INLINE void store(std::uint16_t* row, const __m512 (&from)[Vectors]) const {
    if constexpr (Vectors == 2)
      _mm512_mask_storeu_epi16(row, there, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(from[1], from[0])));
    else
      _mm256_mask_storeu_epi16(row, static_cast<__mmask16>(there), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(from[0])));
  }

 private:
  REPRISE_BF16_INLINE static __m512 widen(__m256i row) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(row), 16)); }
};

template <Activation kind>
REPRISE_BF16_INLINE void activate_sums(__m512& sums) {
  Floats<16> x = sums;
  activate_in_place<kind>(x);
  sums = x;
}

}  // namespace reprise::kernels::cpu
