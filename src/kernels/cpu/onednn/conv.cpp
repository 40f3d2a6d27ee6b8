#include <algorithm>

#include "kernels/cpu/onednn/contraction.h"
#include "kernels/cpu/onednn/layout.h"

namespace reprise::kernels::cpu {
namespace {

using dnnl::memory;

/// w[Co, Ci/g, …] as [g, Co/g, Ci/g, …] where there are groups.
memory::desc describe_weights(const OperandRef& w, std::int64_t groups) {
  memory::dims dims = dims_of(w), strides = strides_of(w);
  if (groups > 1) {
    dims[0] /= groups;
    dims.insert(dims.begin(), groups);
    strides.insert(strides.begin(), strides[0] * dims[1]);
  }
  return {dims, *data_type(w.dtype), strides};
}

bool takes(const Contraction& conv) {
  const auto& spec = conv.spec;
  const OperandRef &x = spec.inputs[0], &w = spec.inputs[1], &y = spec.outputs[0];
  if (spec.attrs->flag("transposed", false) || x.rank < 3 || x.rank > 5 || !data_type(x.dtype) || w.dtype != x.dtype || y.dtype != x.dtype) return false;
  if (y.numel() == 0 || x.numel() == 0 || w.numel() == 0) return false;
  return is_fixed(spec, w);
}

struct Chosen {
  dnnl::convolution_forward::primitive_desc primitive;
  std::optional<CopyBefore> copy;
  std::vector<Argument> arguments;  // of the attributes
};

Chosen describe_with(Addend addend, const Contraction& conv, const dnnl::convolution_forward::desc& described, const memory::desc& to) {
  Chosen chosen;
  chosen.primitive = {described, attributes(conv, to, chosen.arguments, addend), engine(), true};
  if (conv.addend != nullptr && addend == Addend::result && !conv.is_in_place()) chosen.copy = CopyBefore{*conv.addend, conv.spec.outputs[0]};
  return chosen;
}

/// What is added to deep sums is copied to the result's place first where that gives a faster primitive. What lies there already is added there.
Chosen choose(const Contraction& conv, const dnnl::convolution_forward::desc& described, const memory::desc& to, std::optional<Addend> wish) {
  constexpr std::int64_t kDeep = 128;
  const OperandRef &w = conv.spec.inputs[1], &y = conv.spec.outputs[0];
  const bool deep = w.numel() / w.sizes[0] >= kDeep;
  if (conv.is_in_place()) return wish ? Chosen() : describe_with(Addend::result, conv, described, to);
  Chosen sum;
  if (conv.addend != nullptr && conv.addend->dtype == y.dtype && (deep || wish)) sum = describe_with(Addend::result, conv, described, to);
  const bool likely = deep && sum.primitive && std::string_view(sum.primitive.impl_info_str()).starts_with("brg");
  const bool by_sum = wish ? wish == Addend::result : likely;
  if (wish && by_sum == likely) return {};
  return by_sum ? sum : describe_with(Addend::argument, conv, described, to);
}

}  // namespace

StepPtr make_conv(const Contraction& conv, PackedWeights& weights, std::optional<Addend> wish) {
  if (!takes(conv)) return nullptr;
  const auto& spec = conv.spec;
  const OperandRef &x = spec.inputs[0], &w = spec.inputs[1], &y = spec.outputs[0];
  const bool last = is_packed(y, true) && is_packed(x, true);
  if (!last && !(is_packed(x, false) && is_packed(y, false))) return nullptr;
  const auto groups = spec.attrs->integer("groups");
  const auto stride = spec.attrs->ints("stride"), padding = spec.attrs->ints("padding");
  auto dilation = spec.attrs->ints("dilation");
  const auto dims = static_cast<std::size_t>(x.rank - 2);
  if (groups < 1 || w.rank != x.rank || y.rank != x.rank || stride.size() != dims || padding.size() != dims || dilation.size() != dims) return nullptr;
  const std::span<const std::int64_t> window(w.sizes.data() + 2, dims);
  const auto behind = padding_behind(x, y, window, stride, padding, dilation);
  for (std::size_t d = 0; d < dims; ++d) {
    if (behind[d] > padding[d] || behind[d] <= padding[d] - stride[d]) return nullptr;  // not the output of this convolution
  }
  const memory::desc from = plain(x, last), to = plain(y, last), given = describe_weights(w, groups),
                     any(given.dims(), given.data_type(), memory::format_tag::any);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, from, x}, {DNNL_ARG_DST, to, y}};
  memory::desc bias;
  if (spec.inputs.size() > 2) {
    bias = {{y.sizes[1]}, *data_type(spec.inputs[2].dtype), memory::dims{1}};
    if (spec.inputs[2].strides[0] != 1 && y.sizes[1] > 1) return nullptr;
    arguments.push_back({DNNL_ARG_BIAS, bias, spec.inputs[2]});
  }
  if (conv.addend != nullptr && !is_packed(*conv.addend, last)) return nullptr;
  for (auto& d : dilation) --d;
  const ThreadScope scope(spec.threads);
  const dnnl::convolution_forward::desc described(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, from, any, bias, to, stride,
                                                  dilation, padding, behind);
  const Chosen made = choose(conv, described, to, wish);
  const auto& chosen = made.primitive;
  if (!chosen) return nullptr;
  arguments.insert(arguments.end(), made.arguments.begin(), made.arguments.end());
  std::optional<Packing> streamed;
  arguments.push_back(weights_argument(spec, w, given, chosen.weights_desc(), weights, streamed));
  auto step = make_primitive_step(dnnl::convolution_forward(chosen), std::move(arguments), chosen.scratchpad_desc(), spec.threads, made.copy);
  if (streamed) spec.packings->push_back(std::move(*streamed));
  return step;
}

}  // namespace reprise::kernels::cpu
