// What depthwise kernels share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/weights.h"

namespace reprise::kernels::cpu {

constexpr std::int64_t kMostTaps = 32;  // of depthwise windows, along a dimension

struct Depthwise {
  ConvShape shape;
  PackedWeight weights;    // as the kernel wants them
  std::int64_t width = 4;  // channels of a block

  [[nodiscard]] std::int64_t blocks() const { return (shape.channels + width - 1) / width; }
};

/// Rows [begin, end) of an image's output, blocks of channels [first, last).
struct DepthwiseJob {
  const Depthwise* conv = nullptr;
  void* const* bindings = nullptr;
  std::int64_t image = 0, first = 0, last = 0, begin = 0, end = 0;
};

struct DepthwiseKernel {
  void (*run)(const DepthwiseJob& job) = nullptr;  // null: another convolution, or not where `active_isa()` is less than avx512_bf16
  std::int64_t width = 0, bytes = 0;               // channels of a block; of its weights
  void (*pack)(const ConvShape& shape, const std::byte* from, std::byte* to) = nullptr;
};
/// By dot products of pairs, bf16: windows 3, 5 or 7 wide, one or two pixels apart.
DepthwiseKernel depthwise_dots(const ConvShape& shape);

/// Images that leave a core's cache between rows are asked for a row ahead.
inline bool is_fetched(const ConvShape& s) {
  constexpr std::int64_t kStays = 1 << 20;
  return s.rows * s.columns * s.channels * static_cast<std::int64_t>(item_size(s.x.dtype)) >= kStays;
}
/// Lines of the image that the next row of the output reads and row `row` does not.
struct NextLines {
  std::int64_t first = 0, count = 0;

  NextLines(const ConvShape& s, std::int64_t row)
      : first(row * s.stride[0] - s.padding[0] + (s.kernel[0] - 1) * s.dilation[0] + 1),
        count(is_fetched(s) && first >= 0 ? std::clamp<std::int64_t>(s.rows - first, 0, s.stride[0]) : 0) {}
};

}  // namespace reprise::kernels::cpu
