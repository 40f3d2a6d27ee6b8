// Results of bf16 where AVX-512 rounds to it: a row of a panel is two vectors of sums and one of results.
#include "kernels/cpu/gemm/tiles.h"

#if defined(__x86_64__)

#include "kernels/cpu/gemm/bf16_columns.h"

namespace reprise::kernels::cpu {
namespace {

template <Activation kind, int Vectors, bool adds>
REPRISE_BF16 void run_rows(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                           const Bf16Columns<Vectors>& columns) {
  __m512 bias[Vectors] = {}, more[Vectors];
  if (to.bias != nullptr) columns.load(static_cast<const std::uint16_t*>(to.bias) + column, bias);
  auto* y = static_cast<std::uint16_t*>(to.y) + row * to.y_stride + column;
  const auto* addend = adds ? static_cast<const std::uint16_t*>(to.addend) + row * to.addend_stride + column : nullptr;
  for (std::int64_t r = 0; r < rows; ++r, tile += tile_stride, y += to.y_stride) {
    __m512 sums[Vectors];
#pragma GCC unroll 2
    for (std::int64_t v = 0; v < Vectors; ++v) sums[v] = _mm512_loadu_ps(tile + 16 * v) + bias[v];
    if constexpr (adds) {
      columns.load(addend, more);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[v] += more[v];
      addend += to.addend_stride;
    }
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) activate_sums<kind>(sums[v]);
    columns.store(y, sums);
  }
}

template <Activation kind, int Vectors>
REPRISE_BF16 void run_columns(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                              std::int64_t count) {
  const auto columns = Bf16Columns<Vectors>::first(count);
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
