// scatter and index_put that combine: positions sorted by their targets, then one thread for each element of a target goes through the positions that have it,
// in their order.
#pragma once
#include "indexing.cuh"
#include "numbers.cuh"

enum Reduce { kSum, kProd, kMean, kMax, kMin };

template <Reduce kReduce, class C>
__device__ C first_of() {
  if constexpr (kReduce == kProd)
    return C(1);
  else if constexpr (kReduce == kMax)
    return Limits<C>::lowest();
  else if constexpr (kReduce == kMin)
    return Limits<C>::highest();
  else
    return C(0);
}

template <Reduce kReduce, class C>
__device__ C combine(C a, C b) {
  if constexpr (kReduce == kProd)
    return static_cast<C>(a * b);
  else if constexpr (kReduce == kMax)
    return larger(a, b);
  else if constexpr (kReduce == kMin)
    return smaller(a, b);
  else
    return static_cast<C>(a + b);
}

// Integers round toward minus infinity.
template <class C>
__device__ C mean_of(C sum, i64_t count) {
  if constexpr (is_same<C, bool>::value) {
    return sum;
  } else if constexpr (kIsFloat<C>) {
    return sum / static_cast<C>(count);
  } else if constexpr (!kIsSigned<C>) {
    return static_cast<C>(sum / static_cast<C>(count));
  } else {
    const i64_t s = sum;
    return static_cast<C>(s / count - (s % count < 0 ? 1 : 0));
  }
}

template <class Key, class Index, int kIndices>
__global__ void number_targets(Key* numbers, const Indexing<Index, kIndices> ix) {
  wait_for_earlier_kernels();
  const Index p = thread_position<Index>();
  if (p < ix.count) numbers[p] = static_cast<Key>(find_target(ix, p).number);
}

// `numbers` ascend; `order[s]` is the position whose number is numbers[s].
template <Reduce kReduce, class E, class Key, class Order, class Index, int kIndices>
__global__ void combine_blocks(E* table, const E* list, const Key* numbers, const Order* order, const Indexing<Index, kIndices> ix, int include_self) {
  wait_for_earlier_kernels();
  using C = compute_t<E>;
  const Index element = thread_position<Index>();
  if (element >= ix.count * ix.block) return;
  const InBlock<Index, kIndices> in(ix, element);
  const Key number = numbers[in.position];
  if (number == static_cast<Key>(kNoTarget) || (in.position > 0 && numbers[in.position - 1] == number)) return;
  E* out = table + find_target(ix, static_cast<Index>(order[in.position])).table + in.table;
  C value = include_self != 0 ? convert<C>(*out) : first_of<kReduce, C>();
  Index s = in.position;
#pragma unroll 4
  for (; s < ix.count && numbers[s] == number; ++s) {
    Index at[3 + kIndices];
    ix.positions.locate(static_cast<Index>(order[s]), at);
    value = combine<kReduce>(value, convert<C>(list[at[0] + in.list]));
  }
  if constexpr (kReduce == kMean) {
    const i64_t summed = s - in.position + (include_self != 0 ? 1 : 0);
    if (summed > 1) value = mean_of(value, summed);
  }
  *out = convert<E>(value);
}
