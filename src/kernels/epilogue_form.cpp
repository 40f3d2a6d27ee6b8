#include "kernels/epilogue_form.h"

#include <array>
#include <cmath>
#include <utility>

namespace reprise::kernels {
namespace {

using core::Instr;
using core::ScalarOp;

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

  /// v = clamp(x + 3, 0, 6), and x. -1: it is something else.
  [[nodiscard]] int hard_gate(int v) const {
    const int low = operand_with(v, ScalarOp::minimum, 6), raised = low < 0 ? -1 : operand_with(low, ScalarOp::maximum, 0);
    return raised < 0 ? -1 : operand_with(raised, ScalarOp::add, 3);
  }
  /// What v is divided by 6, or multiplied by its reciprocal. -1: it is something else.
  [[nodiscard]] int sixth(int v) const {
    const Instr& i = at(bare(v));
    if (i.op == ScalarOp::div && is_constant(i.b, 6)) return bare(i.a);
    return operand_with(v, ScalarOp::mul, 1.0 / 6);
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

struct Applied {
  Activation activation = Activation::identity;
  int to = -1;
};

Applied activation_of(const Matcher& m, int v) {
  const Instr& i = m.at(v);
  if (const int x = m.operand_with(v, ScalarOp::maximum, 0); x >= 0) return {Activation::relu, x};
  if (i.op == ScalarOp::sigmoid) return {Activation::sigmoid, m.bare(i.a)};
  if (i.op == ScalarOp::tanh) return {Activation::tanh, m.bare(i.a)};
  if (const auto [gated, inner] = m.gate(v); gated >= 0) {
    if (m.is_gelu_inner(inner, gated)) return {Activation::gelu, gated};
    if (m.is_tanh_inner(inner, gated)) return {Activation::gelu_tanh, gated};
  }
  if (const int gate = m.sixth(v); gate >= 0) {
    if (const int x = m.hard_gate(gate); x >= 0) return {Activation::hardsigmoid, x};
    if (const Instr& product = m.at(gate); product.op == ScalarOp::mul) {
      for (const auto& [x, gated] : {std::pair(product.a, product.b), std::pair(product.b, product.a)})
        if (m.hard_gate(gated) == m.bare(x)) return {Activation::hardswish, m.bare(x)};
    }
  }
  if (i.op == ScalarOp::mul) {
    for (const auto& [x, gated] : {std::pair(i.a, i.b), std::pair(i.b, i.a)})
      if (m.operand_of(gated, ScalarOp::sigmoid) == m.bare(x)) return {Activation::silu, m.bare(x)};
  }
  return {Activation::identity, v};
}

}  // namespace

EpilogueForm classify_epilogue(const core::ScalarProgram& program) {
  const Matcher m(program);
  const auto [activation, v] = activation_of(m, m.bare(program.outputs[0]));
  const Instr& sum = m.at(v);
  const bool adds = sum.op == ScalarOp::add && program.inputs.size() == 2 &&
                    ((m.is_input(sum.a, 0) && m.is_input(sum.b, 1)) || (m.is_input(sum.a, 1) && m.is_input(sum.b, 0)));
  if (!adds && !(m.is_input(v, 0) && program.inputs.size() == 1)) return {Activation::other, false};
  return {activation, adds};
}

}  // namespace reprise::kernels
