// Stable sorting of rows: tiles in shared memory, then rounds that merge neighbouring runs. What is sorted (an element: a key and its position, or a position
// alone), where it comes from (a source), how it compares and where it goes (a sink) are parameters.
#pragma once
#include "dims.cuh"
#include "numbers.cuh"

constexpr int kPerThread = 8;

// ---- elements and their orders ----------------------------------------------------------------------------------------------------------

template <class K, class P>
struct Keyed {
  using Key = K;
  using Position = P;
  K key;
  P position;
};

// kCheap: worth a copy for every comparison of a sorting network.
struct ByKey {
  static constexpr bool kCheap = true;
  u64_t unused;
  template <class Element>
  __device__ bool before(const Element& a, const Element& b) const {
    return a.key < b.key;
  }
  template <class Element>
  __device__ Element behind_all() const {
    return {static_cast<typename Element::Key>(-1), 0};
  }
};

// ---- sources ----------------------------------------------------------------------------------------------------------------------------

// The values of a tensor's rows.
template <class E, class Element, class Index>
struct Values {
  const E* x;
  u64_t flip;  // all ones: descending
  Dims<Index, 1> rows, line;

  struct Row {
    const E* x;
    const Values& values;
    __device__ Element at(i64_t i) const {
      using Key = typename Element::Key;
      Index offset[1];
      values.line.locate(static_cast<Index>(i), offset);
      const auto key = static_cast<Key>(order_key(convert<compute_t<E>>(x[offset[0]])));
      return {static_cast<Key>(key ^ static_cast<Key>(values.flip)), static_cast<typename Element::Position>(i)};
    }
  };
  __device__ Row row(i64_t r) const {
    Index at[1];
    rows.locate(static_cast<Index>(r), at);
    return {x + at[0], *this};
  }
};

// Keys that stand ready, row after row; their positions are their places.
template <class Element>
struct Keys {
  const typename Element::Key* keys;
  i64_t pitch;

  struct Row {
    const typename Element::Key* keys;
    __device__ Element at(i64_t i) const { return {keys[i], static_cast<typename Element::Position>(i)}; }
  };
  __device__ Row row(i64_t r) const { return {keys + r * pitch}; }
};

// What an earlier round left.
template <class Element>
struct Sorted {
  const typename Element::Key* keys;
  const typename Element::Position* positions;
  i64_t pitch;

  struct Row {
    const typename Element::Key* keys;
    const typename Element::Position* positions;
    __device__ Element at(i64_t i) const { return {keys[i], positions[i]}; }
  };
  __device__ Row row(i64_t r) const { return {keys + r * pitch, positions + r * pitch}; }
};

// ---- sinks ------------------------------------------------------------------------------------------------------------------------------

template <class Element>
struct ToSorted {
  typename Element::Key* keys;
  typename Element::Position* positions;
  i64_t pitch;

  struct Row {
    typename Element::Key* keys;
    typename Element::Position* positions;
    __device__ void put(i64_t i, const Element& e) const {
      keys[i] = e.key;
      positions[i] = e.position;
    }
  };
  __device__ Row row(i64_t r) const { return {keys + r * pitch, positions + r * pitch}; }
};

// The results: the values at the positions, as bits, and the positions.
template <class T, class Element, class Index>
struct ToTensors {
  const T* x;
  T* values;
  i64_t* indices;
  i64_t strides[3];
  Dims<Index, 3> rows;

  struct Row {
    const T* x;
    T* values;
    i64_t* indices;
    const i64_t* strides;
    __device__ void put(i64_t i, const Element& e) const {
      values[i * strides[1]] = x[static_cast<i64_t>(e.position) * strides[0]];
      indices[i * strides[2]] = static_cast<i64_t>(e.position);
    }
  };
  __device__ Row row(i64_t r) const {
    Index at[3];
    rows.locate(static_cast<Index>(r), at);
    return {x + at[0], values + at[1], indices + at[2], strides};
  }
};

// ---- sorting ----------------------------------------------------------------------------------------------------------------------------

// How many of the first `diagonal` elements of two merged runs come from the first one.
template <class Less, class A, class B>
__device__ i64_t merge_split(const Less& less, const A& a, i64_t a_size, const B& b, i64_t b_size, i64_t diagonal) {
  i64_t low = diagonal > b_size ? diagonal - b_size : 0, high = diagonal < a_size ? diagonal : a_size;
  while (low < high) {
    const i64_t middle = (low + high) / 2;
    if (less.before(b(diagonal - 1 - middle), a(middle)))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// Merges [a, a_end) and [b, b_end) of `shared` into this thread's elements.
template <class Less, class Element>
__device__ void merge_serially(const Less& less, const Element* shared, int a, int a_end, int b, int b_end, Element (&out)[kPerThread]) {
#pragma unroll(Less::kCheap ? kPerThread : 1)
  for (int i = 0; i < kPerThread; ++i) {
    const bool from_b = a >= a_end || (b < b_end && less.before(shared[b], shared[a]));
    if (a < a_end || b < b_end) out[i] = shared[from_b ? b++ : a++];
  }
}

// Odd-even transposition: stable, since only neighbours change places.
template <class Less, class Element>
__device__ void sort_own(const Less& less, Element (&e)[kPerThread]) {
#pragma unroll(Less::kCheap ? kPerThread : 1)
  for (int round = 0; round < kPerThread; ++round) {
#pragma unroll(Less::kCheap ? kPerThread : 1)
    for (int i = round & 1; i + 1 < kPerThread; i += 2) {
      if (less.before(e[i + 1], e[i])) {
        const Element t = e[i];
        e[i] = e[i + 1];
        e[i + 1] = t;
      }
    }
  }
}

// Sorts `shared`, a block's tile.
template <int kThreads, class Less, class Element>
__device__ void sort_shared(const Less& less, Element* shared) {
  Element own[kPerThread];
  const int begin = static_cast<int>(threadIdx.x) * kPerThread;
  for (int i = 0; i < kPerThread; ++i) own[i] = shared[begin + i];
  sort_own(less, own);
  for (int run = kPerThread; run < kThreads * kPerThread; run *= 2) {
    __syncthreads();
    for (int i = 0; i < kPerThread; ++i) shared[begin + i] = own[i];
    __syncthreads();
    const int a = begin / (2 * run) * (2 * run), b = a + run, diagonal = begin - a;
    const int from_a = static_cast<int>(merge_split(
        less, [&](i64_t i) { return shared[a + i]; }, run, [&](i64_t i) { return shared[b + i]; }, run, diagonal));
    merge_serially(less, shared, a + from_a, a + run, b + diagonal - from_a, b + run, own);
  }
  __syncthreads();
  for (int i = 0; i < kPerThread; ++i) shared[begin + i] = own[i];
  __syncthreads();
}

// The first `kept` elements of each row, one by one.
template <class Source, class Sink>
__global__ void copy_elements(const Source source, const Sink sink, i64_t rows, i64_t kept) {
  wait_for_earlier_kernels();
  const i64_t i = static_cast<i64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= rows * kept) return;
  const i64_t r = rows == 1 ? 0 : i / kept, at = i - r * kept;
  sink.row(r).put(at, source.row(r).at(at));
}

// Block = row × tile. Each tile of `length` elements is sorted and its first `kept` go to the sink: tile t's at t * kept.
template <class Element, int kThreads, class Source, class Sink, class Less>
__global__ void __launch_bounds__(kThreads) sort_tiles(const Source source, const Sink sink, const Less less, i64_t length, i64_t tiles, i64_t kept) {
  wait_for_earlier_kernels();
  constexpr int kTile = kThreads * kPerThread;
  __shared__ Element shared[kTile];
  const i64_t r = blockIdx.x / tiles, tile = blockIdx.x % tiles, first = tile * kTile;
  const auto from = source.row(r);
  const auto to = sink.row(r);
  const int here = static_cast<int>(length - first < kTile ? length - first : kTile);
  for (int i = threadIdx.x; i < kTile; i += kThreads) shared[i] = i < here ? from.at(first + i) : less.template behind_all<Element>();
  __syncthreads();
  sort_shared<kThreads>(less, shared);
  const int count = static_cast<int>(kept < here ? kept : here);
  for (int i = threadIdx.x; i < count; i += kThreads) to.put(tile * kept + i, shared[i]);
}

// Block = row × tile of the result. Merges runs of `run` elements two by two; only the first `kept` of a row are wanted.
template <class Element, int kThreads, class Source, class Sink, class Less>
__global__ void __launch_bounds__(kThreads) merge_runs(const Source source, const Sink sink, const Less less, i64_t length, i64_t tiles, i64_t kept, i64_t run) {
  wait_for_earlier_kernels();
  constexpr int kTile = kThreads * kPerThread;
  __shared__ Element shared[kTile];
  __shared__ i64_t splits[2];
  const i64_t r = blockIdx.x / tiles, first = blockIdx.x % tiles * kTile;
  const auto from = source.row(r);
  const auto to = sink.row(r);
  const i64_t a = first / (2 * run) * (2 * run), b = a + run < length ? a + run : length, end = b + run < length ? b + run : length;
  const i64_t last = first + kTile < end ? first + kTile : end;
  if (threadIdx.x < 2) {
    splits[threadIdx.x] = merge_split(
        less, [&](i64_t i) { return from.at(a + i); }, b - a, [&](i64_t i) { return from.at(b + i); }, end - b, (threadIdx.x == 0 ? first : last) - a);
  }
  __syncthreads();
  const i64_t a_first = a + splits[0], a_last = a + splits[1], b_first = b + (first - a) - splits[0];
  const int a_count = static_cast<int>(a_last - a_first), count = static_cast<int>(last - first);
  for (int i = threadIdx.x; i < count; i += kThreads) shared[i] = i < a_count ? from.at(a_first + i) : from.at(b_first + i - a_count);
  __syncthreads();
  Element own[kPerThread];
  const int begin = static_cast<int>(threadIdx.x) * kPerThread, diagonal = begin < count ? begin : count;
  const int from_a = static_cast<int>(merge_split(
      less, [&](i64_t i) { return shared[i]; }, a_count, [&](i64_t i) { return shared[a_count + i]; }, count - a_count, diagonal));
  merge_serially(less, shared, from_a, a_count, a_count + diagonal - from_a, count, own);
  __syncthreads();
  for (int i = 0; i < kPerThread && begin + i < count; ++i) shared[begin + i] = own[i];
  __syncthreads();
  for (int i = threadIdx.x; i < count && first + i < kept; i += kThreads) to.put(first + i, shared[i]);
}
