// The inner loops of own products: a range of panels of weights times a block of rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/cpu/gemm/panels.h"
#include "kernels/epilogue_form.h"
#include "kernels/isa.h"

namespace reprise::kernels::cpu {

/// Where results go: activation(product + bias + addend), rounded to the result's dtype. An activation that is max(x, least), or
/// hardswish, can be had without `run`.
struct Finish {
  /// tile[rows][tile_stride] holds the product's rows from `row` and columns from `column`.
  using Run = void (*)(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                       std::int64_t columns);
  Run run = nullptr;
  enum class Simple : std::uint8_t { no, clamp, hardswish } simple = Simple::no;
  float least = 0;
  const void *bias = nullptr, *addend = nullptr;  // null: none
  void* y = nullptr;
  std::int64_t addend_stride = 0, y_stride = 0;  // elements from row to row; columns are dense
};

/// For this machine, without operands. `run` is null: it has no code for the activation or the dtype.
Finish finish_with(Activation activation, DType result);

/// The same for bf16 where `active_isa()` is avx512_bf16 or more. Null: no code for it.
Finish::Run bf16_finish_kernel(Activation activation);

/// The left matrix: `group` rows `stride` elements apart, the next ones `group_stride` from there; a row is `lines` pieces of `line` elements, `line_stride`
/// apart. So windows of an image are its rows where they lie.
struct TileRows {
  const void* data = nullptr;
  std::int64_t stride = 0;
  std::int64_t group = std::numeric_limits<std::int64_t>::max(), group_stride = 0;
  std::int64_t lines = 1, line = 0, line_stride = 0;

  /// The first row behind the group of `row`.
  [[nodiscard]] std::int64_t group_end(std::int64_t row) const { return (row / group + 1) * group; }
  /// In elements from `data`.
  [[nodiscard]] std::int64_t offset(std::int64_t row) const { return row / group * group_stride + row % group * stride; }
};

/// Rows `row` to `row` + `rows` of the product with panels `first` to `last`.
struct TileJob {
  TileRows a;
  std::int64_t row = 0, rows = 0;
  const std::byte* panels = nullptr;
  PanelForm form;
  std::int64_t first = 0, last = 0;
  const Finish* finish = nullptr;
};
using TileKernel = void (*)(const TileJob& job);

struct NamedTiles {
  TileKernel run = nullptr;  // null: no fast kernel
  const char* name = "";
  bool matrix_units = false;  // takes panels of tiles, and no rows in groups and lines
};
/// The best for products of `dtype` that `isa` allows.
NamedTiles tile_kernel(DType dtype, Isa isa);

/// `job`'s rows, at most Most at a time, the last two alike, those of one group: `while (blocks.next())`.
template <std::int64_t Most>
class RowBlocks {
 public:
  explicit RowBlocks(const TileJob& job) : row(job.row), job_(job), end_(job.row) {}

  [[gnu::always_inline]] inline bool next() {
    row += rows;
    offset += rows * job_.a.stride;
    if (row == end_) {
      if (row >= job_.row + job_.rows) return false;
      end_ = std::min(job_.row + job_.rows, job_.a.group_end(row));
      offset = job_.a.offset(row);
    }
    const std::int64_t left = end_ - row;
    if (left <= Most)
      rows = left;
    else  // two of about half the size rather than one of a few rows at the end
      rows = left >= 2 * Most ? Most : (left + 1) / 2;
    return true;
  }

  std::int64_t row, rows = 0, offset = 0;  // in elements of the left matrix

 private:
  const TileJob& job_;
  std::int64_t end_;
};

/// By dot products of pairs, bf16.
void run_dot_tiles(const TileJob& job);
/// By matrix units, bf16.
void run_amx_tiles(const TileJob& job);

}  // namespace reprise::kernels::cpu
