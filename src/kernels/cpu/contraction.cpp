#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

std::optional<Contraction> Contraction::fused(const StepSpec& spec) {
  const EpilogueForm form = classify_epilogue(spec.attrs->program("epilogue"));
  if (form.activation == Activation::other) return std::nullopt;
  const std::size_t own = spec.attrs->flag("has_bias", false) ? 3 : 2;
  Contraction c{.spec = spec, .activation = form.activation};
  c.spec.inputs = spec.inputs.first(own);
  if (form.adds) c.addend = &spec.inputs[own];
  return c;
}

}  // namespace reprise::kernels::cpu
