#include "kernels/cpu/step_maker.h"

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/library.h"
#include "kernels/cpu/own.h"
#include "kernels/reference/epilogue.h"
#include "kernels/reference/factories.h"

namespace reprise::kernels::cpu {
namespace {

constexpr const char *kPlain = "reference", *kOwn = "cpu";

struct Made {
  StepPtr step;
  std::vector<std::string> kernels;
};

bool is_contraction(core::Op op) { return op == core::Op::conv || op == core::Op::matmul; }

class Kernels {
 public:
  Made make(const StepSpec& spec) { return is_contraction(spec.op) ? make_contraction(spec) : make_other(spec); }

 private:
  Made make_other(const StepSpec& spec) {
    if (StepPtr step = make_own(spec)) return {std::move(step), {kOwn}};
    if (StepPtr step = library_ ? library_->make_other(spec) : nullptr) return {std::move(step), {std::string(library_->name())}};
    return {make_reference_step(spec), {kPlain}};
  }

  /// Null: there is no kernel that does all of it.
  Made make_fused(const Contraction& contraction) {
    if (NamedStep own = make_gemm(contraction, weights_); own.step) return {std::move(own.step), {std::string(own.name)}};
    if (contraction.spec.op == core::Op::conv) return make_conv(contraction);
    return ask_library(contraction);
  }

  Made make_conv(const Contraction& conv) {
    if (StepPtr step = make_winograd(conv, weights_)) return {std::move(step), {"winograd"}};
    const bool own_first = is_better_product(conv);
    if (!own_first) {
      if (Made made = ask_library(conv); made.step) return made;
    }
    if (NamedStep own = make_conv_product(conv, weights_); own.step) return {std::move(own.step), {std::string(own.name)}};
    if (StepPtr step = make_depthwise(conv, weights_)) return {std::move(step), {"depthwise"}};
    return own_first ? ask_library(conv) : Made();
  }

  Made ask_library(const Contraction& contraction) {
    StepPtr step = library_ ? library_->make_contraction(contraction) : nullptr;
    if (!step) return {};
    return {std::move(step), {std::string(library_->name())}};
  }

  /// Whatever epilogue the attributes hold.
  Made make_alone(const StepSpec& spec) {
    if (Made made = make_fused({.spec = spec}); made.step) return made;
    return {spec.op == core::Op::conv ? reference::make_conv(spec) : reference::make_matmul(spec), {kPlain}};
  }

  Made make_contraction(const StepSpec& spec) {
    if (!spec.attrs->has("epilogue")) return make_alone(spec);
    if (const auto contraction = Contraction::fused(spec)) {
      if (Made made = make_fused(*contraction); made.step) return made;
    }
    std::vector<std::string> kernels;
    StepPtr step = reference::make_with_epilogue(spec, [&](const StepSpec& contraction) {
      Made made = make_alone(contraction);
      kernels = std::move(made.kernels);
      return std::move(made.step);
    });
    if (kernels.back() != kPlain) kernels.emplace_back(kPlain);
    return {std::move(step), std::move(kernels)};
  }

  WeightCache weights_;
  std::unique_ptr<Library> library_ = open_library();
};

}  // namespace

StepMaker step_maker() {
  return [kernels = std::make_shared<Kernels>()](const StepSpec& spec) { return kernels->make(spec).step; };
}

std::vector<std::string> kernel_names(const StepSpec& spec) { return Kernels().make(spec).kernels; }

}  // namespace reprise::kernels::cpu
