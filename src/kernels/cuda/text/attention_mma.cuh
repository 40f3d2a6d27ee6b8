// Attention over 16-bit reals on tensor cores, one pass over the keys with a running maximum. A block has 16 · WarpsM queries of one head; each step takes
// WarpsK · KeyTile keys, of which each group of WarpsM warps handles its own; the groups' results are joined at the end.
#pragma once

#include "attention.cuh"
#include "tiles.cuh"

constexpr float kLog2E = 1.4426950408889634f;

template <int Width, int ValueWidth, int WarpsM, int WarpsK, int KeyTile>
struct AttentionTile {
  static constexpr int kQueries = 16 * WarpsM, kKeys = WarpsK * KeyTile, kThreads = 32 * WarpsM * WarpsK;
  static constexpr int kPitch = Width + 8, kValuePitch = ValueWidth + 8;
};

/// Mask type M: bool, f16_t, bf16_t, f32_t, f64_t; `Masked` says whether there is one. `Load` as in tiles.cuh, for q, k and v.
template <class T, int Width, int ValueWidth, int WarpsM, int WarpsK, int KeyTile, int Load, bool Masked, class M>
__global__ void __launch_bounds__(32 * WarpsM* WarpsK)
    attention_mma(const __grid_constant__ Attention g, const u16_t* q, const u16_t* k, const u16_t* v, const M* mask, u16_t* y) {
  using Tile = AttentionTile<Width, ValueWidth, WarpsM, WarpsK, KeyTile>;
  constexpr int kThreads = Tile::kThreads, kScoreTiles = KeyTile / 8, kValueTiles = ValueWidth / 8;
  const float kNothing = -infinity();
  extern __shared__ __align__(16) unsigned char shared_memory[];
  u16_t *tile_q = reinterpret_cast<u16_t*>(shared_memory), *tiles_k = tile_q + Tile::kQueries * Tile::kPitch,
        *tiles_v = tiles_k + 2 * Tile::kKeys * Tile::kPitch;

  const Head head = locate_head(g, Tile::kQueries, ValueWidth);
  const i64_t steps = (head.keys + Tile::kKeys - 1) / Tile::kKeys;
  const int width = static_cast<int>(g.width), value_width = static_cast<int>(g.value_width);
  const auto load_k = [&](i64_t step) {
    if (step < steps) {
      const i64_t first = step * Tile::kKeys;
      load_tile<Load, Tile::kKeys, Width, kThreads>(tiles_k + step % 2 * (Tile::kKeys * Tile::kPitch), k + head.k, Tile::kKeys, width, [&](int key, int e) {
        return first + key < head.keys && e < width ? (first + key) * g.k_row + e * g.k_column : -1;
      });
    }
    commit_copies();
  };
  const auto load_v = [&](i64_t step) {
    if (step < steps) {
      const i64_t first = step * Tile::kKeys;
      load_tile<Load, Tile::kKeys, ValueWidth, kThreads>(tiles_v + step % 2 * (Tile::kKeys * Tile::kValuePitch), v + head.v, Tile::kKeys, value_width,
                                                         [&](int key, int e) {
                                                           return first + key < head.keys && e < value_width ? (first + key) * g.v_row + e * g.v_column : -1;
                                                         });
    }
    commit_copies();
  };
  wait_for_earlier_kernels();
  load_tile<Load, Tile::kQueries, Width, kThreads>(tile_q, q + head.q, Tile::kQueries, width, [&](int query, int e) {
    return head.query + query < g.queries && e < width ? (head.query + query) * g.q_row + e * g.q_column : -1;
  });
  load_k(0);
  load_v(0);

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row0 = warp % WarpsM * 16, key0 = warp / WarpsM * KeyTile;
  const i64_t queries[2] = {head.query + row0 + lane / 4, head.query + row0 + lane / 4 + 8};
  const float unit = static_cast<float>(g.scale) * kLog2E;
  float result[kValueTiles][4] = {}, maximum[2] = {kNothing, kNothing}, sum[2] = {};
  for (i64_t step = 0; step < steps; ++step) {
    wait_copies<1>();
    __syncthreads();  // the keys are here, and everybody is done with those before
    load_k(step + 1);
    const u16_t *tile_k = tiles_k + (step % 2 * Tile::kKeys + key0) * Tile::kPitch, *tile_v = tiles_v + (step % 2 * Tile::kKeys + key0) * Tile::kValuePitch;
    float scores[kScoreTiles][4] = {};
#pragma unroll
    for (int e = 0; e < Width; e += 16) {
      u32_t of_q[4];
      load_a_fragment<false>(of_q, tile_q, Tile::kPitch, row0, e);
#pragma unroll
      for (int j = 0; j < kScoreTiles; j += 2) {
        u32_t of_k[4];
        load_b_fragments<false>(of_k, tile_k, Tile::kPitch, j * 8, e);
        const u32_t first[2] = {of_k[0], of_k[1]}, second[2] = {of_k[2], of_k[3]};
        HalfBits<T>::mma(scores[j], of_q, first);
        HalfBits<T>::mma(scores[j + 1], of_q, second);
      }
    }
    const i64_t first_key = step * Tile::kKeys + key0 + lane % 4 * 2;
    float best[2] = {maximum[0], maximum[1]};
#pragma unroll
    for (int j = 0; j < kScoreTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const i64_t key = first_key + j * 8 + i % 2, query = queries[i / 2];
        float score = scores[j][i] * unit;
        if (Masked && key < head.keys && query < g.queries)
          score = Mask<M>::apply(score, mask[head.mask + query * g.mask_row + key * g.mask_column], kLog2E);
        if (key >= head.keys || (g.causal && key > query)) score = kNothing;
        scores[j][i] = score;
        best[i / 2] = fmaxf(best[i / 2], score);
      }
    }
    float shift[2], scale[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      best[r] = fmaxf(best[r], __shfl_xor_sync(0xffffffffu, best[r], 1));
      best[r] = fmaxf(best[r], __shfl_xor_sync(0xffffffffu, best[r], 2));
      shift[r] = best[r] == kNothing ? 0.f : best[r];
      scale[r] = exp2f(maximum[r] - shift[r]);
      maximum[r] = best[r];
      sum[r] *= scale[r];
    }
#pragma unroll
    for (int j = 0; j < kScoreTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[j][i] = exp2f(scores[j][i] - shift[i / 2]);
        sum[i / 2] += scores[j][i];
      }
    }
#pragma unroll
    for (int j = 0; j < kValueTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) result[j][i] *= scale[i / 2];
    }
    wait_copies<1>();
    __syncthreads();  // the values are here
    load_v(step + 1);
#pragma unroll
    for (int j = 0; j < kScoreTiles; j += 2) {
      const u32_t weights[4] = {HalfBits<T>::pack(scores[j][0], scores[j][1]), HalfBits<T>::pack(scores[j][2], scores[j][3]),
                                HalfBits<T>::pack(scores[j + 1][0], scores[j + 1][1]), HalfBits<T>::pack(scores[j + 1][2], scores[j + 1][3])};
#pragma unroll
      for (int e = 0; e < kValueTiles; e += 2) {
        u32_t of_v[4];
        load_b_fragments<true>(of_v, tile_v, Tile::kValuePitch, e * 8, j * 8);
        const u32_t first[2] = {of_v[0], of_v[1]}, second[2] = {of_v[2], of_v[3]};
        HalfBits<T>::mma(result[e], weights, first);
        HalfBits<T>::mma(result[e + 1], weights, second);
      }
    }
  }
  wait_copies<0>();
  __syncthreads();

  // [group][query]: the row of results, then its maximum and sum.
  constexpr int kResultPitch = ValueWidth + 8;
  float* results = reinterpret_cast<float*>(shared_memory);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
    sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
    float* row = results + (warp / WarpsM * Tile::kQueries + row0 + lane / 4 + r * 8) * kResultPitch;
#pragma unroll
    for (int j = 0; j < kValueTiles; ++j) {
      row[j * 8 + lane % 4 * 2] = result[j][2 * r];
      row[j * 8 + lane % 4 * 2 + 1] = result[j][2 * r + 1];
    }
    if (lane % 4 == 0) {
      row[ValueWidth] = maximum[r];
      row[ValueWidth + 1] = sum[r];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < Tile::kQueries * ValueWidth / 2; i += kThreads) {
    const int row = i / (ValueWidth / 2), column = i % (ValueWidth / 2) * 2;
    if (head.query + row >= g.queries || column >= value_width) continue;
    float largest = kNothing;
#pragma unroll
    for (int w = 0; w < WarpsK; ++w) largest = fmaxf(largest, results[(w * Tile::kQueries + row) * kResultPitch + ValueWidth]);
    if (largest == kNothing) largest = 0.f;
    float total = 0.f, first = 0.f, second = 0.f;
#pragma unroll
    for (int w = 0; w < WarpsK; ++w) {
      const float* part = results + (w * Tile::kQueries + row) * kResultPitch;
      const float scale = exp2f(part[ValueWidth] - largest);
      total += part[ValueWidth + 1] * scale;
      first += part[column] * scale;
      second += part[column + 1] * scale;
    }
    const float inverse = total == 0.f ? 0.f : 1.f / total;  // nothing to attend to: 0
    const u32_t pair = HalfBits<T>::pack(first * inverse, second * inverse);
    u16_t* to = y + head.y + (head.query + row) * g.y_row + column * g.y_column;
    to[0] = static_cast<u16_t>(pair);
    if (column + 1 < value_width) to[g.y_column] = static_cast<u16_t>(pair >> 16);
  }
}
