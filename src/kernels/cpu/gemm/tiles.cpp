#include "kernels/cpu/gemm/tiles.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/cpu/activate.h"
#include "kernels/cpu/gemm/prefetch.h"

namespace reprise::kernels::cpu {
namespace {

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

/// What is added to the sums of a block, where they go and how small they may be.
struct Ends {
  const float *bias = nullptr, *addend = nullptr;  // null: none
  float* y = nullptr;
  std::int64_t addend_stride = 0, y_stride = 0;
  bool hardswish = false;
  float least = -std::numeric_limits<float>::infinity();

  static Ends of(const Finish& to, std::int64_t row, std::int64_t column) {
    Ends ends{.y = static_cast<float*>(to.y) + row * to.y_stride + column,
              .addend_stride = to.addend_stride,
              .y_stride = to.y_stride,
              .hardswish = to.simple == Finish::Simple::hardswish,
              .least = to.least};
    if (to.bias != nullptr) ends.bias = static_cast<const float*>(to.bias) + column;
    if (to.addend != nullptr) ends.addend = static_cast<const float*>(to.addend) + row * to.addend_stride + column;
    return ends;
  }
};

// ---- f32: Rows rows times all columns of a panel, as many vectors at a time as leave registers for them ----

template <int Bytes, std::int64_t Width>
struct PanelF32 {
  using V = typename Vectors<Bytes>::Floats;
  static constexpr std::int64_t kLanes = Vectors<Bytes>::kLanes;
  static constexpr int kVectors = Width == 48 ? 3 : static_cast<int>(std::min<std::int64_t>(2, Width / kLanes));
  // Of one vector a row no more rows than registers hold addresses.
  static constexpr int kRows = kVectors == 1 ? 8 : (Bytes == 64 ? 24 : 12) / kVectors;

  REPRISE_INLINE static void run(const TileJob& job, std::int64_t p) {
    const auto* panel = reinterpret_cast<const float*>(job.panels + job.form.offset_bytes(p));
    const std::int64_t column = job.form.column(p), columns = std::min(Width, job.form.columns - column);
    const ResultLines<float> results(job, p);
    Prefetch prefetch = Prefetch::behind(job, p, (job.rows + kRows - 1) / kRows, kStep);
    const bool in_registers = job.finish->simple != Finish::Simple::no && columns == Width;
    for (RowBlocks<kRows> blocks(job); blocks.next();) {
      const std::int64_t row = blocks.row, rows = blocks.rows;
      alignas(64) float tile[kRows * Width];
      const Ends ends = in_registers ? Ends::of(*job.finish, row, column) : Ends{.y = tile, .y_stride = Width};
      results.fetch_behind(row + rows, kRows);
      block(rows, job.a, static_cast<const float*>(job.a.data) + blocks.offset, panel, prefetch, ends, std::make_integer_sequence<int, kRows>());
      if (!in_registers) job.finish->run(*job.finish, tile, Width, row, rows, column, columns);
    }
  }

 private:
  template <int Rows>
  REPRISE_INLINE static void multiply(const TileRows& a, const float* rows, const float* panel, Prefetch& prefetch, const Ends& ends, std::int64_t column) {
    V sum[Rows][kVectors];
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] = V{};
    }
    for (std::int64_t line = 0; line < a.lines; ++line, rows += a.line_stride) {
      for (std::int64_t k0 = 0; k0 < a.line; k0 += kStep) {
        prefetch.step();
        const std::int64_t k1 = std::min(a.line, k0 + kStep);
#pragma GCC unroll 2
        for (std::int64_t k = k0; k < k1; ++k, panel += Width) {
          V b[kVectors];
          for (int v = 0; v < kVectors; ++v) load(b[v], panel + v * kLanes);
          for (int r = 0; r < Rows; ++r) {
            const float x = rows[r * a.stride + k];
            for (int v = 0; v < kVectors; ++v) sum[r][v] += x * b[v];
          }
        }
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      V bias{};
      if (ends.bias != nullptr) load(bias, ends.bias + column + v * kLanes);
      for (int r = 0; r < Rows; ++r) sum[r][v] += bias;
    }
    for (int r = 0; ends.addend != nullptr && r < Rows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        V more;
        load(more, ends.addend + r * ends.addend_stride + column + v * kLanes);
        sum[r][v] += more;
      }
    }
    if (ends.hardswish) {
      for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < kVectors; ++v) sum[r][v] = activate<Activation::hardswish>(sum[r][v]);
    }
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        const V value = sum[r][v] < ends.least ? V{} + ends.least : sum[r][v];  // NaN stays
        std::memcpy(ends.y + r * ends.y_stride + column + v * kLanes, &value, sizeof value);
      }
    }
  }

  /// Of just as many rows as there are.
  template <int... Less>
  REPRISE_INLINE static void block(std::int64_t rows, const TileRows& a, const float* from, const float* panel, Prefetch& prefetch, const Ends& ends,
                                   std::integer_sequence<int, Less...>) {
    for (std::int64_t c = 0; c < Width; c += kVectors * kLanes)
      (void)((rows == kRows - Less && (multiply<kRows - Less>(a, from, panel + c, prefetch, ends, c), true)) || ...);
  }
};

template <int Bytes>
struct TilesF32 {
  REPRISE_INLINE static void run(const TileJob& job) {
    for (std::int64_t p = job.first; p < job.last; ++p) {
      switch (job.form.width(p)) {
        case 48:
          PanelF32<Bytes, 48>::run(job, p);
          break;
        case 32:
          PanelF32<Bytes, 32>::run(job, p);
          break;
        default:
          PanelF32<Bytes, 16>::run(job, p);
      }
    }
  }
};

// ---- bf16 without instructions of its own: both elements of a pair widened to f32 ----

template <int Bytes, int Rows>
struct BlockBf16 {
  using V = typename Vectors<Bytes>::Floats;
  using W = typename Vectors<Bytes>::Words;
  static constexpr std::int64_t kTile = PanelForm::kTileColumns, kLanes = Vectors<Bytes>::kLanes;
  static constexpr int kVectors = static_cast<int>(kTile / kLanes);

  REPRISE_INLINE static float widen(std::uint16_t bits) {
    const std::uint32_t word = static_cast<std::uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
  }

  /// kTile of a panel's `width` columns; the last pair of a line may have one row only.
  REPRISE_INLINE static void run(const TileRows& a, const std::uint16_t* rows, const std::uint16_t* panel, std::int64_t width, float* out,
                                 std::int64_t out_stride) {
    V sum[Rows][kVectors];
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < kVectors; ++v) sum[r][v] = V{};
    }
    for (std::int64_t line = 0; line < a.lines; ++line, rows += a.line_stride) {
      for (std::int64_t k = 0; k < a.line; k += 2, panel += 2 * width) add(sum, rows + k, a.stride, panel, k + 1 < a.line);
    }
    for (int r = 0; r < Rows; ++r) std::memcpy(out + r * out_stride, sum[r], sizeof sum[r]);
  }

 private:
  REPRISE_INLINE static void add(V (&sum)[Rows][kVectors], const std::uint16_t* a, std::int64_t a_stride, const std::uint16_t* pair, bool both) {
    for (int v = 0; v < kVectors; ++v) {
      W bits;
      load(bits, pair + v * kLanes * 2);
      const W even = bits << 16, odd = bits & 0xffff0000U;
      V b0, b1;
      load(b0, &even);
      load(b1, &odd);
      for (int r = 0; r < Rows; ++r) {
        sum[r][v] += widen(a[r * a_stride]) * b0;
        if (both) sum[r][v] += widen(a[r * a_stride + 1]) * b1;
      }
    }
  }
};

template <int Bytes, int Rows>
struct TilesBf16 {
  static constexpr std::int64_t kTile = PanelForm::kTileColumns, kPanel = 2 * kTile;

  REPRISE_INLINE static void run(const TileJob& job) {
    for (std::int64_t p = job.first; p < job.last; ++p) {
      const auto* panel = reinterpret_cast<const std::uint16_t*>(job.panels + job.form.offset_bytes(p));
      const std::int64_t width = job.form.width(p), column = job.form.column(p), columns = std::min(width, job.form.columns - column);
      for (RowBlocks<Rows> blocks(job); blocks.next();) {
        const std::int64_t row = blocks.row, rows = blocks.rows;
        const auto* a = static_cast<const std::uint16_t*>(job.a.data) + blocks.offset;
        alignas(64) float tile[Rows * kPanel];
        for (std::int64_t c = 0; c < width; c += kTile) {
          if (rows == Rows) {
            BlockBf16<Bytes, Rows>::run(job.a, a, panel + 2 * c, width, tile + c, kPanel);
          } else {
            for (std::int64_t r = 0; r < rows; ++r) BlockBf16<Bytes, 1>::run(job.a, a + r * job.a.stride, panel + 2 * c, width, tile + r * kPanel + c, kPanel);
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
    if (isa >= Isa::avx512) return {&run_avx512<TilesF32<64>, const TileJob&>, "gemm_avx512"};
    if (isa == Isa::avx2) return {&run_avx2<TilesF32<32>, const TileJob&>, "gemm_avx2"};
  } else if (dtype == DType::bf16) {
    if (isa == Isa::amx) return {&run_amx_tiles, "gemm_amx", true};
    if (isa == Isa::avx512_bf16) return {&run_dot_tiles, "gemm_avx512_bf16"};
    if (isa == Isa::avx512) return {&run_avx512<TilesBf16<64, 16>, const TileJob&>, "gemm_avx512"};
    if (isa == Isa::avx2) return {&run_avx2<TilesBf16<32, 4>, const TileJob&>, "gemm_avx2"};
  }
  return {};
}

}  // namespace reprise::kernels::cpu
