// What the attention kernels share: where the operands lie, and what a mask does to a score.
#pragma once

#include "prelude.cuh"

constexpr int kAttentionBatchDims = 14;

/// Filled in by the host (attention.cpp): the same layout there. Offsets and strides count elements.
struct Attention {
  i64_t queries, keys, width, value_width;
  i64_t q_row, q_column, k_row, k_column, v_row, v_column, mask_row, mask_column, y_row, y_column;
  i64_t batches, query_tiles, value_tiles;
  f64_t scale;
  i32_t batch_rank, causal;
  i64_t batch_sizes[kAttentionBatchDims], q_batch[kAttentionBatchDims], k_batch[kAttentionBatchDims], v_batch[kAttentionBatchDims],
      mask_batch[kAttentionBatchDims], y_batch[kAttentionBatchDims];
};

struct Head {
  i64_t query, value;  // first row of queries, first column of values of this block
  i64_t q, k, v, mask, y;
  i64_t keys;  // that any of its queries may attend to
};

__device__ inline Head locate_head(const Attention& g, int tile_queries, int tile_values) {
  i64_t rest = blockIdx.x;
  Head r = {rest % g.query_tiles * tile_queries, 0, 0, 0, 0, 0, 0, g.keys};
  rest /= g.query_tiles;
  r.value = rest % g.value_tiles * tile_values;
  rest /= g.value_tiles;
  for (int d = g.batch_rank - 1; d >= 0; --d) {
    const i64_t i = rest % g.batch_sizes[d];
    rest /= g.batch_sizes[d];
    r.q += i * g.q_batch[d];
    r.k += i * g.k_batch[d];
    r.v += i * g.v_batch[d];
    r.mask += i * g.mask_batch[d];
    r.y += i * g.y_batch[d];
  }
  if (g.causal && r.query + tile_queries < r.keys) r.keys = r.query + tile_queries;
  return r;
}

/// What a mask element does to a score: booleans keep or drop it, others are added (times `unit`).
template <class M>
struct Mask {
  template <class Sum>
  static __device__ Sum apply(Sum score, M mask, Sum unit) {
    return score + convert<Sum>(mask) * unit;
  }
};
template <>
struct Mask<bool> {
  template <class Sum>
  static __device__ Sum apply(Sum score, bool mask, Sum) {
    return mask ? score : -static_cast<Sum>(infinity());
  }
};
