// Products of bf16 by AVX-512's dot products of pairs (AVX512_BF16), which round as matrix units do.
#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cpu/gemm/prefetch.h"
#include "kernels/cpu/gemm/tiles.h"

#if defined(__x86_64__)

#include "kernels/cpu/gemm/bf16_columns.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kLanes = PanelForm::kTileColumns, kPanel = 2 * kLanes, kStep = 32;  // rows of a panel between prefetches
constexpr int kRows = 12;

/// What a step of two rows of the panel multiplies: both elements, or one and a zero.
REPRISE_BF16 inline __m512bh pair(const std::uint16_t* a, bool both) {
  std::uint32_t bits = *a;
  if (both) std::memcpy(&bits, a, sizeof bits);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(bits)));
}

/// The columns of a panel, and the bias of their sums.
template <int Vectors>
struct BiasedColumns {
  Bf16Columns<Vectors> columns;
  __m512 bias[Vectors];

  /// `count` of them; null: no bias.
  REPRISE_BF16 BiasedColumns(const void* row, std::int64_t count) : columns(Bf16Columns<Vectors>::first(count)) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) bias[v] = _mm512_setzero_ps();
    if (row != nullptr) columns.load(static_cast<const std::uint16_t*>(row), bias);
  }
};

/// Where the sums of a block go: results, or floats that `tile` holds.
struct Ends {
  float* tile = nullptr;
  const std::uint16_t* addend = nullptr;
  std::uint16_t* y = nullptr;
  std::int64_t addend_stride = 0, y_stride = 0;
  bool hardswish = false;
  float least = 0;
};

template <int Vectors, int Rows>
REPRISE_BF16_INLINE void finish(__m512 (&sums)[Rows][Vectors], const BiasedColumns<Vectors>& to, const Ends& ends) {
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sums[r][v] += to.bias[v];
  if (ends.addend != nullptr) {
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      __m512 more[Vectors];
      to.columns.load(ends.addend + r * ends.addend_stride, more);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[r][v] += more[v];
    }
  }
  if (ends.hardswish) {
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) activate_sums<Activation::hardswish>(sums[r][v]);
  }
  const __m512 least = _mm512_set1_ps(ends.least);
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) sums[r][v] = _mm512_max_ps(least, sums[r][v]);  // of a number and NaN the second
    to.columns.store(ends.y + r * ends.y_stride, sums[r]);
  }
}

/// Three of narrow panels: registers hold no more addresses, and it is these that bound such panels.
constexpr int rows_of_address(int vectors, int rows) { return vectors == 1 ? std::min(rows, 3) : rows; }

template <int Vectors, int Rows>
REPRISE_BF16 void multiply(const TileRows& a, const std::uint16_t* rows, const std::byte* panel, Prefetch& prefetch, const BiasedColumns<Vectors>& columns,
                           const Ends& ends) {
  // Of few rows several sums each: one that waits for the last is slower than memory.
  constexpr int kChains = Rows == 1 ? 4 : Rows == 2 ? 2 : 1;
  constexpr std::int64_t kPairBytes = Vectors * kLanes * 4;
  __m512 chains[kChains][Rows][Vectors] = {};
  constexpr int kShare = rows_of_address(Vectors, Rows), kAddresses = (Rows + kShare - 1) / kShare;
  const std::int64_t stride = a.stride;
  const std::uint16_t* from[kAddresses];
  const auto step = [&](int chain, const std::byte* b, std::int64_t at, bool both) __attribute__((always_inline, target(REPRISE_BF16_TARGET))) {
    __m512bh w[Vectors];
#pragma GCC unroll 2
    for (std::int64_t v = 0; v < Vectors; ++v) w[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + 64 * v));
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const __m512bh x = pair(from[r / kShare] + r % kShare * stride + at, both);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) chains[chain][r][v] = _mm512_dpbf16_ps(chains[chain][r][v], w[v], x);
    }
  };
  const auto advance = [&](std::int64_t by) __attribute__((always_inline, target(REPRISE_BF16_TARGET))) {
#pragma GCC unroll 4
    for (int i = 0; i < kAddresses; ++i) {
      from[i] += by;
      if constexpr (kAddresses > 1) __asm__("" : "+r"(from[i]));
    }
  };
  for (std::int64_t line = 0; line < a.lines; ++line, rows += a.line_stride) {
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < kAddresses; ++i) from[i] = rows + i * kShare * stride;
    std::int64_t left = a.line / 2;
    while (left > 0) {
      prefetch.step();
      const std::byte* end = panel + std::min(left, kStep / 2) * kPairBytes;
      left -= kStep / 2;
      for (; panel + (kChains - 1) * kPairBytes < end; panel += kChains * kPairBytes) {
#pragma GCC unroll 4
        for (int c = 0; c < kChains; ++c) step(c, panel + c * kPairBytes, 2 * c, true);
        advance(2 * kChains);
      }
      for (; kChains > 1 && panel < end; panel += kPairBytes) {
        step(0, panel, 0, true);
        advance(2);
      }
    }
    if (a.line % 2 == 0) continue;
    step(0, panel, 0, false);
    panel += kPairBytes;
  }
  auto& sums = chains[0];
#pragma GCC unroll 4
  for (int c = 1; c < kChains; ++c) {
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) sums[r][v] += chains[c][r][v];
  }
  if (ends.tile == nullptr) return finish<Vectors, Rows>(sums, columns, ends);
#pragma GCC unroll 12
  for (std::int64_t r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (std::int64_t v = 0; v < Vectors; ++v) _mm512_storeu_ps(ends.tile + r * kPanel + v * kLanes, sums[r][v]);
}

/// Of just as many rows as there are.
template <int Vectors, int... Less>
REPRISE_BF16 void multiply(std::int64_t rows, const TileRows& a, const std::uint16_t* from, const std::byte* panel, Prefetch& prefetch,
                           const BiasedColumns<Vectors>& columns, const Ends& ends, std::integer_sequence<int, Less...>) {
  (void)((rows == kRows - Less && (multiply<Vectors, kRows - Less>(a, from, panel, prefetch, columns, ends), true)) || ...);
}

template <int Vectors>
REPRISE_BF16 void run_panel(const TileJob& job, std::int64_t p) {
  const Finish& to = *job.finish;
  const bool simple = to.simple != Finish::Simple::no;
  const std::byte* panel = job.panels + job.form.offset_bytes(p);
  const std::int64_t column = job.form.column(p), count = std::min<std::int64_t>(Vectors * kLanes, job.form.columns - column);
  const BiasedColumns<Vectors> columns(simple && to.bias != nullptr ? static_cast<const std::uint16_t*>(to.bias) + column : nullptr, count);
  const ResultLines<std::uint16_t> results(job, p);
  Prefetch prefetch = Prefetch::behind(job, p, (job.rows + kRows - 1) / kRows, kStep);
  alignas(64) float tile[kRows * kPanel];
  for (RowBlocks<kRows> blocks(job); blocks.next();) {
    const std::int64_t row = blocks.row, rows = blocks.rows;
    Ends ends{.y = static_cast<std::uint16_t*>(to.y) + row * to.y_stride + column,
              .addend_stride = to.addend_stride,
              .y_stride = to.y_stride,
              .hardswish = to.simple == Finish::Simple::hardswish,
              .least = to.least};
    if (!simple) ends.tile = tile;
    if (simple && to.addend != nullptr) ends.addend = static_cast<const std::uint16_t*>(to.addend) + row * to.addend_stride + column;
    results.fetch_behind(row + rows, kRows);
    multiply<Vectors>(rows, job.a, static_cast<const std::uint16_t*>(job.a.data) + blocks.offset, panel, prefetch, columns, ends,
                      std::make_integer_sequence<int, kRows>());
    if (!simple) to.run(to, tile, kPanel, row, rows, column, count);
  }
}

}  // namespace

void run_dot_tiles(const TileJob& job) {
  for (std::int64_t p = job.first; p < job.last; ++p) job.form.width(p) == kPanel ? run_panel<2>(job, p) : run_panel<1>(job, p);
}

}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {

void run_dot_tiles(const TileJob&) {}  // machine_isa() is never avx512_bf16

}  // namespace reprise::kernels::cpu

#endif
