// Contraction with ordinary arithmetic: f32, f64, integers (which wrap) and booleans, in blocks of registers.
#pragma once

#include "gemm.cuh"

template <class T>
struct Arithmetic {
  using Sum = u32_t;
};
template <>
struct Arithmetic<f32_t> {
  using Sum = f32_t;
};
template <>
struct Arithmetic<f64_t> {
  using Sum = f64_t;
};
template <>
struct Arithmetic<u64_t> {
  using Sum = u64_t;
};

constexpr int kFmaDepth = 16;

/// Threads: (Rows / ThreadRows) × (Columns / ThreadColumns). `AlongDepthA`: neighbouring threads load along the depth of a. T is an unsigned type for integers.
template <class T, int Rows, int Columns, int ThreadRows, int ThreadColumns, int Conv, bool AlongDepthA, bool AlongDepthB, bool Parts, class Finish>
__global__ void __launch_bounds__(Rows / ThreadRows * (Columns / ThreadColumns))
    gemm_fma(const __grid_constant__ Gemm g, const T* a, const T* b, const T* bias, T* y, typename Arithmetic<T>::Sum* parts, Finish finish) {
  using Sum = typename Arithmetic<T>::Sum;
  constexpr int kThreadsM = Rows / ThreadRows, kThreadsN = Columns / ThreadColumns, kThreads = kThreadsM * kThreadsN;
  constexpr int kPadding = 16 / sizeof(Sum) > 1 ? 16 / sizeof(Sum) : 1, kPitchA = Rows + kPadding, kPitchB = Columns + kPadding;
  constexpr int kItemsA = Rows * kFmaDepth / kThreads, kItemsB = Columns * kFmaDepth / kThreads;
  static_assert(kItemsA * kThreads == Rows * kFmaDepth && kItemsB * kThreads == Columns * kFmaDepth && kThreads >= kFmaDepth, "whole tiles");
  __shared__ Sum tile_a[2][kFmaDepth][kPitchA], tile_b[2][kFmaDepth][kPitchB];
  __shared__ Depth depths[2][kFmaDepth];
  __shared__ Row rows[Rows];

  const Block block = locate_block(g, Rows, Columns);
  const int thread = threadIdx.x;
  const int steps = static_cast<int>((block.depth_end - block.depth_begin + kFmaDepth - 1) / kFmaDepth);
  for (int i = thread; i < Rows; i += kThreads) rows[i] = locate_row<Conv>(g, block.row + i);
  const auto fill_depths = [&](int step) {
    if (thread < kFmaDepth)
      depths[step % 2][thread] = locate_depth<Conv>(g, block.depth_begin + static_cast<i64_t>(step) * kFmaDepth + thread, block.depth_end);
  };

  Sum next_a[kItemsA], next_b[kItemsB];
  const auto fetch = [&](int step) {
#pragma unroll
    for (int i = 0; i < kItemsA; ++i) {
      const int at = i * kThreads + thread, row = AlongDepthA ? at / kFmaDepth : at % Rows, k = AlongDepthA ? at % kFmaDepth : at / Rows;
      const i64_t offset = locate_a<Conv>(g, rows[row], depths[step % 2][k]);
      next_a[i] = offset < 0 ? Sum(0) : convert<Sum>(a[block.a + offset]);
    }
#pragma unroll
    for (int i = 0; i < kItemsB; ++i) {
      const int at = i * kThreads + thread, column = AlongDepthB ? at / kFmaDepth : at % Columns, k = AlongDepthB ? at % kFmaDepth : at / Columns;
      const Depth& depth = depths[step % 2][k];
      const bool valid = depth.valid && block.column + column < g.columns;
      next_b[i] = valid ? convert<Sum>(b[block.b + (block.column + column) * g.b_column + depth.b]) : Sum(0);
    }
  };
  const auto keep = [&](int step) {
#pragma unroll
    for (int i = 0; i < kItemsA; ++i) {
      const int at = i * kThreads + thread;
      tile_a[step % 2][AlongDepthA ? at % kFmaDepth : at / Rows][AlongDepthA ? at / kFmaDepth : at % Rows] = next_a[i];
    }
#pragma unroll
    for (int i = 0; i < kItemsB; ++i) {
      const int at = i * kThreads + thread;
      tile_b[step % 2][AlongDepthB ? at % kFmaDepth : at / Columns][AlongDepthB ? at / kFmaDepth : at % Columns] = next_b[i];
    }
  };

  Sum sums[ThreadRows][ThreadColumns] = {};
  const int row0 = thread / kThreadsN * ThreadRows, column0 = thread % kThreadsN * ThreadColumns;
  fill_depths(0);
  fill_depths(1);
  __syncthreads();
  wait_for_earlier_kernels();
  if (steps > 0) {
    fetch(0);
    keep(0);
  }
  for (int step = 0; step < steps; ++step) {
    __syncthreads();
    if (step + 1 < steps) fetch(step + 1);
    fill_depths(step + 2);
#pragma unroll
    for (int k = 0; k < kFmaDepth; ++k) {
      Sum of_a[ThreadRows], of_b[ThreadColumns];
#pragma unroll
      for (int i = 0; i < ThreadRows; ++i) of_a[i] = tile_a[step % 2][k][row0 + i];
#pragma unroll
      for (int j = 0; j < ThreadColumns; ++j) of_b[j] = tile_b[step % 2][k][column0 + j];
#pragma unroll
      for (int i = 0; i < ThreadRows; ++i) {
#pragma unroll
        for (int j = 0; j < ThreadColumns; ++j) sums[i][j] += of_a[i] * of_b[j];
      }
    }
    if (step + 1 < steps) keep(step + 1);
  }

#pragma unroll
  for (int i = 0; i < ThreadRows; ++i) {
#pragma unroll
    for (int j = 0; j < ThreadColumns; ++j) {
      const i64_t row = block.row + row0 + i, column = block.column + column0 + j;
      if (row >= g.rows || column >= g.columns) continue;
      const Row& r = rows[row0 + i];
      if (Parts) {
        parts[((block.split * g.batches + block.batch) * g.rows + row) * g.columns + column] = sums[i][j];
      } else {
        const Sum added = bias == nullptr ? Sum(0) : convert<Sum>(bias[block.bias + r.bias + column * g.bias_column]);
        const i64_t to = block.y + r.y + column * g.y_column;
        y[to] = convert<T>(finish(sums[i][j] + added, to));
      }
    }
  }
}
