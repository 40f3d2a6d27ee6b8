// Tiles of 16-bit elements in shared memory: [lane][k] or [k][lane], rows padded against bank conflicts. A lane is a row of the left operand of a product or a
// column of the right one, k counts along the depth.
#pragma once

#include "tensor_core.cuh"

/// How a tile is loaded: 16 bytes at a time along the depth or along the lanes, or single elements with neighbouring threads along the one or the other.
enum Load { kVectorsOfDepth, kVectorsOfLanes, kElementsAlongDepth, kElementsAlongLanes };
__device__ constexpr bool is_lane_major(int load) { return load == kVectorsOfLanes || load == kElementsAlongLanes; }
__device__ constexpr int pitch_of(int load, int lanes, int depth) { return (is_lane_major(load) ? lanes : depth) + 8; }
__device__ constexpr int tile_items(int load, int lanes, int depth) { return (is_lane_major(load) ? depth : lanes) * pitch_of(load, lanes, depth); }
__device__ constexpr int larger(int a, int b) { return a > b ? a : b; }

/// Fills a tile. `locate(lane, k)` is the offset of an element of `source`, negative where it is 0; vectors end at `lane_count` and `depth_count`.
template <int Load, int Lanes, int DepthSize, int Threads, class Locate>
__device__ inline void load_tile(u16_t* tile, const u16_t* source, int lane_count, int depth_count, Locate locate) {
  constexpr int kPitch = pitch_of(Load, Lanes, DepthSize);
  if (Load == kVectorsOfDepth || Load == kVectorsOfLanes) {
    constexpr int kAcross = (Load == kVectorsOfDepth ? DepthSize : Lanes) / 8, kVectors = Lanes * DepthSize / 8;
#pragma unroll
    for (int i = 0; i < kVectors; i += Threads) {
      const int at = i + static_cast<int>(threadIdx.x);
      if (kVectors % Threads != 0 && at >= kVectors) break;
      const int along = at % kAcross * 8, other = at / kAcross;
      const int lane = Load == kVectorsOfDepth ? other : along, k = Load == kVectorsOfDepth ? along : other;
      const i64_t offset = locate(lane, k);
      const int left = (Load == kVectorsOfDepth ? depth_count : lane_count) - along;
      copy_async(tile + other * kPitch + along, offset < 0 ? source : source + offset, offset < 0 ? 0 : left < 8 ? left * 2 : 16);
    }
  } else {
    constexpr int kAcross = Load == kElementsAlongDepth ? DepthSize : Lanes, kItems = Lanes * DepthSize;
#pragma unroll 8
    for (int i = 0; i < kItems; i += Threads) {
      const int at = i + static_cast<int>(threadIdx.x);
      if (kItems % Threads != 0 && at >= kItems) break;
      const int along = at % kAcross, other = at / kAcross;
      const i64_t offset = Load == kElementsAlongDepth ? locate(other, along) : locate(along, other);
      tile[other * kPitch + along] = offset < 0 ? static_cast<u16_t>(0) : source[offset];
    }
  }
}
