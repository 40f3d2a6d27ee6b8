// Convolutions whose groups have few output channels: every thread sums its own outputs, from memory.
#pragma once

#include "gemm.cuh"

/// One output a thread; neighbouring threads have neighbouring channels (`ChannelsLast`) or positions. Sum as in gemm_fma.cuh, float for f16 and bf16.
template <class T, class Sum, int Conv, bool ChannelsLast, class Finish>
__global__ void __launch_bounds__(256) conv_direct(const __grid_constant__ Gemm g, const T* x, const T* w, const T* bias, T* y, Finish finish) {
  const i64_t i = static_cast<i64_t>(blockIdx.x) * 256 + threadIdx.x, channels = g.batches * g.columns;
  if (i >= g.rows * channels) return;
  i64_t rest = i;
  const i64_t inner = split_off(rest, ChannelsLast ? channels : g.rows);
  i64_t group = ChannelsLast ? inner : rest;
  const i64_t column = split_off(group, g.columns);
  const Row row = locate_row<Conv>(g, ChannelsLast ? rest : inner);
  const T* from = x + group * g.a_batch[0];
  const T* weight = w + group * g.b_batch[0] + column * g.b_column;
  wait_for_earlier_kernels();
  const i64_t end = g.depth;
  Sum sum = 0;
  for (i64_t k = 0; k < end; ++k) {
    const Depth depth = locate_depth<Conv>(g, k, end);
    const i64_t offset = locate_a<Conv>(g, row, depth);
    if (offset >= 0) sum += convert<Sum>(from[offset]) * convert<Sum>(weight[depth.b]);
  }
  if (bias != nullptr) sum += convert<Sum>(bias[group * g.bias_batch[0] + column * g.bias_column]);
  const i64_t to = group * g.y_batch[0] + row.y + column * g.y_column;
  y[to] = convert<T>(finish(sum, to));
}

/// Depthwise in two dimensions, channels last: `kChannels` channels, loaded at once, at `Pixels` neighbouring positions a thread. Rows of the layout are [image, 1, height, width]
/// and its depth [1, KernelHeight, KernelWidth] with one channel; groups are the channels. `WeightVectors`: w has its channels innermost too.
template <class T, int kChannels, int KernelHeight, int KernelWidth, int Pixels, bool WeightVectors, class Finish>
__global__ void __launch_bounds__(128) conv_depthwise(const __grid_constant__ Gemm g, const T* x, const T* w, const T* bias, T* y, Finish finish) {
  using Channels = Vector<T, kChannels>;
  const i64_t vectors = g.batches / kChannels, groups = (g.row_sizes[3] + Pixels - 1) / Pixels;
  i64_t rest = static_cast<i64_t>(blockIdx.x) * 128 + threadIdx.x;
  const i64_t channel = split_off(rest, vectors) * kChannels;
  const i32_t column = static_cast<i32_t>(split_off(rest, groups)) * Pixels;
  const i32_t line = static_cast<i32_t>(split_off(rest, g.row_sizes[2]));
  const i64_t image = rest;
  if (image >= g.row_sizes[0]) return;
  const T* from = x + image * g.a_row[0] + channel;
  float sums[Pixels][kChannels] = {};
  wait_for_earlier_kernels();
#pragma unroll
  for (int i = 0; i < KernelHeight; ++i) {
    const i32_t in_line = line * g.stride[1] - g.padding[1] + i * g.dilation[1];
    const bool inside = static_cast<u32_t>(in_line) < static_cast<u32_t>(g.in[1]);
    const T* row = from + in_line * g.in_strides[1];
#pragma unroll
    for (int j = 0; j < KernelWidth; ++j) {
      const T* weights = w + channel * g.b_batch[0] + i * g.b_depth[g.first_tap + 1] + j * g.b_depth[g.first_tap + 2];
      Channels weight;
      if (WeightVectors) {
        weight = *reinterpret_cast<const Channels*>(weights);
      } else {
#pragma unroll
        for (int c = 0; c < kChannels; ++c) weight.at[c] = weights[c * g.b_batch[0]];
      }
#pragma unroll
      for (int p = 0; p < Pixels; ++p) {
        const i32_t in_column = (column + p) * g.stride[2] - g.padding[2] + j * g.dilation[2];
        Channels value = {};  // loads do not wait for branches
        if (inside && static_cast<u32_t>(in_column) < static_cast<u32_t>(g.in[2])) value = *reinterpret_cast<const Channels*>(row + in_column * g.in_strides[2]);
#pragma unroll
        for (int c = 0; c < kChannels; ++c) sums[p][c] += convert<float>(value.at[c]) * convert<float>(weight.at[c]);
      }
    }
  }
#pragma unroll
  for (int p = 0; p < Pixels; ++p) {
    if (column + p >= g.row_sizes[3]) continue;
    const i64_t to = image * g.y_row[0] + line * g.y_row[2] + (column + p) * g.y_row[3] + channel;
    Channels value;
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      const float added = bias == nullptr ? 0.f : convert<float>(bias[(channel + c) * g.bias_batch[0]]);
      value.at[c] = convert<T>(finish(sums[p][c] + added, to + c));
    }
    *reinterpret_cast<Channels*>(y + to) = value;
  }
}
