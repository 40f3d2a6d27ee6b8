// Results of bf16 where AVX-512 rounds to it: a row of a panel is two vectors of sums and one of results.
#include "kernels/cpu/conv/activate.h"
#include "kernels/cpu/gemm/tiles.h"

#if defined(__x86_64__)

#include "kernels/cpu/matrix_units.h"

namespace reprise::kernels::cpu {
namespace {

using V = Floats<16>;

/// A panel's columns of a row.
struct Columns {
  __mmask32 both;
  __mmask16 low, high;
};

REPRISE_BF16 inline V widen(__mmask16 mask, const std::uint16_t* from) {
  return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(_mm512_maskz_cvtepu16_epi32(mask, _mm256_maskz_loadu_epi16(mask, from))) << 16);
}

template <Activation kind, bool adds>
REPRISE_BF16 void run_rows(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                           const Columns& there) {
  const auto* bias = static_cast<const std::uint16_t*>(to.bias);
  const V bias0 = bias == nullptr ? V{} : widen(there.low, bias + column), bias1 = bias == nullptr ? V{} : widen(there.high, bias + column + 16);
  auto* y = static_cast<std::uint16_t*>(to.y) + row * to.y_stride + column;
  const auto* addend = adds ? static_cast<const std::uint16_t*>(to.addend) + row * to.addend_stride + column : nullptr;
  for (std::int64_t r = 0; r < rows; ++r, tile += tile_stride, y += to.y_stride) {
    V low = _mm512_loadu_ps(tile) + bias0, high = _mm512_loadu_ps(tile + 16) + bias1;
    if constexpr (adds) {
      low += widen(there.low, addend);
      high += widen(there.high, addend + 16);
      addend += to.addend_stride;
    }
    activate_in_place<kind>(low);
    activate_in_place<kind>(high);
    const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
    _mm512_mask_storeu_epi16(y, there.both, reinterpret_cast<__m512i>(both));
  }
}

template <Activation kind>
REPRISE_BF16 void run(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                      std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; c += 32, tile += 32) {
    const auto both = static_cast<__mmask32>(columns - c >= 32 ? ~0U : (1U << (columns - c)) - 1);
    const Columns there{both, static_cast<__mmask16>(both), static_cast<__mmask16>(both >> 16)};
    if (to.addend != nullptr)
      run_rows<kind, true>(to, tile, tile_stride, row, rows, column + c, there);
    else
      run_rows<kind, false>(to, tile, tile_stride, row, rows, column + c, there);
  }
}

}  // namespace

Finish::Run bf16_finish_kernel(Activation activation) {
  Finish::Run kernel = nullptr;
  if (has_vector_form(activation)) with_activation(activation, [&]<Activation kind>() { kernel = &run<kind>; });
  return kernel;
}

}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {

Finish::Run bf16_finish_kernel(Activation) { return nullptr; }

}  // namespace reprise::kernels::cpu

#endif
