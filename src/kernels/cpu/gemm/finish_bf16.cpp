// Results of bf16 where AVX-512 rounds to it: a row of a panel is two vectors of sums and one of results.
#include "kernels/cpu/activate.h"
#include "kernels/cpu/gemm/tiles.h"

#if defined(__x86_64__)

#include "kernels/cpu/matrix_units.h"

namespace reprise::kernels::cpu {
namespace {

using V = Floats<16>;

/// Up to 16, or up to 32 columns of a row.
template <int Vectors>
struct Columns {
  __mmask32 there;

  REPRISE_BF16 void widen(const std::uint16_t* from, V (&to)[Vectors]) const {
    const __m512i row = _mm512_maskz_loadu_epi16(there, from);
    to[0] = shifted(_mm512_castsi512_si256(row));
    if constexpr (Vectors == 2) to[1] = shifted(_mm512_extracti64x4_epi64(row, 1));
  }
  REPRISE_BF16 void store(std::uint16_t* to, const V (&from)[Vectors]) const {
    if constexpr (Vectors == 2)
      _mm512_mask_storeu_epi16(to, there, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(from[1], from[0])));
    else
      _mm256_mask_storeu_epi16(to, static_cast<__mmask16>(there), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(from[0])));
  }

 private:
  REPRISE_BF16 static V shifted(__m256i row) { return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(_mm512_cvtepu16_epi32(row)) << 16); }
};

template <Activation kind, int Vectors, bool adds>
REPRISE_BF16 void run_rows(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                           const Columns<Vectors>& columns) {
  V bias[Vectors] = {}, more[Vectors];
  if (to.bias != nullptr) columns.widen(static_cast<const std::uint16_t*>(to.bias) + column, bias);
  auto* y = static_cast<std::uint16_t*>(to.y) + row * to.y_stride + column;
  const auto* addend = adds ? static_cast<const std::uint16_t*>(to.addend) + row * to.addend_stride + column : nullptr;
  for (std::int64_t r = 0; r < rows; ++r, tile += tile_stride, y += to.y_stride) {
    V sums[Vectors];
#pragma GCC unroll 2
    for (std::int64_t v = 0; v < Vectors; ++v) sums[v] = _mm512_loadu_ps(tile + 16 * v) + bias[v];
    if constexpr (adds) {
      columns.widen(addend, more);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[v] += more[v];
      addend += to.addend_stride;
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) activate_in_place<kind>(sums[v]);
    columns.store(y, sums);
  }
}

template <Activation kind, int Vectors>
REPRISE_BF16 void run_columns(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                              std::int64_t count) {
  const Columns<Vectors> columns{count >= 32 ? ~0U : (1U << count) - 1};
  if (to.addend != nullptr)
    run_rows<kind, Vectors, true>(to, tile, tile_stride, row, rows, column, columns);
  else
    run_rows<kind, Vectors, false>(to, tile, tile_stride, row, rows, column, columns);
}

template <Activation kind>
REPRISE_BF16 void run(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                      std::int64_t columns) {
  for (std::int64_t c = 0; c < columns; c += 32, tile += 32) {
    if (columns - c > 16)
      run_columns<kind, 2>(to, tile, tile_stride, row, rows, column + c, columns - c);
    else
      run_columns<kind, 1>(to, tile, tile_stride, row, rows, column + c, columns - c);
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
