#include "kernels/reference/gemm_kernels.h"

#include <cstring>

namespace reprise::kernels::reference {
namespace {

// Vector code must be inlined before it is lowered: into functions of their own, these would be compiled for the plain instruction set.
#define REPRISE_INLINE [[gnu::always_inline]] static inline

template <class V, class T>
[[gnu::always_inline]] inline void load(V& v, const T* p) {
  std::memcpy(&v, p, sizeof v);
}

/// A block of Rows × 2 vectors of `Bytes`: as many accumulators as hide the latency of an addition and fit the registers.
template <class T, int Bytes, int Rows>
struct Block {
  using V [[gnu::vector_size(Bytes)]] = T;
  static constexpr int kLanes = Bytes / static_cast<int>(sizeof(T));

  REPRISE_INLINE void run(std::int64_t depth, const T* a, const T* b, T* tile, bool accumulate) {
    V sum[Rows][2];
    for (int r = 0; r < Rows; ++r) {
      for (int v = 0; v < 2; ++v) {
        sum[r][v] = V{};
        if (accumulate) load(sum[r][v], tile + r * kColumns<T> + v * kLanes);
      }
    }
    for (std::int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns<T>) {
      V b0, b1;
      load(b0, b);
      load(b1, b + kLanes);
      for (int r = 0; r < Rows; ++r) {
        sum[r][0] += a[r] * b0;
        sum[r][1] += a[r] * b1;
      }
    }
    for (int r = 0; r < Rows; ++r) std::memcpy(tile + r * kColumns<T>, sum[r], sizeof sum[r]);
  }
};

template <class T, int Bytes, int Rows>
struct Tile {
  REPRISE_INLINE void run(std::int64_t depth, const T* a, const T* b, T* tile, bool accumulate) {
    for (std::int64_t r = 0; r < kRows; r += Rows) {
      for (std::int64_t c = 0; c < kColumns<T>; c += 2 * Block<T, Bytes, Rows>::kLanes) {
        Block<T, Bytes, Rows>::run(depth, a + r, b + c, tile + r * kColumns<T> + c, accumulate);
      }
    }
  }
};

template <class T>
struct Axpy {
  static void run(std::int64_t n, T x, const T* row, T* out) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) out[i] += x * row[i];
  }
};

// Sums in independent lanes that the compiler may keep in vectors of any width.
template <class T>
struct Dot {
  static void run(std::int64_t n, const T* x, const T* y, T* result) {
    constexpr std::int64_t kLanes = 256 / sizeof(T);
    T sum[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) sum[lane] += x[i + lane] * y[i + lane];
    }
    for (std::int64_t width = kLanes / 2; width > 0; width /= 2) {
      for (std::int64_t lane = 0; lane < width; ++lane) sum[lane] += sum[lane + width];
    }
    for (; i < n; ++i) sum[0] += x[i] * y[i];
    *result = sum[0];
  }
};

}  // namespace

template <class T>
TileKernel<T> tile_kernel(Isa isa) {
  if (isa >= Isa::avx512) return &run_avx512<Tile<T, 64, 8>, std::int64_t, const T*, const T*, T*, bool>;
  if (isa == Isa::avx2) return &run_avx2<Tile<T, 32, 4>, std::int64_t, const T*, const T*, T*, bool>;
  return &Tile<T, 16, 4>::run;
}

template <class T>
GemmKernels<T> gemm_kernels() {
  return {tile_kernel<T>(active_isa()), best<Axpy<T>>(), best<Dot<T>>()};
}
template TileKernel<float> tile_kernel(Isa);
template TileKernel<double> tile_kernel(Isa);
template GemmKernels<float> gemm_kernels();
template GemmKernels<double> gemm_kernels();

}  // namespace reprise::kernels::reference
