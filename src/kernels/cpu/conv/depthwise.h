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
  void (*run)(const DepthwiseJob& job) = nullptr;
  std::int64_t width = 0, bytes = 0;  // channels of a block; of its weights
  void (*pack)(const ConvShape& shape, std::int64_t width, const std::byte* from, std::byte* to) = nullptr;
};
/// By dot products of pairs, bf16: windows 3 or 5 wide, one or two pixels apart, and 7 wide ones one apart. `run` is null: another convolution, or
/// `active_isa()` is less than avx512_bf16.
DepthwiseKernel depthwise_dots(const ConvShape& shape);

/// Lines of the image that the next row of the output reads and row `row` does not, where that is to be asked for ahead: the image does not stay in a core's
/// cache, and a walk over it reads all its channels.
struct NextLines {
  std::int64_t first = 0, count = 0;

  NextLines() = default;
  NextLines(const ConvShape& s, std::int64_t row, bool all_channels) : first(row * s.stride[0] - s.padding[0] + (s.kernel[0] - 1) * s.dilation[0] + 1) {
    constexpr std::int64_t kStays = 1 << 20;
    const std::int64_t bytes = s.rows * s.columns * s.channels * static_cast<std::int64_t>(item_size(s.x.dtype));
    if (all_channels && bytes >= kStays && first >= 0) count = std::clamp<std::int64_t>(s.rows - first, 0, s.stride[0]);
  }
};

}  // namespace reprise::kernels::cpu
