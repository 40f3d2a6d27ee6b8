// Blocked matrix products over packed operands: what matmul, convolution and attention share. T is float or double, the type that products are summed in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/reference/gemm_kernels.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::reference {

/// How a product [rows, columns] over `depth` is cut into jobs; a job is one block of the result, done by one thread.
struct Blocking {
  std::int64_t rows = 0, columns = 0, depth = 0;                    // of the product
  std::int64_t block_rows = 0, block_columns = 0, block_depth = 0;  // of a job's packed parts: multiples of kRows, kColumns, 1
  std::int64_t row_jobs = 1, column_jobs = 1;

  [[nodiscard]] std::int64_t jobs() const { return row_jobs * column_jobs; }
};

/// Blocks that fit the caches (A and C in L2, a panel of B in L1) and, for `products` such products, give all threads work.
template <class T>
Blocking plan_blocking(std::int64_t rows, std::int64_t columns, std::int64_t depth, std::int64_t products, int threads);

/// Items of T that one thread needs.
template <class T>
std::int64_t scratch_items(const Blocking& b) {
  const std::int64_t result = b.depth > b.block_depth ? b.block_rows * b.block_columns : kRows * kColumns<T>;
  return (b.block_rows + b.block_columns) * b.block_depth + result;
}

/// One job. pack_a(row, rows, k, depth, dst) and pack_b(k, depth, column, columns, dst) fill panels; store(row, column, rows, columns, tile) takes a finished
/// tile, kColumns items a row.
template <class T, class PackA, class PackB, class Store>
void run_gemm_job(const Blocking& b, TileKernel<T> kernel, std::int64_t job, T* scratch, const PackA& pack_a, const PackB& pack_b, const Store& store) {
  const std::int64_t row0 = job / b.column_jobs * b.block_rows, column0 = job % b.column_jobs * b.block_columns;
  const std::int64_t rows = std::min(b.block_rows, b.rows - row0), columns = std::min(b.block_columns, b.columns - column0);
  const bool single_pass = b.depth <= b.block_depth;
  T *a = scratch, *panel_b = a + b.block_rows * b.block_depth, *result = panel_b + b.block_columns * b.block_depth;
  std::int64_t k = 0;
  do {
    const std::int64_t depth = std::min(b.block_depth, b.depth - k);
    pack_a(row0, rows, k, depth, a);
    pack_b(k, depth, column0, columns, panel_b);
    T* tile = result;
    for (std::int64_t column = 0; column < columns; column += kColumns<T>) {
      for (std::int64_t row = 0; row < rows; row += kRows) {
        kernel(depth, a + row * depth, panel_b + column * depth, tile, k > 0);
        if (k + depth == b.depth) store(row0 + row, column0 + column, std::min(kRows, rows - row), std::min(kColumns<T>, columns - column), tile);
        if (!single_pass) tile += kRows * kColumns<T>;
      }
    }
    k += depth;
  } while (k < b.depth);  // once for depth 0: the result is 0
}

/// dst = `lanes` × `depth` elements in panels of `width` lanes, zeros beyond the last lane.
template <class T>
using PackKernel = void (*)(const std::byte* src, std::int64_t lane_stride, std::int64_t depth_stride, std::int64_t lanes, std::int64_t depth, T* dst);
template <class T>
PackKernel<T> pack_rows(DType element);
template <class T>
PackKernel<T> pack_columns(DType element);

}  // namespace reprise::kernels::reference
