// Reductions: what a thread keeps, how it takes a value in, how two of them merge.
#pragma once
#include "scalar.cuh"

/// A state that is the result.
template <class T>
struct Plain {
  using State = T;
  template <class Out>
  __device__ static Out finish(State s) { return convert<Out>(s); }
};

template <class T>
struct Sum : Plain<T> {
  using State = T;
  __device__ static State start() { return 0; }
  template <class From>
  __device__ static State add(State s, From value, i64_t) { return s + convert<T>(value); }
  __device__ static State merge(State a, State b) { return a + b; }
};
/// What rounding takes from each addition is kept beside the sum.
template <>
struct Sum<float> {
  struct State {
    float sum, lost;
  };
  __device__ static State start() { return {0, 0}; }
  __device__ static State plus(State s, float value) {
    const float sum = __fadd_rn(s.sum, value), taken = __fsub_rn(sum, s.sum);
    return {sum, s.lost + (__fsub_rn(s.sum, __fsub_rn(sum, taken)) + __fsub_rn(value, taken))};
  }
  template <class From>
  __device__ static State add(State s, From value, i64_t) { return plus(s, convert<float>(value)); }
  __device__ static State merge(State a, State b) {
    const State s = plus(a, b.sum);
    return {s.sum, s.lost + b.lost};
  }
  template <class Out>
  __device__ static Out finish(State s) { return convert<Out>(isfinite(s.sum) ? s.sum + s.lost : s.sum); }
};
template <class T>
struct Product : Plain<T> {
  using State = T;
  __device__ static State start() { return 1; }
  template <class From>
  __device__ static State add(State s, From value, i64_t) { return s * convert<T>(value); }
  __device__ static State merge(State a, State b) { return a * b; }
};
template <class T>
struct Max : Plain<T> {
  using State = T;
  __device__ static State start() { return Limits<T>::lowest(); }
  template <class From>
  __device__ static State add(State s, From value, i64_t) { return merge(s, convert<T>(value)); }
  __device__ static State merge(State a, State b) { return op_maximum(a, b); }
};
template <class T>
struct Min : Plain<T> {
  using State = T;
  __device__ static State start() { return Limits<T>::highest(); }
  template <class From>
  __device__ static State add(State s, From value, i64_t) { return merge(s, convert<T>(value)); }
  __device__ static State merge(State a, State b) { return op_minimum(a, b); }
};
struct Any : Plain<bool> {
  __device__ static State start() { return false; }
  template <class From>
  __device__ static State add(State s, From value, i64_t) { return s || value != (From)0; }
  __device__ static State merge(State a, State b) { return a || b; }
};
struct All : Plain<bool> {
  __device__ static State start() { return true; }
  template <class From>
  __device__ static State add(State s, From value, i64_t) { return s && value != (From)0; }
  __device__ static State merge(State a, State b) { return a && b; }
};

/// The first extremum; a NaN counts as one.
template <class T, bool largest>
struct ArgExtreme {
  struct State {
    T value;
    i64_t at;  // -1: none yet
  };
  __device__ static State start() { return {(T)0, -1}; }
  template <class From>
  __device__ static State add(State s, From value, i64_t at) { return merge(s, {(T)value, at}); }
  __device__ static State merge(State a, State b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    if (op_is_nan(a.value) != op_is_nan(b.value)) return op_is_nan(a.value) ? a : b;
    if (largest ? b.value > a.value : b.value < a.value) return b;
    if (largest ? a.value > b.value : a.value < b.value) return a;
    return a.at < b.at ? a : b;
  }
  template <class Out>
  __device__ static Out finish(State s) { return (Out)s.at; }
};

/// Merges the states of the threads with one `k`; thread l = 0 has the result. The block has `kept * line` threads, those of one k beside each other if `along`.
template <class Fold, int kept, int line, bool along>
__device__ inline typename Fold::State merge_block(typename Fold::State state, int k, int l) {
  if constexpr (line > 1) {
    __shared__ typename Fold::State states[kept * line];
    const auto at = [&](int other) { return along ? k * line + other : other * kept + k; };
    states[at(l)] = state;
#pragma unroll
    for (int half = line / 2; half > 0; half /= 2) {
      __syncthreads();
      if (l < half) states[at(l)] = state = Fold::merge(state, states[at(l + half)]);
    }
  }
  return state;
}
