// Products of bf16 by AVX-512's dot products of pairs (AVX512_BF16), which round as matrix units do.
#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cpu/gemm/prefetch.h"
#include "kernels/cpu/gemm/tiles.h"

#if defined(__x86_64__)

#include "kernels/cpu/matrix_units.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kDepth = PanelForm::kBlockDepth, kTileColumns = PanelForm::kTileColumns, kPanel = 2 * kTileColumns;
constexpr int kRows = 12;  // two vectors of sums each

/// What a step of two rows of the panel multiplies: both elements, or one and a zero.
REPRISE_BF16 inline __m512bh pair(const std::uint16_t* a, bool both) {
  std::uint32_t bits = *a;
  if (both) std::memcpy(&bits, a, sizeof bits);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(bits)));
}

template <int Rows>
REPRISE_BF16 void multiply(const std::uint16_t* a, std::int64_t a_stride, const std::byte* panel, std::int64_t depth, Prefetch& prefetch, float* tile) {
  __m512 low[Rows], high[Rows];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) low[r] = high[r] = _mm512_setzero_ps();
  constexpr std::int64_t kPairBytes = kTileColumns * 4, kTileBytes = kDepth / 2 * kPairBytes;
  const auto step = [&](const std::byte* b, const std::uint16_t* rows, bool both) __attribute__((always_inline, target(REPRISE_BF16_TARGET))) {
    const auto b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b)), b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + kTileBytes));
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const __m512bh x = pair(rows + r * a_stride, both);
      low[r] = _mm512_dpbf16_ps(low[r], b0, x);
      high[r] = _mm512_dpbf16_ps(high[r], b1, x);
    }
  };
  for (std::int64_t k0 = 0; k0 < depth; k0 += kDepth, panel += 2 * kTileBytes) {
    prefetch.step();
    const std::int64_t pairs = std::min(kDepth, depth - k0) / 2;
    for (std::int64_t p = 0; p < pairs; ++p) step(panel + p * kPairBytes, a + k0 + 2 * p, true);
    if (depth - k0 < kDepth && depth % 2 != 0) step(panel + pairs * kPairBytes, a + depth - 1, false);
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
    _mm512_storeu_ps(tile + r * kPanel, low[r]);
    _mm512_storeu_ps(tile + r * kPanel + kTileColumns, high[r]);
  }
}

/// Of just as many rows as there are.
template <int... Less>
REPRISE_BF16 void multiply(std::int64_t rows, const std::uint16_t* a, std::int64_t a_stride, const std::byte* panel, std::int64_t depth, Prefetch& prefetch,
                           float* tile, std::integer_sequence<int, Less...>) {
  (void)((rows == kRows - Less && (multiply<kRows - Less>(a, a_stride, panel, depth, prefetch, tile), true)) || ...);
}

}  // namespace

void run_dot_tiles(const TileJob& job) {
  const ResultLines<std::uint16_t, kPanel> results{*job.finish};
  for (std::int64_t p = job.first; p < job.last; ++p) {
    const std::byte* panel = job.panels + static_cast<std::size_t>(p) * job.form.panel_bytes();
    const std::int64_t column = p * kPanel, columns = std::min(kPanel, job.form.columns - column), blocks = (job.rows + kRows - 1) / kRows;
    Prefetch prefetch = Prefetch::behind(job, p, blocks, kDepth);
    for (std::int64_t block = 0; block < blocks; ++block) {
      const std::int64_t row = job.row + job.rows * block / blocks, rows = job.row + job.rows * (block + 1) / blocks - row;
      alignas(64) float tile[kRows * kPanel];
      results.fetch_behind(job, p, row + rows, kRows);
      multiply(rows, static_cast<const std::uint16_t*>(job.a) + row * job.a_stride, job.a_stride, panel, job.form.depth, prefetch, tile,
               std::make_integer_sequence<int, kRows>());
      job.finish->run(*job.finish, tile, kPanel, row, rows, column, columns);
    }
  }
}

}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {

void run_dot_tiles(const TileJob&) {}  // machine_isa() is never avx512_bf16

}  // namespace reprise::kernels::cpu

#endif
