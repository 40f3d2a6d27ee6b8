// Copies between two layouts of one shape.
#include "prelude.cuh"

template <int bytes>
struct Item;
template <>
struct Item<1> {
  using type = unsigned char;
};
template <>
struct Item<2> {
  using type = unsigned short;
};
template <>
struct Item<4> {
  using type = unsigned int;
};
template <>
struct Item<8> {
  using type = unsigned long long;
};

struct Geometry {
  i64_t count;
  i32_t rank;
  i64_t sizes[16], to[16], from[16];
};

template <int bytes>
__global__ void strided_copy(typename Item<bytes>::type* dst, const typename Item<bytes>::type* src, const __grid_constant__ Geometry g) {
  for (i64_t i = blockIdx.x * (i64_t)blockDim.x + threadIdx.x; i < g.count; i += (i64_t)gridDim.x * blockDim.x) {
    i64_t rest = i, to = 0, from = 0;
    for (int d = g.rank - 1; d >= 0; --d) {
      const i64_t next = rest / g.sizes[d], at = rest - next * g.sizes[d];
      to += at * g.to[d];
      from += at * g.from[d];
      rest = next;
    }
    dst[to] = src[from];
  }
}
