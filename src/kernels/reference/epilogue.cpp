#include "kernels/reference/epilogue.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
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

/// The result goes where a summand lies: that is kept while the contraction is computed there. The epilogue has slots of its own: the contraction's result, the
/// summand, the result, scratch memory.
class KeptSummand final : public device::Step {
 public:
  KeptSummand(StepPtr contraction, StepPtr epilogue, int slot, std::size_t begin, std::size_t bytes)
      : contraction_(std::move(contraction)), epilogue_(std::move(epilogue)), slot_(slot), begin_(begin), bytes_(bytes) {
    epilogue_->set_scratch_slot(3);
  }
  void run(void* const* bindings) const override {
    auto* scratch = static_cast<std::byte*>(bindings[scratch_slot()]);
    void* result = bindings[slot_];
    std::byte* kept = scratch + steps_scratch();
    std::memcpy(kept, static_cast<const std::byte*>(result) + begin_, bytes_);
    contraction_->run(bindings);
    const std::array<void*, 4> table = {result, kept - begin_, result, scratch};
    epilogue_->run(table.data());
  }
  void set_scratch_slot(int slot) override {
    device::Step::set_scratch_slot(slot);
    contraction_->set_scratch_slot(slot);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return steps_scratch() + bytes_; }

 private:
  [[nodiscard]] std::size_t steps_scratch() const { return aligned(std::max(contraction_->scratch_bytes(), epilogue_->scratch_bytes())); }

  StepPtr contraction_, epilogue_;
  int slot_;
  std::size_t begin_, bytes_;
};

/// `epilogue`: its inputs are the contraction's result and the summand.
StepPtr keep_summand(StepPtr contraction, StepSpec epilogue) {
  const OperandRef& y = epilogue.outputs[0];
  std::int64_t last = y.offset;
  for (std::size_t d = 0; d < static_cast<std::size_t>(y.rank); ++d) last += (y.sizes[d] - 1) * y.strides[d];
  const std::size_t item = item_size(y.dtype), begin = static_cast<std::size_t>(y.offset) * item;
  const std::size_t bytes = y.numel() == 0 ? 0 : static_cast<std::size_t>(last + 1) * item - begin;
  std::array<OperandRef, 3> operands = {epilogue.inputs[0], epilogue.inputs[1], y};
  for (int i = 0; i < 3; ++i) operands[static_cast<std::size_t>(i)].slot = i;
  const int slot = y.slot;
  epilogue.inputs = std::span(operands).first(2);
  epilogue.outputs = std::span(operands).last(1);
  epilogue.fixed = {};
  return std::make_unique<KeptSummand>(std::move(contraction), make_pointwise(epilogue), slot, begin, bytes);
}

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
  if (inputs.size() == 2 && inputs[1].slot == spec.outputs[0].slot) return keep_summand(make(contraction), epilogue);
  return std::make_unique<TwoSteps>(make(contraction), make_pointwise(epilogue));
}

}  // namespace reprise::kernels::reference
