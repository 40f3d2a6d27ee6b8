// Numbers in order.
#include "prelude.cuh"

template <class T, class Number>
__global__ void iota(T* y, i64_t count, i64_t stride, Number start, Number step) {
  const i64_t i = blockIdx.x * static_cast<i64_t>(blockDim.x) + threadIdx.x;
  wait_for_earlier_kernels();
  if (i < count) y[i * stride] = convert<T>(start + static_cast<Number>(i) * step);
}
