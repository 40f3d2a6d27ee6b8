// The inner loops of own products: a range of panels of weights times a block of rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/gemm/panels.h"
#include "kernels/epilogue_form.h"
#include "kernels/isa.h"

namespace reprise::kernels::cpu {

/// Where results go: activation(product + bias + addend), rounded to the result's dtype.
struct Finish {
  /// tile[rows][tile_stride] holds the product's rows from `row` and columns from `column`.
  using Run = void (*)(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                       std::int64_t columns);
  Run run = nullptr;
  const void *bias = nullptr, *addend = nullptr;  // null: none
  void* y = nullptr;
  std::int64_t addend_stride = 0, y_stride = 0;  // elements from row to row; columns are dense
};

/// For this machine. Null: it has no code for the activation or the dtype.
Finish::Run finish_kernel(Activation activation, DType result);

/// The same for bf16 where `active_isa()` is avx512_bf16 or more. Null: as above.
Finish::Run bf16_finish_kernel(Activation activation);

/// Rows `row` to `row` + `rows` of the product with panels `first` to `last`.
struct TileJob {
  const void* a = nullptr;  // the matrix: rows `a_stride` elements apart, dense columns
  std::int64_t a_stride = 0, row = 0, rows = 0;
  const std::byte* panels = nullptr;
  PanelForm form;
  std::int64_t first = 0, last = 0;
  const Finish* finish = nullptr;
};
using TileKernel = void (*)(const TileJob& job);

struct NamedTiles {
  TileKernel run = nullptr;  // null: no fast kernel
  const char* name = "";
};
/// The best for products of `dtype` that `isa` allows.
NamedTiles tile_kernel(DType dtype, Isa isa);

/// By dot products of pairs, bf16.
void run_dot_tiles(const TileJob& job);
/// By matrix units, bf16.
void run_amx_tiles(const TileJob& job);

}  // namespace reprise::kernels::cpu
