#include "kernels/reference/gemm.h"

#include <cstring>

#include "base/integers.h"
#include "kernels/isa.h"
#include "kernels/reference/convert.h"

namespace reprise::kernels::reference {
namespace {

using base::ceil_div;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// dst[k][lane] = src[lane][k] for four lanes and four k; `stride` from lane to lane, `width` from k to k.
inline void transpose_4x4(const float* src, std::int64_t stride, float* dst, std::int64_t width) {
  using V [[gnu::vector_size(16)]] = float;
  V r[4];
  for (int lane = 0; lane < 4; ++lane) std::memcpy(&r[lane], src + lane * stride, sizeof(V));
  const V low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const V low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  const V columns[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                        __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int k = 0; k < 4; ++k) std::memcpy(dst + k * width, &columns[k], sizeof(V));
}

template <class T, class E, std::int64_t Width>
struct Pack {
  static void run(const std::byte* bytes, std::int64_t lane_stride, std::int64_t depth_stride, std::int64_t lanes, std::int64_t depth, T* dst) {
    const auto* src = reinterpret_cast<const E*>(bytes);
    for (std::int64_t lane = 0; lane < lanes; lane += Width, dst += Width * depth) {
      const std::int64_t width = std::min(Width, lanes - lane);
      const E* panel = src + lane * lane_stride;
      if (width < Width) std::fill_n(dst, Width * depth, T{});
      if (lane_stride == 1) {
        copy_rows(panel, depth_stride, width, depth, dst);
      } else {
        transpose(panel, lane_stride, depth_stride, width, depth, dst);
      }
    }
  }

 private:
  static void copy_rows(const E* src, std::int64_t depth_stride, std::int64_t width, std::int64_t depth, T* dst) {
    if (width == Width) {
      for (std::int64_t k = 0; k < depth; ++k) {
        for (std::int64_t lane = 0; lane < Width; ++lane) dst[k * Width + lane] = convert<T>(src[k * depth_stride + lane]);
      }
    } else {
      for (std::int64_t k = 0; k < depth; ++k) {
        for (std::int64_t lane = 0; lane < width; ++lane) dst[k * Width + lane] = convert<T>(src[k * depth_stride + lane]);
      }
    }
  }

  // In blocks of kDepthBlock k, so that the lines written stay in the cache until all lanes are in.
  static void transpose(const E* src, std::int64_t lane_stride, std::int64_t depth_stride, std::int64_t width, std::int64_t depth, T* dst) {
    constexpr std::int64_t kDepthBlock = 16;
    for (std::int64_t k0 = 0; k0 < depth; k0 += kDepthBlock) {
      const std::int64_t n = std::min(kDepthBlock, depth - k0);
      std::int64_t lane = 0;
      if constexpr (std::is_same_v<E, float>) {
        for (; n == kDepthBlock && depth_stride == 1 && lane + 4 <= width; lane += 4) {
          for (std::int64_t k = k0; k < k0 + n; k += 4) transpose_4x4(src + lane * lane_stride + k, lane_stride, dst + k * Width + lane, Width);
        }
      }
      for (; lane < width; ++lane) {
        const E* from = src + lane * lane_stride + k0 * depth_stride;
        T* to = dst + k0 * Width + lane;
        if (depth_stride == 1) {
          for (std::int64_t k = 0; k < n; ++k) to[k * Width] = convert<T>(from[k]);
        } else {
          for (std::int64_t k = 0; k < n; ++k) to[k * Width] = convert<T>(from[k * depth_stride]);
        }
      }
    }
  }
};

template <class T, std::int64_t Width>
PackKernel<T> pack_kernel(DType element) {
  if (element == dtype_of<T>()) return best<Pack<T, T, Width>>();
  REPRISE_CHECK((std::is_same_v<T, float>), InvalidArgument, "[kernels/gemm] no product of this dtype (got {})", name(element));
  return element == DType::f16 ? best<Pack<T, Half, Width>>() : best<Pack<T, BFloat16, Width>>();
}

}  // namespace

template <class T>
Blocking plan_blocking(std::int64_t rows, std::int64_t columns, std::int64_t depth, std::int64_t products, int threads) {
  constexpr std::int64_t kMaxRows = 256, kMaxColumns = 16 * kColumns<T>, kMaxDepth = 1024 / static_cast<std::int64_t>(sizeof(T));
  Blocking b{.rows = rows, .columns = columns, .depth = depth};
  b.row_jobs = std::max<std::int64_t>(1, ceil_div(rows, kMaxRows));
  b.column_jobs = std::max<std::int64_t>(1, ceil_div(columns, kMaxColumns));
  const auto unbalanced = [&] { return products * b.jobs() < 4 * threads && products * b.jobs() % threads != 0; };
  const std::int64_t column_limit = ceil_div(columns, kColumns<T>), row_limit = ceil_div(rows, kRows);
  while (unbalanced() && (b.column_jobs < column_limit || b.row_jobs < row_limit)) {
    const bool by_columns = b.column_jobs < column_limit && (b.row_jobs >= row_limit || columns / b.column_jobs >= rows / b.row_jobs);
    ++(by_columns ? b.column_jobs : b.row_jobs);
  }
  b.block_rows = std::max(kRows, round_up(ceil_div(rows, b.row_jobs), kRows));
  b.block_columns = std::max(kColumns<T>, round_up(ceil_div(columns, b.column_jobs), kColumns<T>));
  b.row_jobs = std::max<std::int64_t>(1, ceil_div(rows, b.block_rows));
  b.column_jobs = std::max<std::int64_t>(1, ceil_div(columns, b.block_columns));
  // Depth blocks of equal size; a little over the limit beats a second pass.
  b.block_depth = depth <= kMaxDepth * 3 / 2 ? depth : ceil_div(depth, ceil_div(depth, kMaxDepth));
  return b;
}

template <class T>
PackKernel<T> pack_rows(DType element) {
  return pack_kernel<T, kRows>(element);
}
template <class T>
PackKernel<T> pack_columns(DType element) {
  return pack_kernel<T, kColumns<T>>(element);
}

template Blocking plan_blocking<float>(std::int64_t, std::int64_t, std::int64_t, std::int64_t, int);
template Blocking plan_blocking<double>(std::int64_t, std::int64_t, std::int64_t, std::int64_t, int);
template PackKernel<float> pack_rows<float>(DType);
template PackKernel<double> pack_rows<double>(DType);
template PackKernel<float> pack_columns<float>(DType);
template PackKernel<double> pack_columns<double>(DType);

}  // namespace reprise::kernels::reference
