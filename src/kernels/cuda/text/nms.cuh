// Non-maximum suppression. `order` lists the boxes, best first; boxes are named by their places in it.
#pragma once
#include "dims.cuh"

template <class B, class C, class Order>
struct Boxes {
  const B* at;
  const Order* order;
  i64_t strides[2];
  __device__ void get(i64_t i, C (&box)[4]) const {
    const B* from = at + static_cast<i64_t>(order[i]) * strides[0];
    for (int k = 0; k < 4; ++k) box[k] = convert<C>(from[k * strides[1]]);
  }
};

// Intersection over union, rounded operation by operation as on the CPU (this text is compiled without fused multiply-add).
template <class C>
__device__ C overlap(const C (&a)[4], const C (&b)[4]) {
  const auto least = [](C p, C q) { return q < p ? q : p; };
  const auto most = [](C p, C q) { return p < q ? q : p; };
  const auto area = [](const C(&r)[4]) { return (r[2] - r[0]) * (r[3] - r[1]); };
  const C w = most(C(0), least(a[2], b[2]) - most(a[0], b[0])), h = most(C(0), least(a[3], b[3]) - most(a[1], b[1]));
  return w * h / (area(a) + area(b) - w * h);
}

// covers[i - first][w]: bit b says that box i covers box 64 w + b too much. Block: 64 boxes (x) against 64 (y).
template <class B, class C, class Order>
__global__ void find_covers(const Boxes<B, C, Order> boxes, u64_t* covers, i64_t count, i64_t first, i64_t last, i64_t words, f64_t threshold) {
  wait_for_earlier_kernels();
  __shared__ C others[64][4];
  const i64_t word = blockIdx.y, i = first + static_cast<i64_t>(blockIdx.x) * 64 + threadIdx.x, j = word * 64 + threadIdx.x;
  if (j < count) {
    C box[4];
    boxes.get(j, box);
    for (int k = 0; k < 4; ++k) others[threadIdx.x][k] = box[k];
  }
  __syncthreads();
  if (i >= last) return;
  C own[4];
  boxes.get(i, own);
  u64_t bits = 0;
  for (int b = 0; b < 64 && word * 64 + b < count; ++b) {
    if (word * 64 + b > i && overlap(own, others[b]) > static_cast<C>(threshold)) bits |= u64_t{1} << b;
  }
  covers[(i - first) * words + word] = bits;
}

// Goes through boxes first to last in order, one block; `gone` and `size` carry over from the boxes before.
template <class Order>
__global__ void keep_boxes(const u64_t* covers, const Order* order, u64_t* gone, i64_t* kept, i64_t* size, i64_t count, i64_t first, i64_t last, i64_t words) {
  wait_for_earlier_kernels();
  __shared__ u64_t near[64];
  __shared__ u64_t keep;
  __shared__ i64_t before;
  if (first == 0) {
    for (i64_t w = threadIdx.x; w < words; w += blockDim.x) gone[w] = 0;
    if (threadIdx.x == 0) *size = 0;
  }
  for (i64_t begin = first; begin < last; begin += 64) {
    const i64_t word = begin / 64;
    const int here = static_cast<int>(last - begin < 64 ? last - begin : 64);
    __syncthreads();
    if (threadIdx.x < here) near[threadIdx.x] = covers[(begin - first + threadIdx.x) * words + word];
    __syncthreads();
    if (threadIdx.x == 0) {
      u64_t out = gone[word], chosen = 0;
      for (int b = 0; b < here; ++b) {
        if ((out >> b & 1) != 0) continue;
        chosen |= u64_t{1} << b;
        out |= near[b];
      }
      keep = chosen;
      before = *size;
      *size = before + __popcll(chosen);
    }
    __syncthreads();
    const u64_t chosen = keep;
    if (threadIdx.x < 64 && (chosen >> threadIdx.x & 1) != 0)
      kept[before + __popcll(chosen & ((u64_t{1} << threadIdx.x) - 1))] = static_cast<i64_t>(order[begin + threadIdx.x]);
    for (i64_t w = word + 1 + threadIdx.x; w < words; w += blockDim.x) {
      u64_t more = 0;
      for (u64_t rest = chosen; rest != 0; rest &= rest - 1) more |= covers[(begin - first + __ffsll(static_cast<i64_t>(rest)) - 1) * words + w];
      gone[w] |= more;
    }
  }
}
