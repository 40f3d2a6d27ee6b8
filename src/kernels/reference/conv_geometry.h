// The index arithmetic of convolutions, in three spatial dimensions (missing ones have size 1 in front).
#pragma once

#include <array>
#include <cstdint>

#include "kernels/reference/step.h"
#include "kernels/reference/strided.h"

namespace reprise::kernels::reference {

/// Input positions that one kernel tap reads for neighbouring output positions `lane`, `lane + lane_step`, …: `count` elements, `offset` + i * `step` from the
/// channel's first. Output positions in between or around read padding.
struct TapRun {
  std::int64_t lane = 0, lane_step = 1, count = 0, offset = 0, step = 0;
};

struct ConvGeometry {
  using Triple = std::array<std::int64_t, 3>;
  OperandRef x, w, y, bias;
  bool has_bias = false, transposed = false;
  std::int64_t batch = 0, groups = 1, in_channels = 0, out_channels = 0;  // channels of one group
  Triple in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, padding{}, dilation{1, 1, 1};
  Triple x_strides{};
  std::int64_t w_out_stride = 0, w_group_stride = 0;  // w: from one output channel (of a group), one group to the next
  Window w_depth;                                     // w: over [input channel of a group, *kernel]
  Window y_space;
  int threads = 1;

  [[nodiscard]] std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  [[nodiscard]] std::int64_t depth() const { return in_channels * taps(); }
  [[nodiscard]] std::int64_t pixels() const { return out[0] * out[1] * out[2]; }
  [[nodiscard]] std::int64_t flops() const { return batch * groups * out_channels * pixels() * depth(); }

  /// Addresses of one image's first channel of a group.
  [[nodiscard]] const std::byte* x_at(void* const* bindings, std::int64_t image, std::int64_t group) const {
    return x.at(bindings) + (image * x.strides[0] + group * in_channels * x.strides[1]) * static_cast<std::int64_t>(item_size(x.dtype));
  }
  [[nodiscard]] std::byte* y_at(void* const* bindings, std::int64_t image, std::int64_t channel) const {
    return y.at(bindings) + (image * y.strides[0] + channel * y.strides[1]) * static_cast<std::int64_t>(item_size(y.dtype));
  }
  [[nodiscard]] const std::byte* w_at(void* const* bindings, std::int64_t group, std::int64_t channel) const {
    return w.at(bindings) + (group * w_group_stride + channel * w_out_stride) * static_cast<std::int64_t>(item_size(w.dtype));
  }

  /// What `tap` reads for the output positions (o0, o1, o2 … o2 + n - 1).
  [[nodiscard]] TapRun tap_run(std::int64_t tap, std::int64_t o0, std::int64_t o1, std::int64_t o2, std::int64_t n) const;
  /// The same in the last dimension alone: tap k, output positions o, o + 1, … o + n - 1.
  [[nodiscard]] TapRun row_run(std::int64_t k, std::int64_t o, std::int64_t n) const;
  /// The input position in dimension d that tap k reads for output position o; -1: padding.
  [[nodiscard]] std::int64_t input_position(int d, std::int64_t o, std::int64_t k) const {
    std::int64_t position = o * stride[d] - padding[d] + k * dilation[d];
    if (transposed) {
      const std::int64_t scaled = o + padding[d] - k * dilation[d];
      position = scaled % stride[d] == 0 ? scaled / stride[d] : -1;
    }
    return position < 0 || position >= in[d] ? -1 : position;
  }
};

/// Checks operands and attributes of a conv.
ConvGeometry describe_conv(const StepSpec& spec);

/// Every dtype, by rows of the output: what has few output channels a group, and integers.
StepPtr make_direct_conv(const ConvGeometry& geometry);

}  // namespace reprise::kernels::reference
