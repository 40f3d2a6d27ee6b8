#include "kernels/cpu/step_maker.h"

#include "kernels/cpu/onednn/contraction.h"
#include "kernels/cpu/onednn/moves.h"
#include "kernels/epilogue_form.h"
#include "kernels/reference/epilogue.h"

namespace reprise::kernels::cpu {
namespace {

using dnnl::algorithm;

/// The post-operation of a function. nullopt: it has none, or one that computes something else.
std::optional<algorithm> post_operation(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return algorithm::eltwise_relu;
    case Activation::gelu:
      return algorithm::eltwise_gelu_erf;
    case Activation::gelu_tanh:
      return algorithm::eltwise_gelu_tanh;
    case Activation::silu:
      return algorithm::eltwise_swish;
    case Activation::sigmoid:
      return algorithm::eltwise_logistic;
    case Activation::tanh:
      return algorithm::eltwise_tanh;
    case Activation::hardswish:
      return algorithm::eltwise_hardswish;
    default:
      return std::nullopt;
  }
}

/// Null where `make` gives that, and where oneDNN refuses.
template <class Make>
StepPtr attempt(const Make& make) {
  try {
    return make();
  } catch (const dnnl::error&) {
    return nullptr;
  }
}

StepPtr make_contraction(const Contraction& contraction, PackedWeights& weights) {
  return attempt([&] { return contraction.spec.op == core::Op::conv ? make_conv(contraction, weights) : make_matmul(contraction, weights); });
}

/// With the whole epilogue inside the primitive. Null: not possible.
StepPtr make_fused(const StepSpec& spec, PackedWeights& weights) {
  const EpilogueForm form = classify_epilogue(spec.attrs->program("epilogue"));
  if (form.activation == Activation::other) return nullptr;
  const std::size_t own = spec.attrs->flag("has_bias", false) ? 3 : 2;
  Contraction c{.spec = spec, .applied = {}, .alpha = form.activation == Activation::silu ? 1.0F : 0.0F, .addend = nullptr};
  c.spec.inputs = spec.inputs.first(own);
  if (form.adds) c.addend = &spec.inputs[own];
  if (form.activation != Activation::identity) {
    const auto operation = post_operation(form.activation);
    if (!operation) return nullptr;
    c.applied.push_back(*operation);
  }
  return make_contraction(c, weights);
}

struct Made {
  StepPtr step;
  std::vector<std::string> kernels;
};

Made make(const StepSpec& spec, PackedWeights& weights) {
  const char *kOurs = "reference", *kLibrary = "onednn";
  if (spec.op != core::Op::conv && spec.op != core::Op::matmul) {
    StepPtr step = attempt([&] { return spec.op == core::Op::pool ? make_pool(spec) : spec.op == core::Op::copy ? make_copy(spec) : nullptr; });
    if (step) return {std::move(step), {kLibrary}};
    return {make_reference_step(spec), {kOurs}};
  }
  std::vector<std::string> kernels;
  const auto plain = [&](const StepSpec& s) -> StepPtr {
    auto step = make_contraction({.spec = s, .applied = {}, .alpha = 0, .addend = nullptr}, weights);
    kernels = {step ? kLibrary : kOurs};
    if (step) return step;
    return s.op == core::Op::conv ? reference::make_conv(s) : reference::make_matmul(s);
  };
  if (!spec.attrs->has("epilogue")) {
    StepPtr step = plain(spec);
    return {std::move(step), kernels};
  }
  if (auto step = make_fused(spec, weights)) return {std::move(step), {kLibrary}};
  StepPtr step = reference::make_with_epilogue(spec, plain);
  if (kernels != std::vector<std::string>{kOurs}) kernels.emplace_back(kOurs);
  return {std::move(step), kernels};
}

}  // namespace

dnnl::primitive_attr attributes(const Contraction& contraction, const dnnl::memory::desc& result, std::vector<Argument>& arguments) {
  dnnl::post_ops operations;
  if (contraction.addend != nullptr) {
    operations.append_binary(algorithm::binary_add, result);
    arguments.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, result, *contraction.addend});
  }
  for (const algorithm operation : contraction.applied) operations.append_eltwise(1.0F, operation, contraction.alpha, 0.0F);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(operations);
  return attr;
}

StepMaker step_maker() {
  return [weights = std::make_shared<PackedWeights>()](const StepSpec& spec) { return make(spec, *weights).step; };
}

std::vector<std::string> kernel_names(const StepSpec& spec) {
  PackedWeights weights;
  return make(spec, weights).kernels;
}

}  // namespace reprise::kernels::cpu
