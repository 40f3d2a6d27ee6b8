#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

std::optional<Contraction> Contraction::fused(const StepSpec& spec) {
  const auto& program = spec.attrs->program("epilogue");
  const EpilogueForm form = classify_epilogue(program);
  const std::size_t own = spec.attrs->flag("has_bias", false) ? 3 : 2;
  if (form.activation == Activation::other || spec.inputs.size() + 1 != own + program.inputs.size()) return std::nullopt;  // what is missing, others say
  Contraction c{.spec = spec, .activation = form.activation};
  c.spec.inputs = spec.inputs.first(own);
  if (form.adds) c.addend = &spec.inputs[own];
  return c;
}

bool is_fixed(const StepSpec& spec, const OperandRef& w) {
  return static_cast<std::size_t>(w.slot) < spec.fixed.size() && spec.fixed[static_cast<std::size_t>(w.slot)] != nullptr;
}

}  // namespace reprise::kernels::cpu
