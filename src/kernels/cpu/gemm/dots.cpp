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

/// The columns of a panel, and the bias of their sums.
struct Columns {
  __mmask32 both;
  __m512 low, high;

  /// `count` of them; null: no bias.
  REPRISE_BF16 Columns(const void* bias, std::int64_t count) : both(count == kPanel ? ~0U : (1U << count) - 1), low(_mm512_setzero_ps()), high(low) {
    if (bias != nullptr) add(static_cast<const std::uint16_t*>(bias), low, high);
  }
  REPRISE_BF16 void add(const std::uint16_t* row, __m512& to_low, __m512& to_high) const {
    const __m512i pairs = _mm512_maskz_loadu_epi16(both, row);
    to_low += _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(pairs)), 16));
    to_high += _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(pairs, 1)), 16));
  }
};

/// Where the sums of a block go: results, or floats that `tile` holds.
struct Ends {
  float* tile = nullptr;
  const std::uint16_t* addend = nullptr;
  std::uint16_t* y = nullptr;
  std::int64_t addend_stride = 0, y_stride = 0;
  float least = 0;
};

template <int Rows>
REPRISE_BF16 void multiply(const TileRows& a, const std::uint16_t* rows, const std::byte* panel, Prefetch& prefetch, const Columns& columns, const Ends& ends) {
  // Of few rows several sums each: one that waits for the last is slower than memory.
  constexpr int kChains = Rows == 1 ? 4 : Rows == 2 ? 2 : 1;
  __m512 lows[kChains][Rows] = {}, highs[kChains][Rows] = {};
  __m512 *low = lows[0], *high = highs[0];
  constexpr std::int64_t kPairBytes = kTileColumns * 4, kTileBytes = kDepth / 2 * kPairBytes;
  const auto step = [&](int chain, const std::byte* b, const std::uint16_t* from, bool both) __attribute__((always_inline, target(REPRISE_BF16_TARGET))) {
    const auto b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b)), b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + kTileBytes));
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const __m512bh x = pair(from + r * a.stride, both);
      lows[chain][r] = _mm512_dpbf16_ps(lows[chain][r], b0, x);
      highs[chain][r] = _mm512_dpbf16_ps(highs[chain][r], b1, x);
    }
  };
  std::int64_t done = 0;  // pairs of the block of the panel
  for (std::int64_t line = 0; line < a.lines; ++line, rows += a.line_stride) {
    for (std::int64_t k = 0; k < a.line;) {
      prefetch.step();
      const std::int64_t pairs = std::min((a.line - k) / 2, kDepth / 2 - done);
      const std::byte* from = panel + done * kPairBytes;
      std::int64_t p = 0;
      for (; p + kChains <= pairs; p += kChains) {
#pragma GCC unroll 4
        for (int c = 0; c < kChains; ++c) step(c, from + (p + c) * kPairBytes, rows + k + 2 * (p + c), true);
      }
      for (; kChains > 1 && p < pairs; ++p) step(0, from + p * kPairBytes, rows + k + 2 * p, true);
      done += pairs;
      k += 2 * pairs;
      if (k + 1 == a.line && done < kDepth / 2) {
        step(0, panel + done++ * kPairBytes, rows + k, false);
        ++k;
      }
      if (done == kDepth / 2) {
        panel += 2 * kTileBytes;
        done = 0;
      }
    }
  }
#pragma GCC unroll 4
  for (int c = 1; c < kChains; ++c) {
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r) {
      low[r] += lows[c][r];
      high[r] += highs[c][r];
    }
  }
  if (ends.tile == nullptr) {
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      low[r] += columns.low;
      high[r] += columns.high;
    }
    if (ends.addend != nullptr) {
#pragma GCC unroll 12
      for (int r = 0; r < Rows; ++r) columns.add(ends.addend + r * ends.addend_stride, low[r], high[r]);
    }
    const __m512 least = _mm512_set1_ps(ends.least);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {  // of a number and NaN the maximum is the second
      const __m512bh both = _mm512_cvtne2ps_pbh(_mm512_max_ps(least, high[r]), _mm512_max_ps(least, low[r]));
      _mm512_mask_storeu_epi16(ends.y + r * ends.y_stride, columns.both, reinterpret_cast<__m512i>(both));
    }
    return;
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
    _mm512_storeu_ps(ends.tile + r * kPanel, low[r]);
    _mm512_storeu_ps(ends.tile + r * kPanel + kTileColumns, high[r]);
  }
}

/// Of just as many rows as there are.
template <int... Less>
REPRISE_BF16 void multiply(std::int64_t rows, const TileRows& a, const std::uint16_t* from, const std::byte* panel, Prefetch& prefetch, const Columns& columns,
                           const Ends& ends, std::integer_sequence<int, Less...>) {
  (void)((rows == kRows - Less && (multiply<kRows - Less>(a, from, panel, prefetch, columns, ends), true)) || ...);
}

REPRISE_BF16 void run_panel(const TileJob& job, std::int64_t p) {
  const Finish& to = *job.finish;
  const std::int64_t column = p * kPanel, count = std::min(kPanel, job.form.columns - column);
  const Columns columns(to.clamps && to.bias != nullptr ? static_cast<const std::uint16_t*>(to.bias) + column : nullptr, count);
  const ResultLines<std::uint16_t> results(job, p);
  Prefetch prefetch = Prefetch::behind(job, p, (job.rows + kRows - 1) / kRows, kDepth);
  alignas(64) float tile[kRows * kPanel];
  for (RowBlocks<kRows> blocks(job); blocks.next();) {
    const std::int64_t row = blocks.row, rows = blocks.rows;
    Ends ends{
        .y = static_cast<std::uint16_t*>(to.y) + row * to.y_stride + column, .addend_stride = to.addend_stride, .y_stride = to.y_stride, .least = to.least};
    if (!to.clamps) ends.tile = tile;
    if (to.clamps && to.addend != nullptr) ends.addend = static_cast<const std::uint16_t*>(to.addend) + row * to.addend_stride + column;
    results.fetch_behind(row + rows, kRows);
    multiply(rows, job.a, static_cast<const std::uint16_t*>(job.a.data) + blocks.offset, job.panels + job.form.offset_bytes(p), prefetch, columns, ends,
             std::make_integer_sequence<int, kRows>());
    if (!to.clamps) to.run(to, tile, kPanel, row, rows, column, count);
  }
}

}  // namespace

void run_dot_tiles(const TileJob& job) {
  for (std::int64_t p = job.first; p < job.last; ++p) run_panel(job, p);
}

}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {

void run_dot_tiles(const TileJob&) {}  // machine_isa() is never avx512_bf16

}  // namespace reprise::kernels::cpu

#endif
