// Running sums, products, extremes and log-sum-exps along lines.
#pragma once
#include "dims.cuh"
#include "numbers.cuh"

// A state is what some neighbouring elements come to: `of` one, `with` those behind it.
template <class T>
struct RunningSum {
  using Value = T;
  T value;
  static __device__ RunningSum of(T x, i64_t) { return {x}; }
  __device__ RunningSum with(const RunningSum& b) const { return {value + b.value}; }
  __device__ i64_t place() const { return 0; }
};
template <class T>
struct RunningProduct {
  using Value = T;
  T value;
  static __device__ RunningProduct of(T x, i64_t) { return {x}; }
  __device__ RunningProduct with(const RunningProduct& b) const { return {value * b.value}; }
  __device__ i64_t place() const { return 0; }
};
// Equal infinities have no difference to take the exponential of.
template <class T>
struct RunningLogSumExp {
  using Value = T;
  T value;
  static __device__ RunningLogSumExp of(T x, i64_t) { return {x}; }
  __device__ RunningLogSumExp with(const RunningLogSumExp& b) const {
    const T low = smaller(value, b.value), high = larger(value, b.value);
    const bool finite = high - high == T(0);
    return {low != high || finite ? high + log1p(exp(low - high)) : high};
  }
  __device__ i64_t place() const { return 0; }
};
// The last of equal extremes is the one; a NaN stays, and each NaN is the newest extreme.
template <class T, bool kLargest>
struct RunningExtreme {
  using Value = T;
  T value;
  i64_t at;
  static __device__ RunningExtreme of(T x, i64_t place) { return {x, place}; }
  __device__ RunningExtreme with(const RunningExtreme& b) const {
    const bool better = kLargest ? b.value >= value : b.value <= value;
    return is_not_number(b.value) || (!is_not_number(value) && better) ? b : *this;
  }
  __device__ i64_t place() const { return at; }
};

template <class E, class O, class Index>
struct ScanLines {
  const E* x;
  O* y;
  i64_t* places;  // null: not wanted
  i64_t lines, length;
  i64_t strides[3];       // x, y, places: along a line
  Dims<Index, 3> around;  // where a line begins
};

template <class State, class E, class O, class Index>
struct Line {
  const E* x;
  O* y;
  i64_t* places;
  const i64_t* strides;
  __device__ Line(const ScanLines<E, O, Index>& s, i64_t line) : strides(s.strides) {
    Index at[3];
    s.around.locate(static_cast<Index>(line), at);
    x = s.x + at[0];
    y = s.y + at[1];
    places = s.places == nullptr ? nullptr : s.places + at[2];
  }
  __device__ State get(i64_t i) const { return State::of(convert<typename State::Value>(x[i * strides[0]]), i); }
  __device__ void put(i64_t i, const State& state) const {
    y[i * strides[1]] = convert<O>(state.value);
    if (places != nullptr) places[i * strides[2]] = state.place();
  }
};

// One thread for a line: many lines beside each other, or short ones.
template <class State, class E, class O, class Index>
__global__ void scan_across(const ScanLines<E, O, Index> s) {
  wait_for_earlier_kernels();
  const i64_t line = static_cast<i64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (line >= s.lines || s.length == 0) return;
  const Line<State, E, O, Index> at(s, line);
  State state = at.get(0);
  at.put(0, state);
#pragma unroll 4
  for (i64_t i = 1; i < s.length; ++i) {
    state = state.with(at.get(i));
    at.put(i, state);
  }
}

constexpr int kScanThreads = 256, kScanEach = 8, kScanChunk = kScanThreads * kScanEach;

// What all threads before this one come to (for thread 0 nothing: `any` is false), and what all come to.
template <class State>
struct BlockScan {
  State before, all;
  bool any;

  // `here` of the first `active` threads count.
  __device__ BlockScan(const State& here, int active) {
    __shared__ State states[kScanThreads];
    const int t = threadIdx.x;
    State own = here;
    __syncthreads();  // what an earlier scan left may still be read
    states[t] = own;
    for (int distance = 1; distance < kScanThreads; distance *= 2) {
      __syncthreads();
      const bool reaches = t >= distance;
      const State left = states[reaches ? t - distance : t];
      __syncthreads();
      if (reaches) own = left.with(own);
      states[t] = own;
    }
    __syncthreads();
    any = t > 0;
    before = states[any ? t - 1 : 0];
    all = states[active - 1];
  }
};

// Block = line × chunk. kTotals: only what the chunk comes to, in `totals`. Otherwise the results, behind what `totals` (scanned by then; null: one chunk a line)
// holds for the chunk before.
template <class State, bool kTotals, class E, class O, class Index>
__global__ void __launch_bounds__(kScanThreads) scan_chunks(const ScanLines<E, O, Index> s, State* totals, i64_t chunks) {
  wait_for_earlier_kernels();
  const i64_t line = blockIdx.x / chunks, chunk = blockIdx.x % chunks, first = chunk * kScanChunk;
  const Line<State, E, O, Index> at(s, line);
  const int count = static_cast<int>(s.length - first < kScanChunk ? s.length - first : kScanChunk);
  const int begin = static_cast<int>(threadIdx.x) * kScanEach;
  State own[kScanEach];
#pragma unroll
  for (int i = 0; i < kScanEach; ++i) {
    own[i] = at.get(first + (begin + i < count ? begin + i : 0));
    if (i > 0 && begin + i < count) own[i] = own[i - 1].with(own[i]);
    if (i > 0 && begin + i >= count) own[i] = own[i - 1];
  }
  const BlockScan<State> scan(own[kScanEach - 1], (count + kScanEach - 1) / kScanEach);
  if constexpr (kTotals) {
    if (threadIdx.x == 0) totals[blockIdx.x] = scan.all;
  } else {
    State before = scan.before;
    bool any = scan.any;
    if (chunk > 0) {
      before = any ? totals[blockIdx.x - 1].with(before) : totals[blockIdx.x - 1];
      any = true;
    }
#pragma unroll
    for (int i = 0; i < kScanEach; ++i) {
      if (begin + i < count) at.put(first + begin + i, any ? before.with(own[i]) : own[i]);
    }
  }
}

// totals[line][c] = what the chunks up to c come to. A block for each line.
template <class State>
__global__ void __launch_bounds__(kScanThreads) scan_totals(State* totals, i64_t chunks) {
  wait_for_earlier_kernels();
  State* of_line = totals + blockIdx.x * chunks;
  State before;
  for (i64_t first = 0; first < chunks; first += kScanThreads) {
    const int count = static_cast<int>(chunks - first < kScanThreads ? chunks - first : kScanThreads), t = threadIdx.x;
    const State here = of_line[first + (t < count ? t : 0)];
    const BlockScan<State> scan(here, count);
    State result = scan.any ? scan.before.with(here) : here;
    if (first > 0) result = before.with(result);
    if (t < count) of_line[first + t] = result;
    before = first > 0 ? before.with(scan.all) : scan.all;
  }
}
