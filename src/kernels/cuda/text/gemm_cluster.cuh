// Products of 16-bit reals that are too small to fill the GPU by their rows and columns: the blocks of a cluster share out the depth and add up their sums through
// each other's shared memory. What does not change (weights) is loaded before the wait for earlier kernels, while these still run.
//
// Left operand: rows of `depth` elements, or the patches of a convolution over channels-last images, [image, line, pixel, channel]. Offsets fit 32 bits.
#pragma once

#include "finish.cuh"
#include "group_product.cuh"
#include "tiles.cuh"

constexpr int kMostSplits = 8, kMostTaps = 16, kLineItems = 64;  // of the L2 cache

/// How the depth is walked: b's order throughout; [kernel line, kernel pixel, channel] of a convolution; or steps of channels outermost and the taps of each within,
/// so that one tap's pixels are near the last one's (whole steps of channels).
enum Walk { kFlat, kTaps, kChannels };

/// Filled in by the host (gemm_cluster.cpp): the same layout there. Without a convolution, rows are pixels. Strides count elements.
struct ClusterGemm {
  i64_t a_batch, b_batch, y_batch, bias_batch;
  i32_t rows, columns, depth, splits;
  i32_t a_image, a_line, a_pixel, y_image, y_line, y_pixel;
  i32_t out_lines, out_pixels, in_lines, in_pixels;
  i32_t stride_lines, stride_pixels, padding_lines, padding_pixels, dilation_lines, dilation_pixels;
  i32_t kernel_lines, kernel_pixels, channels;  // the depth: [kernel line, kernel pixel, channel]; at most kMostTaps lines and pixels
  i32_t b_lane, bias_column;      // b: from column to column, or from row to row where its columns lie next to each other
  i32_t constant_b, dense_y;      // b never changes; y's rows are evenly apart
};

/// Where the image of output row `row` is, and its line and pixel in y.
struct OutputPixel {
  i32_t image, line, pixel;
};
__device__ inline OutputPixel output_pixel(const ClusterGemm& g, i32_t row) {
  const u32_t pixels = static_cast<u32_t>(g.out_pixels), lines = static_cast<u32_t>(g.out_lines);
  const u32_t line = static_cast<u32_t>(row) / pixels, image = line / lines;
  return {static_cast<i32_t>(image), static_cast<i32_t>(line - image * lines), row - static_cast<i32_t>(line * pixels)};
}

template <int Walk>
__device__ inline i32_t output_row(const ClusterGemm& g, i32_t row) {
  if (Walk == kFlat || g.dense_y) return row * g.y_pixel;
  const OutputPixel p = output_pixel(g, row);
  return p.image * g.y_image + p.line * g.y_line + p.pixel * g.y_pixel;
}

/// A row of a: where its first element is (of the tap at zero, which may lie outside), and which taps are inside: bit t for kernel line t, bit kMostTaps + t for
/// kernel pixel t.
struct PatchRow {
  const u16_t* from;
  u32_t inside;
};

__device__ inline u32_t taps_inside(i32_t first, i32_t step, i32_t taps, i32_t size) {
  u32_t bits = 0;
  for (i32_t t = 0; t < taps; ++t, first += step) bits |= static_cast<u32_t>(static_cast<u32_t>(first) < static_cast<u32_t>(size)) << t;
  return bits;
}

template <int Walk>
__device__ inline PatchRow patch_row(const ClusterGemm& g, const u16_t* a, i32_t row) {
  if (row >= g.rows) return {a, 0};
  if (Walk == kFlat) return {a + row * g.a_pixel, ~0u};
  const OutputPixel p = output_pixel(g, row);
  const i32_t line = p.line * g.stride_lines - g.padding_lines, pixel = p.pixel * g.stride_pixels - g.padding_pixels;
  const u32_t lines = taps_inside(line, g.dilation_lines, g.kernel_lines, g.in_lines), pixels = taps_inside(pixel, g.dilation_pixels, g.kernel_pixels, g.in_pixels);
  return {a + (p.image * g.a_image + line * g.a_line + pixel * g.a_pixel), lines | pixels << kMostTaps};
}

/// Where a thread's elements of a step are in the depth; steps follow one another.
template <int Walk, int DepthSize>
struct Tap {
  i32_t k, line = 0, pixel = 0, channel = 0;
  /// Of step `step`; the thread's elements begin at `along`.
  __device__ Tap(const ClusterGemm& g, i32_t step, i32_t along) : k(step * DepthSize + along) {
    if (Walk == kFlat) return;
    const u32_t taps = static_cast<u32_t>(g.kernel_lines * g.kernel_pixels);
    u32_t tap;
    if (Walk == kTaps) {
      tap = static_cast<u32_t>(k) / static_cast<u32_t>(g.channels);
      channel = k - static_cast<i32_t>(tap) * g.channels;
    } else {
      const u32_t chunk = static_cast<u32_t>(step) / taps;
      tap = static_cast<u32_t>(step) - chunk * taps;
      channel = static_cast<i32_t>(chunk) * DepthSize + along;
      k = static_cast<i32_t>(tap) * g.channels + channel;
    }
    line = static_cast<i32_t>(tap / static_cast<u32_t>(g.kernel_pixels));
    pixel = static_cast<i32_t>(tap) - line * g.kernel_pixels;
  }
  __device__ void advance(const ClusterGemm& g) {
    if (Walk == kChannels) {
      k += g.channels;
      if (++pixel < g.kernel_pixels) return;
      pixel = 0;
      if (++line < g.kernel_lines) return;
      line = 0;
      channel += DepthSize;
      k = channel;
      return;
    }
    k += DepthSize;
    if (Walk == kFlat) return;
    channel += DepthSize;
    while (channel >= g.channels) {
      channel -= g.channels;
      if (++pixel == g.kernel_pixels) {
        pixel = 0;
        ++line;
      }
    }
  }
  __device__ i32_t offset(const ClusterGemm& g) const {
    return Walk == kFlat ? k : line * (g.dilation_lines * g.a_line) + pixel * (g.dilation_pixels * g.a_pixel) + channel;
  }
  __device__ bool is_inside(const PatchRow& row) const { return Walk == kFlat ? row.inside != 0 : (row.inside >> line & row.inside >> (kMostTaps + pixel) & 1) != 0; }
};

/// `Width` elements to shared memory; zeros, and nothing read, unless `valid`. `Again`: they are soon read again, so that the L1 cache should keep them.
template <int Width, bool Again>
__device__ inline void copy_elements(u16_t* to, const u16_t* from, bool valid) {
  if (Width == 8 && Again)
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0) : "memory");
  else if (Width == 8)
    copy_async(to, from, valid ? 16 : 0);
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 8 : 0) : "memory");
}
__device__ inline void prefetch(const u16_t* at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

__device__ inline void cluster_arrive() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}
__device__ inline void cluster_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}
/// Four values in the shared memory of block `rank` of the cluster: that of `here` and the next three, each `Apart` floats on.
template <int Apart>
__device__ inline float4 load_from_block(const float* here, int rank) {
  float4 v = {};
#if __CUDA_ARCH__ >= 900
  u32_t address;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared_address(here)), "r"(rank));
  if (Apart == 1) {
    asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(address) : "memory");
  } else {
    constexpr u32_t kStep = Apart * sizeof(float);
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(v.x) : "r"(address) : "memory");
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(v.y) : "r"(address + kStep) : "memory");
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(v.z) : "r"(address + 2 * kStep) : "memory");
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(v.w) : "r"(address + 3 * kStep) : "memory");
  }
#endif
  return v;
}
template <int Apart>
__device__ inline float4 load_apart(const float* here) {
  return Apart == 1 ? *reinterpret_cast<const float4*>(here) : make_float4(here[0], here[Apart], here[2 * Apart], here[3 * Apart]);
}

/// A thread's sums from and to shared memory, where its first one is at `own`.
template <int Pitch, int M, int N>
__device__ inline void put_sums(const float (&sums)[M][N][4], float* own) {
#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int j = 0; j < N; ++j) {
      *reinterpret_cast<float2*>(own + i * 16 * Pitch + j * 8) = make_float2(sums[i][j][0], sums[i][j][1]);
      *reinterpret_cast<float2*>(own + (i * 16 + 8) * Pitch + j * 8) = make_float2(sums[i][j][2], sums[i][j][3]);
    }
  }
}
template <int Pitch, int M, int N>
__device__ inline void add_sums(float (&sums)[M][N][4], const float* own) {
#pragma unroll
  for (int i = 0; i < M; ++i) {
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const float2 above = *reinterpret_cast<const float2*>(own + i * 16 * Pitch + j * 8), below = *reinterpret_cast<const float2*>(own + (i * 16 + 8) * Pitch + j * 8);
      sums[i][j][0] += above.x, sums[i][j][1] += above.y, sums[i][j][2] += below.x, sums[i][j][3] += below.y;
    }
  }
}

/// Tiles in shared memory: for warp groups (Grouped) swizzled, else with padded rows.
template <int Rows, int Columns, int DepthSize, bool LaneMajorB, bool Grouped>
struct ClusterTile {
  static constexpr int kPitchA = DepthSize + (Grouped ? 0 : 8), kPitchB = LaneMajorB ? Columns + 8 : kPitchA, kPitchY = Columns + 4;
  static constexpr int kItemsA = Rows * kPitchA, kItemsB = (LaneMajorB ? DepthSize : Columns) * kPitchB;
  static_assert(!Grouped || (DepthSize == 64 && !LaneMajorB), "rows of 128 bytes");
  __device__ static int place_a(int row, int k) { return Grouped ? swizzled(row, k) : row * kPitchA + k; }
  __device__ static int place_b(int row, int k) { return Grouped ? swizzled(row, k) : row * kPitchB + k; }
};

/// Grid: (row tiles × splits, column tiles, batches), in clusters of `splits` blocks. WarpsK warps share out the depth of a step. `Grouped`: warp groups multiply (sm_90a),
/// four of the WarpsM warps each. `Width`: elements in a row at a
/// time, of b too unless its columns are contiguous (LaneMajorB), which are loaded by 8. Dynamic shared memory: `Stages` tiles of both, or the sums of all warps
/// but those of the first part of the depth. `Aligned`: rows of y begin at, and consist of, whole fours of elements.
template <class T, bool Grouped, int Rows, int Columns, int DepthSize, int WarpsM, int WarpsN, int WarpsK, int Stages, int Width, bool LaneMajorB, int Walk, class Finish,
          bool Aligned = true>
__global__ void __launch_bounds__(WarpsM* WarpsN* WarpsK * 32)
    gemm_cluster(const __grid_constant__ ClusterGemm g, const u16_t* a, const u16_t* b, const u16_t* bias, u16_t* y, Finish finish) {
  using Tile = ClusterTile<Rows, Columns, DepthSize, LaneMajorB, Grouped>;
  constexpr int kThreads = WarpsM * WarpsN * WarpsK * 32, kFragmentsM = Rows / WarpsM / 16, kFragmentsN = Columns / WarpsN / 8;
  constexpr int kAcross = DepthSize / Width, kOthers = kThreads / kAcross < Rows ? kThreads / kAcross : Rows, kEachA = Rows / kOthers;
  constexpr int kAcrossB = LaneMajorB ? Columns / 8 : kAcross, kLanesB = LaneMajorB ? DepthSize : Columns;
  constexpr int kOthersB = kThreads / kAcrossB < kLanesB ? kThreads / kAcrossB : kLanesB, kEachB = kLanesB / kOthersB;
  static_assert(kEachA * kOthers == Rows && kEachB * kOthersB == kLanesB && kFragmentsN % 2 == 0 && DepthSize % (16 * WarpsK) == 0, "whole rounds");
  static_assert(kThreads % (Columns / 4) == 0, "a thread finishes the same columns in every round");
  static_assert(!Grouped || (WarpsM % 4 == 0 && WarpsN == 1 && kFragmentsM == 1 && kOthers % 8 == 0 && kOthersB % 8 == 0), "groups of four warps have 64 rows");
  extern __shared__ __align__(1024) unsigned char shared_memory[];
  u16_t *tiles_a = reinterpret_cast<u16_t*>(shared_memory), *tiles_b = tiles_a + Stages * Tile::kItemsA;

  const int thread = threadIdx.x, rank = blockIdx.x % g.splits, row0 = blockIdx.x / g.splits * Rows, column0 = blockIdx.y * Columns;
  const int all_steps = (g.depth + DepthSize - 1) / DepthSize, first = all_steps * rank / g.splits, steps = all_steps * (rank + 1) / g.splits - first;

  // b: this thread's elements at depth 0 and, in a bit each, whether their columns exist.
  const int along_b = thread % kAcrossB * (LaneMajorB ? 8 : Width), other_b = thread / kAcrossB;
  const u16_t* from_b[kEachB];
  u32_t columns_b = 0;
  b += blockIdx.z * g.b_batch;
#pragma unroll
  for (int i = 0; i < kEachB; ++i) {
    const int other = other_b + i * kOthersB;
    const i32_t column = column0 + (LaneMajorB ? along_b : other);
    from_b[i] = b + (LaneMajorB ? static_cast<i64_t>(other) * g.b_lane + column : static_cast<i64_t>(column) * g.b_lane + along_b);
    columns_b |= static_cast<u32_t>(column < g.columns && other < kLanesB) << i;
  }
  Tap<Walk, DepthSize> tap_b(g, first, 0);
  const auto load_b = [&](int stage) {  // of the step after the one before
    u16_t* tile = tiles_b + stage * Tile::kItemsB + Tile::place_b(other_b, along_b);
    const i32_t k = tap_b.k + (LaneMajorB ? other_b : along_b);
    const i64_t offset = LaneMajorB ? static_cast<i64_t>(tap_b.k) * g.b_lane : tap_b.k;
#pragma unroll
    for (int i = 0; i < kEachB; ++i) {
      const bool valid = (columns_b >> i & 1) != 0 && k + (LaneMajorB ? i * kOthersB : 0) < g.depth;
      if (kOthersB * kAcrossB == kThreads || other_b < kLanesB) copy_elements<LaneMajorB ? 8 : Width, false>(tile + i * kOthersB * Tile::kPitchB, from_b[i] + offset, valid);
    }
    tap_b.advance(g);
  };
  const auto load_first_b = [&] {
#pragma unroll
    for (int step = 0; step < Stages - 1; ++step) {
      if (step < steps) load_b(step);
    }
  };
  if (g.constant_b) {
    load_first_b();
    // What follows comes as far as the L2 cache; the first row of tiles asks for all.
    if (static_cast<int>(blockIdx.x) < g.splits) {
      constexpr int kLines = larger(1, (LaneMajorB ? Columns : DepthSize) / kLineItems);
      for (int i = thread + (Stages - 1) * kLanesB * kLines; i < steps * kLanesB * kLines; i += kThreads) {
        const int line = i % kLines * kLineItems, other = i / kLines % kLanesB, step = i / kLines / kLanesB;
        const i32_t k = Tap<Walk, DepthSize>(g, first + step, 0).k + (LaneMajorB ? other : line), column = column0 + (LaneMajorB ? line : other);
        if (k < g.depth && column < g.columns) prefetch(b + (LaneMajorB ? static_cast<i64_t>(k) * g.b_lane + column : static_cast<i64_t>(column) * g.b_lane + k));
      }
    }
  }

  const int along = thread % kAcross * Width, other = thread / kAcross;
  PatchRow rows[kEachA];
  a += blockIdx.z * g.a_batch;
#pragma unroll
  for (int i = 0; i < kEachA; ++i) rows[i] = patch_row<Walk>(g, a, row0 + other + i * kOthers);
  Tap<Walk, DepthSize> tap(g, first, along);
  const auto load_a = [&](int stage) {  // of the step after the one before
    u16_t* tile = tiles_a + stage * Tile::kItemsA + Tile::place_a(other, along);
    const i32_t offset = tap.offset(g);
    const bool exists = tap.k < g.depth;
#pragma unroll
    for (int i = 0; i < kEachA; ++i) {
      if (kOthers * kAcross == kThreads || other < Rows) copy_elements<Width, Walk == kChannels>(tile + i * kOthers * Tile::kPitchA, rows[i].from + offset, exists && tap.is_inside(rows[i]));
    }
    tap.advance(g);
  };
  // The share of the rows that this block finishes, and the first of this thread's four columns: next to each other, or so that threads store side by side.
  constexpr int kApart = Aligned ? 1 : Columns / 4;
  const int share = Rows / g.splits, column = thread % (Columns / 4) * (Aligned ? 4 : 1);
  const auto exists = [&](int e) { return column0 + column + (Aligned ? 0 : e * kApart) < g.columns; };
  wait_for_earlier_kernels();
  if (!g.constant_b) load_first_b();
#pragma unroll
  for (int step = 0; step < Stages - 1; ++step) {
    if (step < steps) load_a(step);
    commit_copies();
  }
  float added[4] = {};
  if (bias != nullptr) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (exists(e)) added[e] = HalfBits<T>::to_float(bias[blockIdx.z * g.bias_batch + (column0 + column + e * kApart) * g.bias_column]);
    }
  }

  float sums[kFragmentsM][kFragmentsN][4] = {};
  const int warp = thread / 32, lane = thread % 32, part = warp / (WarpsM * WarpsN);
  const int warp_row = warp / WarpsN % WarpsM * (Rows / WarpsM), warp_column = warp % WarpsN * (Columns / WarpsN);
  for (int step = 0, stage = 0; step < steps; ++step, stage = stage + 1 == Stages ? 0 : stage + 1) {
    wait_copies<Stages - 2>();
    if (Grouped) publish_to_products();
    __syncthreads();  // the tile is here, and everybody is done with the stage that the next load fills
    const u16_t *tile_a = tiles_a + stage * Tile::kItemsA, *tile_b = tiles_b + stage * Tile::kItemsB;
    if constexpr (Grouped) {
      begin_products();
#pragma unroll
      for (int s = 0; s < DepthSize / 16; s += WarpsK) {
        const int k = (s + part) * 16;
        GroupProduct<T, Columns>::add(sums[0], describe_tile(tile_a + warp_row / 64 * (64 * DepthSize), k), describe_tile(tile_b, k));
      }
    }
    const int next = stage == 0 ? Stages - 1 : stage - 1;
    if (step + Stages - 1 < steps) {
      load_b(next);
      load_a(next);
    }
    commit_copies();
    if constexpr (Grouped) {
      finish_products();
    } else {
#pragma unroll
      for (int s = 0; s < DepthSize / 16; s += WarpsK) {
        const int k = (s + part) * 16;
        u32_t fragments_a[kFragmentsM][4], fragments_b[kFragmentsN / 2][4];
#pragma unroll
        for (int i = 0; i < kFragmentsM; ++i) load_a_fragment<false>(fragments_a[i], tile_a, Tile::kPitchA, warp_row + i * 16, k);
#pragma unroll
        for (int j = 0; j < kFragmentsN / 2; ++j) load_b_fragments<LaneMajorB>(fragments_b[j], tile_b, Tile::kPitchB, warp_column + j * 16, k);
#pragma unroll
        for (int i = 0; i < kFragmentsM; ++i) {
#pragma unroll
          for (int j = 0; j < kFragmentsN; ++j) {
            const u32_t pair[2] = {fragments_b[j / 2][j % 2 * 2], fragments_b[j / 2][j % 2 * 2 + 1]};
            HalfBits<T>::mma(sums[i][j], fragments_a[i], pair);
          }
        }
      }
    }
  }
  wait_copies<0>();
  __syncthreads();

  float* result = reinterpret_cast<float*>(shared_memory);
  float* own = result + (warp_row + lane / 4) * Tile::kPitchY + warp_column + lane % 4 * 2;
  if (WarpsK > 1) {
    if (part > 0) put_sums<Tile::kPitchY>(sums, own + (part - 1) * (Rows * Tile::kPitchY));
    __syncthreads();
    if (part == 0) {
#pragma unroll
      for (int p = 0; p < WarpsK - 1; ++p) add_sums<Tile::kPitchY>(sums, own + p * (Rows * Tile::kPitchY));
    }
  }
  if (part == 0) put_sums<Tile::kPitchY>(sums, own);
  const bool alone = g.splits == 1;
  if (alone) {
    __syncthreads();
  } else {
    cluster_arrive();
    cluster_wait();
  }

  for (int row = rank * share + thread / (Columns / 4); row < (rank + 1) * share; row += kThreads / (Columns / 4)) {
    if (row0 + row >= g.rows || !exists(0)) continue;
    const float* here = result + row * Tile::kPitchY + column;
    float values[4] = {};
    if (alone) {
      const float4 v = load_apart<kApart>(here);
      values[0] = v.x, values[1] = v.y, values[2] = v.z, values[3] = v.w;
    } else {
      float4 parts[kMostSplits];
#pragma unroll
      for (int s = 0; s < kMostSplits; ++s) parts[s] = s < g.splits ? load_from_block<kApart>(here, s) : float4{};
#pragma unroll
      for (int s = 0; s < kMostSplits; ++s) values[0] += parts[s].x, values[1] += parts[s].y, values[2] += parts[s].z, values[3] += parts[s].w;
    }
    const i64_t to = blockIdx.z * g.y_batch + output_row<Walk>(g, row0 + row) + column0 + column;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (exists(e)) values[e] = finish(values[e] + added[e], to + e * kApart);
    }
    const u32_t low = HalfBits<T>::pack(values[0], values[1]), high = HalfBits<T>::pack(values[2], values[3]);
    if (Aligned) {
      *reinterpret_cast<uint2*>(y + to) = make_uint2(low, high);
      continue;
    }
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (exists(e)) y[to + e * kApart] = static_cast<u16_t>((e < 2 ? low : high) >> (e % 2 * 16));
    }
  }
  if (alone) return;
  cluster_arrive();  // nobody reads this block's memory any more
  cluster_wait();
}
