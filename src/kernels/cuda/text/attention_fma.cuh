// Attention with ordinary arithmetic, for any dtype and any width: f32 and f64, and heads too wide for the registers of attention_mma.cuh.
#pragma once

#include "attention.cuh"

constexpr int kFmaQueries = 16, kFmaKeys = 32, kFmaWidth = 32, kFmaValues = 64, kFmaThreads = 128;

template <class Sum>
__device__ inline Sum exponential(Sum x);
template <>
__device__ inline float exponential(float x) {
  return expf(x);
}
template <>
__device__ inline double exponential(double x) {
  return exp(x);
}

/// Eight threads share a query. `Sum` is float or double.
template <class T, class Sum, bool Masked, class M>
__global__ void __launch_bounds__(kFmaThreads) attention_fma(const __grid_constant__ Attention g, const T* q, const T* k, const T* v, const M* mask, T* y) {
  constexpr int kScores = kFmaKeys / 8, kResults = kFmaValues / 8;
  __shared__ Sum tile_q[kFmaQueries][kFmaWidth + 1], tile_k[kFmaKeys][kFmaWidth + 1], tile_v[kFmaKeys][kFmaValues + 1], weights[kFmaQueries][kFmaKeys + 1];
  const Head head = locate_head(g, kFmaQueries, kFmaValues);
  const int row = threadIdx.x / 8, part = threadIdx.x % 8;
  const i64_t query = head.query + row;
  const Sum nothing = -static_cast<Sum>(infinity());
  Sum maximum = nothing, total = 0, result[kResults] = {};
  wait_for_earlier_kernels();
  for (i64_t first = 0; first < head.keys; first += kFmaKeys) {
    Sum scores[kScores] = {};
    for (i64_t e0 = 0; e0 < g.width; e0 += kFmaWidth) {
      __syncthreads();
      for (int i = threadIdx.x; i < kFmaQueries * kFmaWidth; i += kFmaThreads) {
        const i64_t at = head.query + i / kFmaWidth, e = e0 + i % kFmaWidth;
        tile_q[i / kFmaWidth][i % kFmaWidth] = at < g.queries && e < g.width ? convert<Sum>(q[head.q + at * g.q_row + e * g.q_column]) : Sum(0);
      }
      for (int i = threadIdx.x; i < kFmaKeys * kFmaWidth; i += kFmaThreads) {
        const i64_t at = first + i / kFmaWidth, e = e0 + i % kFmaWidth;
        tile_k[i / kFmaWidth][i % kFmaWidth] = at < head.keys && e < g.width ? convert<Sum>(k[head.k + at * g.k_row + e * g.k_column]) : Sum(0);
      }
      __syncthreads();
      for (int e = 0; e < kFmaWidth; ++e) {
#pragma unroll
        for (int j = 0; j < kScores; ++j) scores[j] += tile_q[row][e] * tile_k[part + 8 * j][e];
      }
    }
    for (int i = threadIdx.x; i < kFmaKeys * kFmaValues; i += kFmaThreads) {  // nobody reads the last ones any more: all have passed a barrier since
      const i64_t at = first + i / kFmaValues, e = head.value + i % kFmaValues;
      tile_v[i / kFmaValues][i % kFmaValues] = at < head.keys && e < g.value_width ? convert<Sum>(v[head.v + at * g.v_row + e * g.v_column]) : Sum(0);
    }
    Sum best = maximum;
#pragma unroll
    for (int j = 0; j < kScores; ++j) {
      const i64_t key = first + part + 8 * j;
      Sum score = scores[j] * static_cast<Sum>(g.scale);
      if (Masked && key < head.keys && query < g.queries) score = Mask<M>::apply(score, mask[head.mask + query * g.mask_row + key * g.mask_column], Sum(1));
      if (key >= head.keys || (g.causal && key > query)) score = nothing;
      scores[j] = score;
      if (score > best) best = score;
    }
#pragma unroll
    for (int distance = 1; distance < 8; distance *= 2) {
      const Sum other = __shfl_xor_sync(0xffffffffu, best, distance);
      if (other > best) best = other;
    }
    const Sum shift = best == nothing ? Sum(0) : best, scale = exponential(maximum - shift);
    maximum = best;
    total *= scale;
#pragma unroll
    for (int j = 0; j < kScores; ++j) {
      const Sum weight = exponential(scores[j] - shift);
      total += weight;
      weights[row][part + 8 * j] = weight;
    }
    __syncthreads();
#pragma unroll
    for (int j = 0; j < kResults; ++j) result[j] *= scale;
    for (int key = 0; key < kFmaKeys; ++key) {
#pragma unroll
      for (int j = 0; j < kResults; ++j) result[j] += weights[row][key] * tile_v[key][part + 8 * j];
    }
  }
#pragma unroll
  for (int distance = 1; distance < 8; distance *= 2) total += __shfl_xor_sync(0xffffffffu, total, distance);
  if (query >= g.queries) return;
#pragma unroll
  for (int j = 0; j < kResults; ++j) {
    const i64_t column = head.value + part + 8 * j;
    if (column < g.value_width) y[head.y + query * g.y_row + column * g.y_column] = convert<T>(total == Sum(0) ? Sum(0) : result[j] / total);
  }
}
