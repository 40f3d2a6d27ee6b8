// Convolutions in up to two dimensions on tensors with the channels innermost.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// y = activation(conv(x, w) + bias + addend). One spatial dimension counts as the second, with a first of size 1.
struct ConvShape {
  OperandRef x, w, y, bias, addend;
  bool has_bias = false, has_addend = false;
  Activation activation = Activation::identity;
  std::int64_t batch = 0, groups = 1, channels = 0, out_channels = 0;  // of all groups
  std::int64_t rows = 1, columns = 1, out_rows = 1, out_columns = 1;
  std::int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, padding[2] = {0, 0}, dilation[2] = {1, 1};
  int threads = 1;

  [[nodiscard]] std::int64_t taps() const { return kernel[0] * kernel[1]; }
  [[nodiscard]] std::int64_t pixels() const { return batch * out_rows * out_columns; }
  /// Elements of w from one tap to the next along a dimension.
  [[nodiscard]] std::int64_t tap_stride(int d) const { return w.rank == 4 ? w.strides[static_cast<std::size_t>(d) + 2] : d == 0 ? 0 : w.strides[2]; }
};

/// nullopt: transposed, weights that change, other dtypes than f32 and bf16, or operands that lie otherwise.
std::optional<ConvShape> describe_conv(const Contraction& conv);

}  // namespace reprise::kernels::cpu
