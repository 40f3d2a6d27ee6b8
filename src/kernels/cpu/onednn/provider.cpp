#include <fmt/format.h>

#include <array>

#include "kernels/cpu/library.h"
#include "kernels/cpu/onednn/contraction.h"
#include "kernels/cpu/onednn/moves.h"

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

struct NamedAddend {
  std::string_view name;
  Addend addend;
};
constexpr std::array kAddends = {NamedAddend{"add", Addend::argument}, NamedAddend{"sum", Addend::result}};

class OneDnn final : public Library {
 public:
  [[nodiscard]] std::string_view name() const override { return "onednn"; }

  [[nodiscard]] std::string version() const override {
    const dnnl_version_t& v = *dnnl::version();
    return fmt::format("{}.{}.{}", v.major, v.minor, v.patch);
  }

  StepPtr make_contraction(const Contraction& c, std::string_view variant) override {
    const bool conv = c.spec.op == core::Op::conv;
    if ((c.activation != Activation::identity && !post_operation(c.activation)) || (!conv && !variant.empty())) return nullptr;
    std::optional<Addend> wish;
    for (const auto& [name, addend] : kAddends)
      if (name == variant) wish = addend;
    if (!variant.empty() && !wish) return nullptr;
    return attempt([&] { return conv ? make_conv(c, weights_, wish) : make_matmul(c, weights_); });
  }
  [[nodiscard]] std::vector<std::string> variants(const Contraction& c) const override {
    if (c.spec.op != core::Op::conv || c.addend == nullptr) return {};
    return {std::string(kAddends[0].name), std::string(kAddends[1].name)};
  }
  StepPtr make_other(const StepSpec& spec) override {
    return attempt([&] { return spec.op == core::Op::pool ? make_pool(spec) : spec.op == core::Op::copy ? make_copy(spec) : nullptr; });
  }

 private:
  PackedWeights weights_;
};

}  // namespace

dnnl::primitive_attr attributes(const Contraction& contraction, const dnnl::memory::desc& result, std::vector<Argument>& arguments, Addend addend) {
  dnnl::post_ops operations;
  if (contraction.addend != nullptr && addend == Addend::result) {
    operations.append_sum(1.0F);
  } else if (contraction.addend != nullptr) {
    operations.append_binary(algorithm::binary_add, result);
    arguments.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, result, *contraction.addend});
  }
  if (contraction.activation != Activation::identity) {
    const float alpha = contraction.activation == Activation::silu ? 1.0F : 0.0F;
    operations.append_eltwise(1.0F, *post_operation(contraction.activation), alpha, 0.0F);
  }
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(operations);
  return attr;
}

std::unique_ptr<Library> open_library() { return std::make_unique<OneDnn>(); }

}  // namespace reprise::kernels::cpu
