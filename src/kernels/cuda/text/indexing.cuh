// gather, index, scatter, index_put: blocks of kept dimensions, one for each position of the index tensors. The table is what indices point into, the list has
// a block for each position.
#pragma once
#include "dims.cuh"

template <class Index, int kIndices>
struct Indexing {
  const void* indices[kIndices];
  u64_t* faults[kIndices];            // one per index: where an index that is outside is left, 0 standing for kZeroIndex
  i64_t sizes[kIndices];              // of the axes
  i64_t strides[kIndices];            // of the axes, in the table
  i64_t radix[kIndices];              // of the axes, in a target's number
  i64_t count;                        // positions
  u32_t wide;                         // bit j: index j is i64, else i32
  u32_t wraps;                        // negative indices count from the end
  Dims<Index, 3 + kIndices> positions;  // list, table, number of the target, indices
  Dims<Index, 2> kept;                // list, table
  i64_t block;                        // elements of the kept dimensions
  Divisor<Index> by_block;
};

constexpr u64_t kZeroIndex = 0x8000000000000000ull;

struct Target {
  i64_t list, table, number;  // number: kNoTarget where an index is outside
};
constexpr i64_t kNoTarget = -1;

// Where position p's block lies. An index that is outside is told.
template <class Index, int kIndices>
__device__ Target find_target(const Indexing<Index, kIndices>& ix, Index p) {
  Index at[3 + kIndices];
  ix.positions.locate(p, at);
  Target target{at[0], at[1], at[2]};
  for (int j = 0; j < kIndices; ++j) {
    i64_t i = (ix.wide >> j & 1) != 0 ? static_cast<const i64_t*>(ix.indices[j])[at[3 + j]] : static_cast<const i32_t*>(ix.indices[j])[at[3 + j]];
    const i64_t found = i < 0 && ix.wraps != 0 ? i + ix.sizes[j] : i;
    if (found < 0 || found >= ix.sizes[j]) {
      *ix.faults[j] = i == 0 ? kZeroIndex : static_cast<u64_t>(i);
      target.number = kNoTarget;
      return target;
    }
    target.table += found * ix.strides[j];
    target.number += found * ix.radix[j];
  }
  return target;
}

// Element `element` of all blocks: which position, and its offsets in list and table within the block.
template <class Index, int kIndices>
struct InBlock {
  Index position, list, table;
  __device__ InBlock(const Indexing<Index, kIndices>& ix, Index element) {
    position = quotient(element, ix.by_block);
    Index at[2];
    ix.kept.locate(element - position * static_cast<Index>(ix.by_block.divisor), at);
    list = at[0];
    table = at[1];
  }
};

template <class T, class Index, int kIndices>
__global__ void read_blocks(const T* table, T* list, const Indexing<Index, kIndices> ix) {
  wait_for_earlier_kernels();
  const Index element = thread_position<Index>();
  if (element >= ix.count * ix.block) return;
  const InBlock<Index, kIndices> in(ix, element);
  const Target target = find_target(ix, in.position);
  list[target.list + in.list] = target.number == kNoTarget ? T{} : table[target.table + in.table];
}

// For few positions: a block is written unless a later position has the same target.
template <class T, class Index, int kIndices>
__global__ void write_few_blocks(T* table, const T* list, const Indexing<Index, kIndices> ix) {
  wait_for_earlier_kernels();
  const Index element = thread_position<Index>();
  if (element >= ix.count * ix.block) return;
  const InBlock<Index, kIndices> in(ix, element);
  const Target target = find_target(ix, in.position);
  if (target.number == kNoTarget) return;
  for (Index later = in.position + 1; later < ix.count; ++later) {
    if (find_target(ix, later).number == target.number) return;
  }
  table[target.table + in.table] = list[target.list + in.list];
}

// last[number of a target] = 1 + the last position that has it. `last` was zeroed.
template <class Count, class Index, int kIndices>
__global__ void find_last(Count* last, const Indexing<Index, kIndices> ix) {
  wait_for_earlier_kernels();
  const Index p = thread_position<Index>();
  if (p >= ix.count) return;
  const i64_t number = find_target(ix, p).number;
  if (number != kNoTarget) atomicMax(last + number, static_cast<Count>(p) + 1);
}

template <class T, class Count, class Index, int kIndices>
__global__ void write_last_blocks(T* table, const T* list, const Count* last, const Indexing<Index, kIndices> ix) {
  wait_for_earlier_kernels();
  const Index element = thread_position<Index>();
  if (element >= ix.count * ix.block) return;
  const InBlock<Index, kIndices> in(ix, element);
  const Target target = find_target(ix, in.position);
  if (target.number != kNoTarget && last[target.number] == static_cast<Count>(in.position) + 1) table[target.table + in.table] = list[target.list + in.list];
}
