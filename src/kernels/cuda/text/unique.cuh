// unique: slices (elements when flat) in the order of their values, or as they stand; then groups of equal neighbours.
#pragma once
#include "select.cuh"
#include "sort.cuh"

template <class E, class Index>
struct Slices {
  const E* x;
  i64_t width;            // elements of a slice
  Dims<Index, 1> slices;  // where a slice begins
  Dims<Index, 1> inner;   // where its elements lie

  __device__ compute_t<E> at(i64_t slice, i64_t j) const {
    Index offset[1], within[1];
    slices.locate(static_cast<Index>(slice), offset);
    inner.locate(static_cast<Index>(j), within);
    return convert<compute_t<E>>(x[offset[0] + within[0]]);
  }
};

// A slice that is sorted; -1 stands behind all.
struct Slice {
  i64_t position;
};
template <class E, class Index>
struct BySlices {
  static constexpr bool kCheap = false;
  Slices<E, Index> slices;
  __device__ bool before(const Slice& a, const Slice& b) const {
    if (a.position < 0 || b.position < 0) return a.position >= 0 && b.position < 0;
    for (i64_t j = 0; j < slices.width; ++j) {
      const auto ka = order_key(slices.at(a.position, j)), kb = order_key(slices.at(b.position, j));
      if (ka != kb) return ka < kb;
    }
    return false;
  }
  template <class Element>
  __device__ Element behind_all() const {
    return {-1};
  }
};

struct AllSlices {
  u64_t unused;
  struct Row {
    __device__ Slice at(i64_t i) const { return {i}; }
  };
  __device__ Row row(i64_t) const { return {}; }
};
struct SortedSlices {
  i64_t* positions;
  struct Row {
    i64_t* positions;
    __device__ Slice at(i64_t i) const { return {positions[i]}; }
    __device__ void put(i64_t i, const Slice& slice) const { positions[i] = slice.position; }
  };
  __device__ Row row(i64_t) const { return {positions}; }
};

// ---- groups -----------------------------------------------------------------------------------------------------------------------------

// `order` null: slices as they stand. A NaN equals nothing.
template <class E, class Position, class Index>
struct BeginsGroup {
  Slices<E, Index> slices;
  const Position* order;
  __device__ i64_t slice(i64_t i) const { return order == nullptr ? i : static_cast<i64_t>(order[i]); }
  __device__ bool operator()(i64_t i) const {
    if (i == 0) return true;
    const i64_t a = slice(i - 1), b = slice(i);
    for (i64_t j = 0; j < slices.width; ++j) {
      if (!(slices.at(a, j) == slices.at(b, j))) return true;
    }
    return false;
  }
};

// inverse[slice] = its group; starts[group] = its first place in the order.
template <class Position>
struct PutGroups {
  const Position* order;
  i64_t* inverse;
  i64_t* starts;
  __device__ void put(i64_t i, i64_t before, bool begins) const {
    const i64_t group = begins ? before : before - 1;
    inverse[order == nullptr ? i : static_cast<i64_t>(order[i])] = group;
    if (begins) starts[group] = i;
  }
};

// counts[group], and the group's first slice as values[outer, group, inner], where a slice is [outer, inner].
template <class E, class Position, class Index>
__global__ void put_unique(const Slices<E, Index> slices, const Position* order, const i64_t* starts, const i64_t* size, i64_t slice_count, i64_t inner, E* values,
                           i64_t* counts) {
  wait_for_earlier_kernels();
  const i64_t i = static_cast<i64_t>(blockIdx.x) * blockDim.x + threadIdx.x, groups = *size;
  const i64_t width = slices.width > 0 ? slices.width : 1, group = i / width, j = i % width;
  if (group >= groups) return;
  const i64_t start = starts[group];
  if (j == 0) counts[group] = (group + 1 < groups ? starts[group + 1] : slice_count) - start;
  if (j >= slices.width) return;
  Index offset[1], within[1];
  slices.slices.locate(static_cast<Index>(order == nullptr ? start : static_cast<i64_t>(order[start])), offset);
  slices.inner.locate(static_cast<Index>(j), within);
  values[(j / inner * groups + group) * inner + j % inner] = slices.x[offset[0] + within[0]];
}
