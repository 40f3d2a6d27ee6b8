#include "kernels/reference/epilogue.h"

#include <algorithm>
#include <array>
#include <vector>

namespace reprise::kernels::reference {
namespace {

class TwoSteps final : public device::Step {
 public:
  TwoSteps(StepPtr first, StepPtr second) : steps_{std::move(first), std::move(second)} {}
  void run(void* const* bindings) const override {
    for (const StepPtr& step : steps_) step->run(bindings);
  }
  void set_scratch_slot(int slot) override {
    for (const StepPtr& step : steps_) step->set_scratch_slot(slot);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return std::max(steps_[0]->scratch_bytes(), steps_[1]->scratch_bytes()); }

 private:
  std::array<StepPtr, 2> steps_;
};

}  // namespace

StepPtr make_with_epilogue(const StepSpec& spec, const std::function<StepPtr(const StepSpec&)>& make) {
  const std::size_t own = spec.attrs->flag("has_bias", false) ? 3 : 2;
  check(spec.inputs.size() >= own && spec.outputs.size() == 1, spec, "wrong number of operands");
  StepSpec contraction = spec, epilogue = spec;
  contraction.inputs = spec.inputs.first(own);
  std::vector<OperandRef> inputs{spec.outputs[0]};
  inputs.insert(inputs.end(), spec.inputs.begin() + static_cast<std::ptrdiff_t>(own), spec.inputs.end());
  const core::Attrs attrs{{"program", std::make_shared<const core::ScalarProgram>(spec.attrs->program("epilogue"))}};
  const BoundAttrs bound(attrs, [&](const sym::Expr& e) { return spec.attrs->eval(e); });
  epilogue.op = core::Op::pointwise;
  epilogue.inputs = inputs;
  epilogue.attrs = &bound;
  return std::make_unique<TwoSteps>(make(contraction), make_pointwise(epilogue));
}

}  // namespace reprise::kernels::reference
