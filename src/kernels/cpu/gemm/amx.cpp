#include <algorithm>

#include "kernels/cpu/gemm/prefetch.h"
#include "kernels/cpu/gemm/tiles.h"

#if defined(__x86_64__)

#include "kernels/cpu/matrix_units.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kTileRows = 16, kDepth = PanelForm::kBlockDepth, kTileColumns = PanelForm::kTileColumns, kColumns = 2 * kTileColumns;
constexpr std::int64_t kLine = 64;  // bytes of a tile's row, and of a cache line

/// Tiles 0, 1: results of the upper rows; 2, 3: of the lower; 4, 5: rows of a; 6, 7: columns of b.
TileConfig configuration(std::int64_t upper, std::int64_t lower) {
  TileConfig config;
  const auto set = [&](int tile, std::int64_t rows) {
    config.row_bytes[tile] = kLine;
    config.rows[tile] = static_cast<std::uint8_t>(std::max<std::int64_t>(rows, 1));
  };
  for (const int tile : {0, 1, 4}) set(tile, upper);
  for (const int tile : {2, 3, 5}) set(tile, lower);
  for (const int tile : {6, 7}) set(tile, kTileRows);
  return config;
}

/// The last columns of a block of rows where the depth is no whole number of blocks, followed by zeros.
struct Tail {
  alignas(64) std::uint16_t rows[2 * kTileRows][kDepth];

  void fill(const std::uint16_t* a, std::int64_t a_stride, std::int64_t count, std::int64_t columns) {
    for (std::int64_t r = 0; r < count; ++r) {
      std::uint16_t* end = std::copy_n(a + r * a_stride, columns, rows[r]);
      std::fill(end, rows[r] + kDepth, std::uint16_t{0});
    }
    settle_memory();
  }
};

template <bool kLower>
REPRISE_AMX inline void accumulate(const std::uint16_t* a, std::int64_t a_stride, const std::byte* b) {
  _tile_loadd(6, b, kLine);
  _tile_loadd(7, b + kTileRows * kLine, kLine);
  _tile_loadd(4, a, a_stride * 2);
  if constexpr (kLower) _tile_loadd(5, a + kTileRows * a_stride, a_stride * 2);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (kLower) {
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

/// Up to 16, or with `kLower` up to 32 rows times a panel.
template <bool kLower>
REPRISE_AMX void multiply(const std::uint16_t* a, std::int64_t a_stride, const Tail* tail, const std::byte* panel, std::int64_t depth, Prefetch& prefetch,
                          float* tile) {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kLower) {
    _tile_zero(2);
    _tile_zero(3);
  }
  constexpr std::int64_t kBlockBytes = kDepth * kColumns * 2;
  for (std::int64_t k = 0; k + kDepth <= depth; k += kDepth, panel += kBlockBytes) {
    accumulate<kLower>(a + k, a_stride, panel);
    prefetch.step();
  }
  if (depth % kDepth != 0) accumulate<kLower>(tail->rows[0], kDepth, panel);
  constexpr std::int64_t kStride = kColumns * 4;
  _tile_stored(0, tile, kStride);
  _tile_stored(1, tile + kTileColumns, kStride);
  if constexpr (kLower) {
    _tile_stored(2, tile + kTileRows * kColumns, kStride);
    _tile_stored(3, tile + kTileRows * kColumns + kTileColumns, kStride);
  }
}

REPRISE_AMX void run(const TileJob& job) {
  constexpr std::int64_t kRows = 2 * kTileRows;
  const std::int64_t depth = job.form.depth, whole = job.rows / kRows, rest = job.rows % kRows, steps = (whole + (rest > 0 ? 1 : 0)) * (depth / kDepth);
  const TileConfig full = configuration(kTileRows, kTileRows), last = configuration(std::min(rest, kTileRows), rest - kTileRows);
  const auto panel_bytes = static_cast<std::int64_t>(job.form.panel_bytes(0));
  if (whole > 0) configure(full);
  for (std::int64_t p = job.first; p < job.last; ++p) {
    const ResultLines<std::uint16_t> results(job, p);
    const std::byte* panel = job.panels + p * panel_bytes;
    Prefetch prefetch{panel + panel_bytes, p + 1 < job.form.panels() && steps > 0 ? (panel_bytes / kLine + steps - 1) / steps : 0};
    const std::int64_t column = p * kColumns, columns = std::min(kColumns, job.form.columns - column);
    for (std::int64_t row = job.row; row < job.row + job.rows; row += kRows) {
      const std::int64_t rows = std::min(kRows, job.row + job.rows - row);
      const auto* a = static_cast<const std::uint16_t*>(job.a.data) + row * job.a.stride;
      Tail tail;
      if (depth % kDepth != 0) tail.fill(a + depth / kDepth * kDepth, job.a.stride, rows, depth % kDepth);
      alignas(64) float tile[kRows * kColumns];
      results.fetch_behind(row + rows, kRows);
      if (rows < kRows) configure(last);
      if (rows > kTileRows)
        multiply<true>(a, job.a.stride, &tail, panel, depth, prefetch, tile);
      else
        multiply<false>(a, job.a.stride, &tail, panel, depth, prefetch, tile);
      if (rows < kRows && whole > 0) configure(full);
      job.finish->run(*job.finish, tile, kColumns, row, rows, column, columns);
    }
  }
  _tile_release();
}

}  // namespace

void run_amx_tiles(const TileJob& job) { run(job); }

}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {

void run_amx_tiles(const TileJob&) {}  // machine_isa() is never amx

}  // namespace reprise::kernels::cpu

#endif
