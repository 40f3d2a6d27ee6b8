// The second half of a product whose depth was split: adds the parts. Element i of a part lies at [batch, row, column].
#pragma once

#include "gemm.cuh"

template <class T, class Sum, class Finish>
__global__ void __launch_bounds__(256) gemm_reduce(const __grid_constant__ Gemm g, const T* bias, T* y, const Sum* parts, Finish finish) {
  const i64_t count = g.batches * g.rows * g.columns, i = static_cast<i64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= count) return;
  wait_for_earlier_kernels();
  Sum sum = 0;
  for (i64_t split = 0; split < g.splits; ++split) sum += parts[split * count + i];
  i64_t rest = i;
  const i64_t column = split_off(rest, g.columns), row = split_off(rest, g.rows);
  i64_t to = column * g.y_column, from_bias = column * g.bias_column;
  for (int d = g.batch_rank - 1; d >= 0; --d) {
    const i64_t q = d == 0 ? rest : split_off(rest, g.batch_sizes[d]);
    to += q * g.y_batch[d];
    from_bias += q * g.bias_batch[d];
  }
  const Row r = locate_row<kNoConvolution>(g, row);
  to += r.y;
  if (bias != nullptr) sum += convert<Sum>(bias[from_bias + r.bias]);
  y[to] = convert<T>(finish(sum, to));
}
