#include "kernels/cpu/conv/shape.h"

#include <algorithm>

#include "kernels/packed.h"

namespace reprise::kernels::cpu {
namespace {

bool lie_well(const Contraction& conv) {
  const auto& spec = conv.spec;
  const OperandRef &x = spec.inputs[0], &w = spec.inputs[1], &y = spec.outputs[0];
  if (spec.attrs->flag("transposed", false) || (x.rank != 3 && x.rank != 4) || w.rank != x.rank || y.rank != x.rank || !is_fixed(spec, w)) return false;
  if ((x.dtype != DType::f32 && x.dtype != DType::bf16) || w.dtype != x.dtype || y.dtype != x.dtype) return false;
  if (x.numel() == 0 || w.numel() == 0 || y.numel() == 0 || !is_packed(x, true) || !is_packed(y, true)) return false;
  if (spec.inputs.size() > 2) {
    const OperandRef& bias = spec.inputs[2];
    if (bias.dtype != x.dtype || bias.rank != 1 || bias.sizes[0] != y.sizes[1] || (bias.sizes[0] > 1 && bias.strides[0] != 1)) return false;
  }
  const OperandRef* addend = conv.addend;
  return addend == nullptr ||
         (addend->dtype == y.dtype && addend->rank == y.rank && std::ranges::equal(addend->shape(), y.shape()) && is_packed(*addend, true));
}

/// The output has the sizes of this convolution.
bool fits(const ConvShape& s) {
  const std::int64_t in[2] = {s.rows, s.columns}, out[2] = {s.out_rows, s.out_columns};
  for (int d = 0; d < 2; ++d) {
    const std::int64_t reach = in[d] + 2 * s.padding[d] - s.dilation[d] * (s.kernel[d] - 1) - 1;
    if (s.stride[d] < 1 || s.dilation[d] < 1 || s.padding[d] < 0 || reach < 0 || out[d] != reach / s.stride[d] + 1) return false;
  }
  return s.groups > 0 && s.channels % s.groups == 0 && s.out_channels % s.groups == 0 && s.w.sizes[0] == s.out_channels &&
         s.w.sizes[1] * s.groups == s.channels && s.x.sizes[0] == s.batch;
}

}  // namespace

std::optional<ConvShape> describe_conv(const Contraction& conv) {
  const auto& spec = conv.spec;
  if (spec.op != core::Op::conv || !lie_well(conv)) return std::nullopt;
  ConvShape s{.x = spec.inputs[0], .w = spec.inputs[1], .y = spec.outputs[0], .bias = {}, .addend = {}};
  s.activation = conv.activation;
  s.has_bias = spec.inputs.size() > 2;
  if (s.has_bias) s.bias = spec.inputs[2];
  s.has_addend = conv.addend != nullptr;
  if (s.has_addend) s.addend = *conv.addend;
  s.batch = s.y.sizes[0];
  s.groups = spec.attrs->integer("groups");
  s.channels = s.x.sizes[1];
  s.out_channels = s.y.sizes[1];
  s.threads = std::max(1, spec.threads);
  const auto dims = static_cast<std::size_t>(s.x.rank - 2);
  const auto stride = spec.attrs->ints("stride"), padding = spec.attrs->ints("padding"), dilation = spec.attrs->ints("dilation");
  if (stride.size() != dims || padding.size() != dims || dilation.size() != dims) return std::nullopt;
  for (std::size_t d = 0; d < dims; ++d) {
    const std::size_t at = 2 - dims + d;
    s.kernel[at] = s.w.sizes[2 + d];
    s.stride[at] = stride[d];
    s.padding[at] = padding[d];
    s.dilation[at] = dilation[d];
    (at == 0 ? s.rows : s.columns) = s.x.sizes[2 + d];
    (at == 0 ? s.out_rows : s.out_columns) = s.y.sizes[2 + d];
  }
  return fits(s) ? std::optional(s) : std::nullopt;
}

}  // namespace reprise::kernels::cpu
