#include "kernels/cpu/onednn/moves.h"

#include <algorithm>

#include "kernels/cpu/onednn/layout.h"

namespace reprise::kernels::cpu {
namespace {

using dnnl::algorithm;
using dnnl::memory;

struct Windows {
  memory::dims size, stride, padding, dilation;
};

/// nullopt: windows that differ in size, or that a divisor of the program's own divides.
std::optional<Windows> windows_of(const StepSpec& spec, bool adaptive) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const auto dims = static_cast<std::size_t>(x.rank - 2);
  if (adaptive) {
    Windows w{{}, {}, memory::dims(dims, 0), memory::dims(dims, 1)};
    for (std::size_t d = 2; d < dims + 2; ++d) {
      if (x.sizes[d] % y.sizes[d] != 0) return std::nullopt;
      w.size.push_back(x.sizes[d] / y.sizes[d]);
    }
    w.stride = w.size;
    return w;
  }
  if (spec.attrs->has("divisor") && spec.attrs->integer("divisor") != 0) return std::nullopt;
  Windows w{spec.attrs->ints("kernel"), {}, memory::dims(dims, 0), memory::dims(dims, 1)};
  w.stride = spec.attrs->has("stride") ? spec.attrs->ints("stride") : w.size;
  if (spec.attrs->has("padding")) w.padding = spec.attrs->ints("padding");
  if (spec.attrs->has("dilation")) w.dilation = spec.attrs->ints("dilation");
  const bool whole = w.size.size() == dims && w.stride.size() == dims && w.padding.size() == dims && w.dilation.size() == dims;
  return whole ? std::optional(w) : std::nullopt;
}

/// Every window is inside of the image and its padding, so that the sizes of windows do not depend on how they are clipped.
bool stays_inside(const Windows& w, const memory::dims& behind) {
  for (std::size_t d = 0; d < behind.size(); ++d) {
    if (behind[d] > w.padding[d]) return false;
  }
  return true;
}

}  // namespace

StepPtr make_pool(const StepSpec& spec) {
  if (spec.inputs.size() != 1 || spec.outputs.size() != 1) return nullptr;
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const std::string& kind = spec.attrs->text("kind");
  const bool max = kind.ends_with("max"), adaptive = kind.starts_with("adaptive");
  if (kind != "max" && kind != "avg" && kind != "adaptive_max" && kind != "adaptive_avg") return nullptr;
  if (x.rank < 3 || x.rank > 5 || y.rank != x.rank || !data_type(x.dtype) || y.dtype != x.dtype || x.numel() == 0 || y.numel() == 0 ||
      x.sizes[0] != y.sizes[0] || x.sizes[1] != y.sizes[1])
    return nullptr;
  const bool last = is_packed(x, true) && is_packed(y, true);
  if (!last && !(is_packed(x, false) && is_packed(y, false))) return nullptr;
  const auto w = windows_of(spec, adaptive);
  if (!w) return nullptr;
  const auto behind = padding_behind(x, y, w->size, w->stride, w->padding, w->dilation);
  if (!max && !stays_inside(*w, behind)) return nullptr;
  memory::dims dilation = w->dilation;
  for (auto& d : dilation) --d;
  const bool padded = adaptive || spec.attrs->flag("count_include_pad", true);
  const auto with = max ? algorithm::pooling_max : padded ? algorithm::pooling_avg_include_padding : algorithm::pooling_avg_exclude_padding;
  const ThreadScope scope(spec.threads);
  const dnnl::pooling_v2_forward::desc described(dnnl::prop_kind::forward_inference, with, plain(x, last), plain(y, last), w->stride, w->size, dilation,
                                                 w->padding, behind);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::pooling_v2_forward::primitive_desc chosen(described, attr, engine(), true);
  if (!chosen) return nullptr;
  std::vector<Argument> arguments{{DNNL_ARG_SRC, plain(x, last), x}, {DNNL_ARG_DST, plain(y, last), y}};
  return make_primitive_step(dnnl::pooling_v2_forward(chosen), std::move(arguments), chosen.scratchpad_desc(), spec.threads);
}

StepPtr make_copy(const StepSpec& spec) {
  constexpr std::int64_t kSmall = 4096;
  constexpr int kMostDims = 6;
  if (spec.inputs.size() != 1 || spec.outputs.size() != 1) return nullptr;
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  if (x.dtype != DType::f32 || y.dtype != DType::f32 || x.rank < 2 || x.rank > kMostDims || x.shape().size() != y.shape().size() ||
      !std::equal(x.shape().begin(), x.shape().end(), y.shape().begin()) || x.numel() < kSmall)
    return nullptr;
  // Elements that are read more than once, and rows that follow each other anyway, need no transposition.
  for (int d = 0; d < x.rank; ++d) {
    if (x.sizes[static_cast<std::size_t>(d)] > 1 && x.strides[static_cast<std::size_t>(d)] <= 0) return nullptr;
  }
  const auto last = static_cast<std::size_t>(x.rank - 1);
  if (x.sizes[last] == 1 || x.strides[last] == y.strides[last]) return nullptr;
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const ThreadScope scope(spec.threads);
  const memory::desc from = describe(x), to = describe(y);
  const dnnl::reorder::primitive_desc chosen(engine(), from, engine(), to, attr, true);
  if (!chosen) return nullptr;
  std::vector<Argument> arguments{{DNNL_ARG_FROM, from, x}, {DNNL_ARG_TO, to, y}};
  return make_primitive_step(dnnl::reorder(chosen), std::move(arguments), chosen.scratchpad_desc(), spec.threads);
}

}  // namespace reprise::kernels::cpu
