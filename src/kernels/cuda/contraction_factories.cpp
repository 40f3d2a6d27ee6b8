#include "kernels/cuda/candidates.h"
#include "kernels/cuda/choices.h"
#include "kernels/cuda/deferred.h"
#include "kernels/cuda/factories.h"

namespace reprise::kernels::cuda {
namespace {

/// By the choice that was measured, as long as its kernel still exists, or by what is likely.
StepPtr make_chosen(Gpu& gpu, const StepSpec& spec) {
  if (const auto choice = gpu.service<Choices>().find(choice_key(gpu, spec))) {
    if (auto step = make_contraction(gpu, spec, choice->name)) return step;
  }
  return make_contraction(gpu, spec, {});
}

}  // namespace

StepPtr make_matmul(Gpu& gpu, const StepSpec& spec) { return make_chosen(gpu, spec); }

StepPtr make_conv(Gpu& gpu, const StepSpec& spec) {
  check_contraction(spec);
  if (gpu.context() == nullptr) return make_chosen(gpu, spec);  // offline: everything at once
  return make_deferred(gpu, spec, [&gpu](const StepSpec& owned) { return make_chosen(gpu, owned); });
}

}  // namespace reprise::kernels::cuda
