// Contraction of 16-bit reals on tensor cores; sums in f32.
//
// Shared memory: `Stages` tiles of a and b, as the loads bring them ([lane][k] or [k][lane]; a lane is a row of a or a column of b), the depth entries of each
// stage, the row entries. The result passes through shared memory too, so that stores run along whichever dimension is contiguous.
#pragma once

#include "gemm.cuh"
#include "tiles.cuh"

/// How the result is stored: 16 bytes of a row, single elements along rows, single elements along columns; kParts: f32 sums of one split.
enum Store { kRowVectors, kRowElements, kColumnElements, kParts };

template <int Rows, int Columns, int DepthSize, int Stages, int LoadA, int LoadB, int StoreY>
struct MmaTile {
  static constexpr int kItemsA = tile_items(LoadA, Rows, DepthSize), kItemsB = tile_items(LoadB, Columns, DepthSize);
  static constexpr int kResultPitch = Columns + (StoreY == kColumnElements ? 1 : 8);
  static constexpr int kTileBytes = larger(Stages * (kItemsA + kItemsB) * 2, Rows * kResultPitch * 4);
  static constexpr int kSharedBytes = kTileBytes + Stages * DepthSize * static_cast<int>(sizeof(Depth)) + Rows * static_cast<int>(sizeof(Row));
};

/// Offset of element k of the depth in a and b where the depth is one dimension.
__device__ inline Depth flat_depth(const Gemm& g, i64_t k, i64_t end) { return {k * g.a_depth[0], k * g.b_depth[0], {0, 0, 0}, k < end}; }

/// Loads tiles of one operand; what does not change from tile to tile stays in registers. `Lanes` are rows of a or columns of b: `lane_of(lane)` gives a Row (of
/// b: its offset in `a`, in bounds or not).
template <int Load, int Lanes, int DepthSize, int Threads, int Conv, bool IsA>
struct TileLoader {
  static constexpr bool kVectors = Load == kVectorsOfDepth || Load == kVectorsOfLanes, kAlongDepth = Load == kVectorsOfDepth || Load == kElementsAlongDepth;
  static constexpr int kPitch = pitch_of(Load, Lanes, DepthSize), kWidth = kVectors ? 8 : 1, kAcross = (kAlongDepth ? DepthSize : Lanes) / kWidth;
  static constexpr int kEach = Lanes * DepthSize / kWidth / Threads, kOthers = Threads / kAcross;  // a thread stays at one place along
  static_assert(kEach * Threads * kWidth == Lanes * DepthSize && kOthers * kAcross == Threads, "whole rounds");
  Row lanes[Load == kVectorsOfDepth ? kEach : 1];

  template <class LaneOf>
  __device__ void start(LaneOf lane_of) {
    const int along = static_cast<int>(threadIdx.x) % kAcross * kWidth, other = static_cast<int>(threadIdx.x) / kAcross;
    if (Load == kVectorsOfDepth) {
#pragma unroll
      for (int i = 0; i < kEach; ++i) lanes[i] = lane_of(other + i * kOthers);
    } else if (!kAlongDepth) {
      lanes[0] = lane_of(along);
    }
  }

  __device__ static i64_t locate(const Gemm& g, const Row& lane, const Depth& depth) {
    if (IsA) return locate_a<Conv>(g, lane, depth);
    return lane.valid && depth.valid ? lane.a + depth.b : -1;
  }

  /// The tile of the depth from `first`; `entries` describe it where the depth has several dimensions.
  template <class LaneOf>
  __device__ void load(u16_t* tile, const u16_t* source, const Gemm& g, i64_t first, i64_t end, int lane_count, const Depth* entries, LaneOf lane_of) const {
    const int along = static_cast<int>(threadIdx.x) % kAcross * kWidth, other = static_cast<int>(threadIdx.x) / kAcross;
    const auto depth_of = [&](int k) { return Conv == kNoConvolution ? flat_depth(g, first + k, end) : entries[k]; };
    if (Load == kVectorsOfDepth) {
      const Depth depth = depth_of(along);
      const i64_t left = end - first - along;
      const int bytes = left < 8 ? static_cast<int>(left) * 2 : 16;
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const i64_t offset = locate(g, lanes[i], depth);
        copy_async(tile + (other + i * kOthers) * kPitch + along, offset < 0 ? source : source + offset, offset < 0 ? 0 : bytes);
      }
    } else if (Load == kVectorsOfLanes) {
      const int bytes = lane_count - along < 8 ? (lane_count - along) * 2 : 16;
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        const i64_t offset = locate(g, lanes[0], depth_of(other + i * kOthers));
        copy_async(tile + (other + i * kOthers) * kPitch + along, offset < 0 ? source : source + offset, offset < 0 ? 0 : bytes);
      }
    } else if (Load == kElementsAlongDepth) {
      const Depth depth = depth_of(along);
#pragma unroll 8
      for (int i = 0; i < kEach; ++i) {
        const i64_t offset = locate(g, lane_of(other + i * kOthers), depth);
        tile[(other + i * kOthers) * kPitch + along] = offset < 0 ? static_cast<u16_t>(0) : source[offset];
      }
    } else {
#pragma unroll 8
      for (int i = 0; i < kEach; ++i) {
        const i64_t offset = locate(g, lanes[0], depth_of(other + i * kOthers));
        tile[(other + i * kOthers) * kPitch + along] = offset < 0 ? static_cast<u16_t>(0) : source[offset];
      }
    }
  }
};

template <class T, int Rows, int Columns, int DepthSize, int WarpsM, int WarpsN, int Stages, int LoadA, int LoadB, int Conv, int StoreY, class Finish>
__global__ void __launch_bounds__(WarpsM* WarpsN * 32)
    gemm_mma(const __grid_constant__ Gemm g, const u16_t* a, const u16_t* b, const u16_t* bias, u16_t* y, float* parts, Finish finish) {
  using Tile = MmaTile<Rows, Columns, DepthSize, Stages, LoadA, LoadB, StoreY>;
  constexpr int kThreads = WarpsM * WarpsN * 32, kPitchA = pitch_of(LoadA, Rows, DepthSize), kPitchB = pitch_of(LoadB, Columns, DepthSize);
  constexpr int kFragmentsM = Rows / WarpsM / 16, kFragmentsN = Columns / WarpsN / 8;
  static_assert(kFragmentsN % 2 == 0 && DepthSize % 16 == 0, "fragments are loaded in pairs");
  extern __shared__ __align__(16) unsigned char shared_memory[];
  u16_t *tiles_a = reinterpret_cast<u16_t*>(shared_memory), *tiles_b = tiles_a + Stages * Tile::kItemsA;
  Depth* depths = reinterpret_cast<Depth*>(shared_memory + Tile::kTileBytes);
  Row* rows = reinterpret_cast<Row*>(depths + Stages * DepthSize);

  const Block block = locate_block(g, Rows, Columns);
  const int row_count = static_cast<int>(g.rows - block.row < Rows ? g.rows - block.row : Rows);
  const int column_count = static_cast<int>(g.columns - block.column < Columns ? g.columns - block.column : Columns);
  const int steps = static_cast<int>((block.depth_end - block.depth_begin + DepthSize - 1) / DepthSize);

  for (int i = threadIdx.x; i < Rows; i += kThreads) rows[i] = locate_row<Conv>(g, block.row + i);
  const auto fill_depths = [&](int step, int stage) {
    if (Conv == kNoConvolution) return;
    for (int i = threadIdx.x; i < DepthSize; i += kThreads)
      depths[stage * DepthSize + i] = locate_depth<Conv>(g, block.depth_begin + static_cast<i64_t>(step) * DepthSize + i, block.depth_end);
  };
  for (int step = 0; step < Stages; ++step) fill_depths(step, step);
  __syncthreads();

  const auto row_of = [&](int row) { return rows[row]; };
  const auto column_of = [&](int column) { return Row{(block.column + column) * g.b_column, 0, 0, {0, 0, 0}, column < column_count}; };
  TileLoader<LoadA, Rows, DepthSize, kThreads, Conv, true> loader_a;
  TileLoader<LoadB, Columns, DepthSize, kThreads, Conv, false> loader_b;
  loader_a.start(row_of);
  loader_b.start(column_of);
  const auto load = [&](int step, int stage) {
    if (step < steps) {
      const i64_t first = block.depth_begin + static_cast<i64_t>(step) * DepthSize;
      const Depth* entries = depths + stage * DepthSize;
      loader_a.load(tiles_a + stage * Tile::kItemsA, a + block.a, g, first, block.depth_end, row_count, entries, row_of);
      loader_b.load(tiles_b + stage * Tile::kItemsB, b + block.b, g, first, block.depth_end, column_count, entries, column_of);
    }
    commit_copies();
  };
  wait_for_earlier_kernels();
  for (int step = 0; step < Stages - 1; ++step) load(step, step);

  float sums[kFragmentsM][kFragmentsN][4] = {};
  const int warp = threadIdx.x / 32, row0 = warp / WarpsN * (Rows / WarpsM), column0 = warp % WarpsN * (Columns / WarpsN);
  for (int step = 0, stage = 0; step < steps; ++step, stage = stage + 1 == Stages ? 0 : stage + 1) {
    wait_copies<Stages - 2>();
    __syncthreads();  // the tile is here, and everybody is done with the stage that the next load fills
    load(step + Stages - 1, stage == 0 ? Stages - 1 : stage - 1);
    const u16_t *tile_a = tiles_a + stage * Tile::kItemsA, *tile_b = tiles_b + stage * Tile::kItemsB;
#pragma unroll
    for (int k = 0; k < DepthSize; k += 16) {
      u32_t fragments_a[kFragmentsM][4], fragments_b[kFragmentsN / 2][4];
#pragma unroll
      for (int i = 0; i < kFragmentsM; ++i) load_a_fragment<is_lane_major(LoadA)>(fragments_a[i], tile_a, kPitchA, row0 + i * 16, k);
#pragma unroll
      for (int j = 0; j < kFragmentsN / 2; ++j) load_b_fragments<is_lane_major(LoadB)>(fragments_b[j], tile_b, kPitchB, column0 + j * 16, k);
#pragma unroll
      for (int i = 0; i < kFragmentsM; ++i) {
#pragma unroll
        for (int j = 0; j < kFragmentsN; ++j) {
          const u32_t pair[2] = {fragments_b[j / 2][j % 2 * 2], fragments_b[j / 2][j % 2 * 2 + 1]};
          HalfBits<T>::mma(sums[i][j], fragments_a[i], pair);
        }
      }
    }
    fill_depths(step + Stages, stage);  // into the entries that this tile was loaded with
  }
  wait_copies<0>();
  __syncthreads();

  float* result = reinterpret_cast<float*>(shared_memory);
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kFragmentsM; ++i) {
#pragma unroll
    for (int j = 0; j < kFragmentsN; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e)
        result[(row0 + i * 16 + lane / 4 + e / 2 * 8) * Tile::kResultPitch + column0 + j * 8 + lane % 4 * 2 + e % 2] = sums[i][j][e];
    }
  }
  __syncthreads();

  const auto bias_of = [&](int row, int column) {
    return bias == nullptr ? 0.f : HalfBits<T>::to_float(bias[block.bias + rows[row].bias + (block.column + column) * g.bias_column]);
  };
  if (StoreY == kParts) {
    float* part = parts + ((block.split * g.batches + block.batch) * g.rows + block.row) * g.columns + block.column;
    for (int i = threadIdx.x; i < Rows * Columns; i += kThreads) {
      const int row = i / Columns, column = i % Columns;
      if (row < row_count && column < column_count) part[row * g.columns + column] = result[row * Tile::kResultPitch + column];
    }
  } else if (StoreY == kRowVectors) {
    for (int i = threadIdx.x; i < Rows * Columns / 8; i += kThreads) {
      const int row = i / (Columns / 8), column = i % (Columns / 8) * 8;
      if (row >= row_count || column >= column_count) continue;
      const float* from = result + row * Tile::kResultPitch + column;
      const i64_t to = block.y + rows[row].y + block.column + column;
      float values[8];
#pragma unroll
      for (int e = 0; e < 8; ++e) values[e] = finish(from[e] + bias_of(row, column + e), to + e);
      *reinterpret_cast<uint4*>(y + to) = make_uint4(HalfBits<T>::pack(values[0], values[1]), HalfBits<T>::pack(values[2], values[3]),
                                                     HalfBits<T>::pack(values[4], values[5]), HalfBits<T>::pack(values[6], values[7]));
    }
  } else {
    for (int i = threadIdx.x; i < Rows * Columns; i += kThreads) {
      const int row = StoreY == kRowElements ? i / Columns : i % Rows, column = StoreY == kRowElements ? i % Columns : i / Rows;
      if (row >= row_count || column >= column_count) continue;
      const i64_t to = block.y + rows[row].y + (block.column + column) * g.y_column;
      y[to] = static_cast<u16_t>(HalfBits<T>::pack(finish(result[row * Tile::kResultPitch + column] + bias_of(row, column), to), 0.f));
    }
  }
}
