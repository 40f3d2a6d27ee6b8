#include "kernels/cpu/gemm/tiles.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cpu/gemm/prefetch.h"

namespace reprise::kernels::cpu {
namespace {

// Vector code must be inlined before it is lowered: into functions of their own, these would be compiled for the plain instruction set.
#define REPRISE_INLINE [[gnu::always_inline]] static inline

template <int Bytes>
struct Vectors {
  using Floats [[gnu::vector_size(Bytes)]] = float;
  using Words [[gnu::vector_size(Bytes)]] = std::uint32_t;
  static constexpr int kLanes = Bytes / 4;
};

template <class V>
[[gnu::always_inline]] inline void load(V& v, const void* p) {
  std::memcpy(&v, p, sizeof v);
}

constexpr std::int64_t kStep = 16;  // rows of a panel between prefetches

// ---- f32: Rows rows times three vectors of columns at a time ----

template <int Bytes, int Rows>
struct BlockF32 {
  using V = typename Vectors<Bytes>::Floats;
  static constexpr std::int64_t kPanel = 48, kLanes = Vectors<Bytes>::kLanes, kColumns = 3 * kLanes;

  REPRISE_INLINE void run(const float* a, std::int64_t a_stride, const float* panel, std::int64_t depth, Prefetch& prefetch, float* tile) {
    V sum[Rows][3];
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < 3; ++v) sum[r][v] = V{};
    }
    for (std::int64_t k0 = 0; k0 < depth; k0 += kStep) {
      prefetch.step();
      const std::int64_t k1 = std::min(depth, k0 + kStep);
#pragma GCC unroll 2
      for (std::int64_t k = k0; k < k1; ++k, panel += kPanel) {
        V b[3];
        for (int v = 0; v < 3; ++v) load(b[v], panel + v * kLanes);
        for (int r = 0; r < Rows; ++r) {
          const float x = a[r * a_stride + k];
          for (int v = 0; v < 3; ++v) sum[r][v] += x * b[v];
        }
      }
    }
    for (int r = 0; r < Rows; ++r) std::memcpy(tile + r * kPanel, sum[r], sizeof sum[r]);
  }
};

template <int Bytes, int Rows>
struct TilesF32 {
  static constexpr std::int64_t kPanel = 48;

  REPRISE_INLINE void run(const TileJob& job) {
    const ResultLines<float, kPanel> results{*job.finish};
    for (std::int64_t p = job.first; p < job.last; ++p) {
      const auto* panel = reinterpret_cast<const float*>(job.panels + static_cast<std::size_t>(p) * job.form.panel_bytes());
      const std::int64_t column = p * kPanel, columns = std::min(kPanel, job.form.columns - column);
      Prefetch prefetch = Prefetch::behind(job, p, (job.rows + Rows - 1) / Rows, kStep);
      for (std::int64_t row = job.row; row < job.row + job.rows; row += Rows) {
        const std::int64_t rows = std::min<std::int64_t>(Rows, job.row + job.rows - row);
        alignas(64) float tile[Rows * kPanel];
        results.fetch_behind(job, p, row + rows, Rows);
        block(rows, static_cast<const float*>(job.a) + row * job.a_stride, job.a_stride, panel, job.form.depth, prefetch, tile,
              std::make_integer_sequence<int, Rows>());
        job.finish->run(*job.finish, tile, kPanel, row, rows, column, columns);
      }
    }
  }

 private:
  /// The block of just as many rows as there are.
  template <int... Less>
  REPRISE_INLINE void block(std::int64_t rows, const float* a, std::int64_t a_stride, const float* panel, std::int64_t depth, Prefetch& prefetch, float* tile,
                            std::integer_sequence<int, Less...>) {
    for (std::int64_t c = 0; c < kPanel; c += BlockF32<Bytes, 1>::kColumns)
      (void)((rows == Rows - Less && (BlockF32<Bytes, Rows - Less>::run(a, a_stride, panel + c, depth, prefetch, tile + c), true)) || ...);
  }
};

// ---- bf16 without instructions of its own: both elements of a pair widened to f32 ----

template <int Bytes, int Rows>
struct BlockBf16 {
  using V = typename Vectors<Bytes>::Floats;
  using W = typename Vectors<Bytes>::Words;
  static constexpr std::int64_t kTile = PanelForm::kTileColumns, kPairs = PanelForm::kBlockDepth / 2, kLanes = Vectors<Bytes>::kLanes, kColumns = 2 * kTile;
  static constexpr int kVectors = static_cast<int>(kTile / kLanes);  // of a tile

  REPRISE_INLINE float widen(std::uint16_t bits) {
    const std::uint32_t word = static_cast<std::uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
  }

  /// One tile of columns; the last pair may have one row only.
  REPRISE_INLINE void run(const std::uint16_t* a, std::int64_t a_stride, const std::uint16_t* tiles, std::int64_t depth, float* out) {
    V sum[Rows][kVectors];
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] = V{};
    }
    for (std::int64_t k = 0; k < depth; k += 2) {
      const std::uint16_t* pair = tiles + k / PanelForm::kBlockDepth * PanelForm::kBlockDepth * kColumns + k % PanelForm::kBlockDepth / 2 * kTile * 2;
      const bool both = k + 1 < depth;
      for (int v = 0; v < kVectors; ++v) {
        W bits;
        load(bits, pair + v * kLanes * 2);
        const W even = bits << 16, odd = bits & 0xffff0000U;
        V b0, b1;
        load(b0, &even);
        load(b1, &odd);
        for (int r = 0; r < Rows; ++r) {
          sum[r][v] += widen(a[r * a_stride + k]) * b0;
          if (both) sum[r][v] += widen(a[r * a_stride + k + 1]) * b1;
        }
      }
    }
    for (int r = 0; r < Rows; ++r) std::memcpy(out + r * kColumns, sum[r], sizeof sum[r]);
  }
};

template <int Bytes, int Rows>
struct TilesBf16 {
  static constexpr std::int64_t kTile = PanelForm::kTileColumns, kPanel = 2 * kTile;

  REPRISE_INLINE void run(const TileJob& job) {
    for (std::int64_t p = job.first; p < job.last; ++p) {
      const auto* panel = reinterpret_cast<const std::uint16_t*>(job.panels + static_cast<std::size_t>(p) * job.form.panel_bytes());
      const std::int64_t column = p * kPanel, columns = std::min(kPanel, job.form.columns - column);
      for (std::int64_t row = job.row; row < job.row + job.rows; row += Rows) {
        const std::int64_t rows = std::min<std::int64_t>(Rows, job.row + job.rows - row);
        const auto* a = static_cast<const std::uint16_t*>(job.a) + row * job.a_stride;
        alignas(64) float tile[Rows * kPanel];
        for (std::int64_t half = 0; half < 2; ++half) {
          const std::uint16_t* tiles = panel + half * PanelForm::kBlockDepth * kTile;
          if (rows == Rows) {
            BlockBf16<Bytes, Rows>::run(a, job.a_stride, tiles, job.form.depth, tile + half * kTile);
          } else {
            for (std::int64_t r = 0; r < rows; ++r)
              BlockBf16<Bytes, 1>::run(a + r * job.a_stride, job.a_stride, tiles, job.form.depth, tile + r * kPanel + half * kTile);
          }
        }
        job.finish->run(*job.finish, tile, kPanel, row, rows, column, columns);
      }
    }
  }
};

}  // namespace

NamedTiles tile_kernel(DType dtype, Isa isa) {
  if (dtype == DType::f32) {
    if (isa >= Isa::avx512) return {&run_avx512<TilesF32<64, 8>, const TileJob&>, "gemm_avx512"};
    if (isa == Isa::avx2) return {&run_avx2<TilesF32<32, 4>, const TileJob&>, "gemm_avx2"};
  } else if (dtype == DType::bf16) {
    if (isa == Isa::amx) return {&run_amx_tiles, "gemm_amx"};
    if (isa == Isa::avx512_bf16) return {&run_dot_tiles, "gemm_avx512_bf16"};
    if (isa == Isa::avx512) return {&run_avx512<TilesBf16<64, 16>, const TileJob&>, "gemm_avx512"};
    if (isa == Isa::avx2) return {&run_avx2<TilesBf16<32, 4>, const TileJob&>, "gemm_avx2"};
  }
  return {};
}

}  // namespace reprise::kernels::cpu
