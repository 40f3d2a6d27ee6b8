#include "kernels/cuda/epilogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/cuda/factories.h"
#include "kernels/cuda/scalar_text.h"

namespace reprise::kernels::cuda {
namespace {

/// Runs both, the second behind the first.
class TwoSteps final : public device::cuda::CudaStep {
 public:
  TwoSteps(StepPtr first, StepPtr second) : steps_{std::move(first), std::move(second)} {}
  void describe(Operations& operations) const override {
    for (const StepPtr& step : steps_) dynamic_cast<const CudaStep&>(*step).describe(operations);
  }
  void set_scratch_slot(int slot) override {
    for (const StepPtr& step : steps_) step->set_scratch_slot(slot);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return std::max(steps_[0]->scratch_bytes(), steps_[1]->scratch_bytes()); }

 private:
  std::array<StepPtr, 2> steps_;
};

}  // namespace

SplitSpec split_epilogue(const StepSpec& spec) {
  SplitSpec split{.spec = spec, .epilogue = {}};
  if (!spec.attrs->has("epilogue")) return split;
  const std::size_t own = spec.attrs->flag("has_bias", false) ? 3 : 2;
  check(spec.inputs.size() >= own && spec.outputs.size() == 1, spec, "wrong number of operands");
  split.spec.inputs = spec.inputs.first(own);
  Epilogue& e = split.epilogue;
  e.program = std::make_shared<const core::ScalarProgram>(spec.attrs->program("epilogue"));
  e.operands.assign(spec.inputs.begin() + static_cast<std::ptrdiff_t>(own), spec.inputs.end());
  check(e.program->inputs.size() == 1 + e.operands.size() && e.program->outputs.size() == 1 && e.program->symbols.empty(), spec, "the epilogue does not fit");
  for (const OperandRef& operand : e.operands) check(same_shape(operand, spec.outputs[0]), spec, "an operand of the epilogue has another shape");
  e.form = classify_epilogue(*e.program);
  return split;
}

bool lies_as(const Epilogue& epilogue, const OperandRef& y) {
  return std::all_of(epilogue.operands.begin(), epilogue.operands.end(), [&](const OperandRef& e) {
    for (int d = 0; d < y.rank; ++d) {
      if (y.sizes[d] > 1 && e.strides[d] != y.strides[d]) return false;
    }
    return true;
  });
}

Finish finish_of(const Epilogue& epilogue) {
  if (!epilogue) return {};
  Finish finish{.text = {}, .name = "Fused", .operands = epilogue.operands};
  const auto input = [](int i) { return i == 0 ? std::string("value") : fmt::format("widen(e{}[offset])", i - 1); };
  const ScalarText body = emit_scalar_program(*epilogue.program, "t", input, [](int) { return std::string(); });
  std::string members;
  for (std::size_t i = 0; i < epilogue.operands.size(); ++i) members += fmt::format("  const {}* e{};\n", type_name(epilogue.operands[i].dtype), i);
  if (members.empty()) members = "  const void* none;\n";
  const std::string type = compute_type_name(epilogue.program->inputs[0]);
  finish.text = fmt::format("#include \"{}.cuh\"\nstruct Fused {{\n{}  __device__ {} operator()({} value, i64_t offset) const {{\n{}  return {};\n  }}\n}};\n",
                            body.special ? "special" : "scalar", members, type, type, body.body, body.outputs[0]);
  return finish;
}

StepPtr followed_by(Gpu& gpu, StepPtr contraction, const Epilogue& epilogue, const StepSpec& spec) {
  if (!epilogue) return contraction;
  const core::Attrs attrs{{"program", epilogue.program}};
  const BoundAttrs bound(attrs, [&](const sym::Expr& e) { return spec.attrs->eval(e); });
  std::vector<OperandRef> inputs{spec.outputs[0]};
  inputs.insert(inputs.end(), epilogue.operands.begin(), epilogue.operands.end());
  const StepSpec pointwise{.op = core::Op::pointwise, .inputs = inputs, .outputs = spec.outputs, .attrs = &bound, .threads = spec.threads, .name = spec.name};
  return std::make_unique<TwoSteps>(std::move(contraction), make_pointwise(gpu, pointwise));
}

}  // namespace reprise::kernels::cuda
