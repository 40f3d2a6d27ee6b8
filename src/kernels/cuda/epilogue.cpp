#include "kernels/cuda/epilogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cuda/factories.h"
#include "kernels/cuda/scalar_text.h"

namespace reprise::kernels::cuda {
namespace {

using core::Instr;
using core::ScalarOp;

/// Recognizes functions by the shape of their expressions. Roundings in between do not count.
class Matcher {
 public:
  explicit Matcher(const core::ScalarProgram& program) : program_(program) {}

  /// The value under casts between reals.
  [[nodiscard]] int bare(int v) const {
    while (at(v).op == ScalarOp::cast && is_floating(at(v).type) && is_floating(at(at(v).a).type)) v = at(v).a;
    return v;
  }
  [[nodiscard]] bool is_input(int v, int which) const { return at(bare(v)).op == ScalarOp::input && at(bare(v)).imm_int == which; }
  [[nodiscard]] bool is_constant(int v, double value) const {
    const Instr& i = at(bare(v));
    return i.op == ScalarOp::constant && is_floating(i.type) && std::abs(i.imm_real - value) <= 1e-3 * std::abs(value) * kHalfPrecision;
  }
  /// v = op(x, constant), in either order; the constant 0 or close to `value`. -1: it is something else.
  [[nodiscard]] int operand_with(int v, ScalarOp op, double value) const {
    const Instr& i = at(bare(v));
    if (i.op != op) return -1;
    return is_constant(i.b, value) ? bare(i.a) : is_constant(i.a, value) ? bare(i.b) : -1;
  }
  /// v = op(x). -1: it is something else.
  [[nodiscard]] int operand_of(int v, ScalarOp op) const { return at(bare(v)).op == op ? bare(at(bare(v)).a) : -1; }

  /// v = x · ½ · (1 + inner(x)): gives x, and the inner function's value.
  [[nodiscard]] std::array<int, 2> gate(int v) const {
    const Instr& i = at(bare(v));
    if (i.op != ScalarOp::mul) return {-1, -1};
    for (const auto& [half, gated] : {std::pair(i.a, i.b), std::pair(i.b, i.a)}) {
      const int x = operand_with(half, ScalarOp::mul, 0.5), inner = operand_with(gated, ScalarOp::add, 1);
      if (x >= 0 && inner >= 0) return {x, inner};
    }
    return {-1, -1};
  }
  // erf(x / √2)
  [[nodiscard]] bool is_gelu_inner(int v, int x) const {
    const int scaled = operand_of(v, ScalarOp::erf);
    return scaled >= 0 && operand_with(scaled, ScalarOp::mul, std::sqrt(0.5)) == x;
  }
  // tanh(√(2/π) (x + 0.044715 x³))
  [[nodiscard]] bool is_tanh_inner(int v, int x) const {
    const int scaled = operand_of(v, ScalarOp::tanh);
    const int sum = scaled < 0 ? -1 : operand_with(scaled, ScalarOp::mul, std::sqrt(2 / M_PI));
    if (sum < 0 || at(sum).op != ScalarOp::add) return false;
    const int cubic = bare(at(sum).a) == x ? at(sum).b : bare(at(sum).b) == x ? at(sum).a : -1;
    const int cube = cubic < 0 ? -1 : operand_with(cubic, ScalarOp::mul, 0.044715);
    return cube >= 0 && is_cube(cube, x);
  }

  [[nodiscard]] const Instr& at(int v) const { return program_.code[static_cast<std::size_t>(v)]; }

 private:
  static constexpr double kHalfPrecision = 0.1;  // of a thousandth: constants that were rounded to f32

  [[nodiscard]] bool is_cube(int v, int x) const {
    const Instr& i = at(bare(v));
    const auto is_square = [&](int s) { return at(s).op == ScalarOp::mul && bare(at(s).a) == x && bare(at(s).b) == x; };
    if (i.op == ScalarOp::pow) return bare(i.a) == x && is_constant(i.b, 3);
    return i.op == ScalarOp::mul && ((is_square(bare(i.a)) && bare(i.b) == x) || (is_square(bare(i.b)) && bare(i.a) == x));
  }

  const core::ScalarProgram& program_;
};

void classify(Epilogue& e) {
  const Matcher m(*e.program);
  int v = m.bare(e.program->outputs[0]);
  e.activation = Activation::identity;
  if (const int x = m.operand_with(v, ScalarOp::maximum, 0); x >= 0) {
    e.activation = Activation::relu;
    v = x;
  } else if (const auto [gated, inner] = m.gate(v); gated >= 0) {
    if (!m.is_gelu_inner(inner, gated) && !m.is_tanh_inner(inner, gated)) {
      e.activation = Activation::other;
      return;
    }
    e.activation = m.is_gelu_inner(inner, gated) ? Activation::gelu : Activation::gelu_tanh;
    v = gated;
  }
  const Instr& sum = m.at(v);
  e.adds =
      sum.op == ScalarOp::add && e.operands.size() == 1 && ((m.is_input(sum.a, 0) && m.is_input(sum.b, 1)) || (m.is_input(sum.a, 1) && m.is_input(sum.b, 0)));
  if (!e.adds && !(m.is_input(v, 0) && e.operands.empty())) e.activation = Activation::other;
}

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
  classify(e);
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
