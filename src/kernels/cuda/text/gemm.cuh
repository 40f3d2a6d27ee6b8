// What the contraction kernels share: where the elements of y[b] = a[b] b[b] (+ bias[b]) lie.
//
// A convolution is the product of its patches a[pixels, channels · taps] and the weight b[channels · taps, output channels], one batch a group. So rows are
// numbered through up to four dimensions (image, output position), and so is the depth (channel, tap), in the order that the host chose. Dimensions, strides
// and tiles are run-time values; how elements are loaded is a template parameter.
#pragma once

#include "finish.cuh"

constexpr int kBatchDims = 14;
enum Convolution { kNoConvolution, kForward, kTransposed };

/// Filled in by the host (gemm.h): the same layout there.
struct Gemm {
  i64_t rows, columns, depth;
  i64_t row_sizes[4], a_row[4], y_row[4], bias_row[4];
  i64_t depth_sizes[4], a_depth[4], b_depth[4];
  i64_t b_column, y_column, bias_column;
  i64_t a_origin;  // convolution: of the tap at zero, seen from the output position at zero
  i64_t in_strides[3];
  i32_t in[3], stride[3], padding[3], dilation[3];
  i32_t row_rank, depth_rank, first_tap, batch_rank;
  i64_t batch_sizes[kBatchDims], a_batch[kBatchDims], b_batch[kBatchDims], y_batch[kBatchDims], bias_batch[kBatchDims];
  i64_t batches, row_tiles, column_tiles, splits, split_depth;
};

struct Row {
  i64_t a, y, bias;  // offsets
  i32_t at[3];       // convolution: input position of tap 0 (transposed: stride × it)
  i32_t valid;
};

struct Depth {
  i64_t a, b;
  i32_t tap[3];  // dilation × tap
  i32_t valid;
};

struct Block {
  i64_t row, column, depth_begin, depth_end, split, batch;
  i64_t a, b, y, bias;  // offsets of the batch
};

/// rest % size; `rest` becomes rest / size. By 32-bit division where that will do.
__device__ inline i64_t split_off(i64_t& rest, i64_t size) {
  i64_t q;
  if (((rest | size) >> 32) == 0)
    q = static_cast<u32_t>(rest) / static_cast<u32_t>(size);
  else
    q = rest / size;
  const i64_t r = rest - q * size;
  rest = q;
  return r;
}

template <int Conv>
__device__ inline Row locate_row(const Gemm& g, i64_t row) {
  Row r = {g.a_origin, 0, 0, {0, 0, 0}, row < g.rows};
  if (!r.valid) row = 0;
  for (int d = g.row_rank - 1; d >= 0; --d) {
    const i64_t q = d == 0 ? row : split_off(row, g.row_sizes[d]);
    if (Conv != kTransposed || d == 0) r.a += q * g.a_row[d];
    r.y += q * g.y_row[d];
    r.bias += q * g.bias_row[d];
    if (Conv == kForward && d > 0) r.at[d - 1] = static_cast<i32_t>(q) * g.stride[d - 1] - g.padding[d - 1];
    if (Conv == kTransposed && d > 0) r.at[d - 1] = static_cast<i32_t>(q) + g.padding[d - 1];
  }
  return r;
}

template <int Conv>
__device__ inline Depth locate_depth(const Gemm& g, i64_t depth, i64_t end) {
  Depth r = {0, 0, {0, 0, 0}, depth < end};
  if (!r.valid) return r;
  u32_t rest = static_cast<u32_t>(depth);  // several dimensions hold less than 2^31
  for (int d = g.depth_rank - 1; d >= 0; --d) {
    i64_t q = depth;
    if (g.depth_rank > 1) {
      const u32_t size = static_cast<u32_t>(g.depth_sizes[d]);
      q = d == 0 ? rest : rest % size;
      rest /= size;
    }
    r.a += q * g.a_depth[d];
    r.b += q * g.b_depth[d];
    const int tap = d - g.first_tap;
    if (Conv != kNoConvolution && tap >= 0 && tap < 3) r.tap[tap] = static_cast<i32_t>(q) * g.dilation[tap];
  }
  return r;
}

/// Offset of an element of a; negative: it is 0.
template <int Conv>
__device__ inline i64_t locate_a(const Gemm& g, const Row& row, const Depth& depth) {
  if (!row.valid || !depth.valid) return -1;
  i64_t offset = row.a + depth.a;
  if (Conv == kForward) {
#pragma unroll
    for (int d = 0; d < 3; ++d) {
      if (static_cast<u32_t>(row.at[d] + depth.tap[d]) >= static_cast<u32_t>(g.in[d])) return -1;
    }
  } else if (Conv == kTransposed) {
#pragma unroll
    for (int d = 0; d < 3; ++d) {
      const i32_t scaled = row.at[d] - depth.tap[d];
      if (scaled < 0) return -1;
      const i32_t at = scaled / g.stride[d];
      if (at * g.stride[d] != scaled || at >= g.in[d]) return -1;
      offset += at * g.in_strides[d];
    }
  }
  return offset;
}

__device__ inline Block locate_block(const Gemm& g, int tile_rows, int tile_columns) {
  Block r = {};
  i64_t rest = blockIdx.x;
  r.row = split_off(rest, g.row_tiles) * tile_rows;
  r.column = split_off(rest, g.column_tiles) * tile_columns;
  r.split = split_off(rest, g.splits);
  r.batch = rest;
  r.depth_begin = r.split * g.split_depth;
  r.depth_end = r.depth_begin + g.split_depth < g.depth ? r.depth_begin + g.split_depth : g.depth;
  for (int d = g.batch_rank - 1; d >= 0; --d) {
    const i64_t q = d == 0 ? rest : split_off(rest, g.batch_sizes[d]);
    r.a += q * g.a_batch[d];
    r.b += q * g.b_batch[d];
    r.y += q * g.y_batch[d];
    r.bias += q * g.bias_batch[d];
  }
  return r;
}
