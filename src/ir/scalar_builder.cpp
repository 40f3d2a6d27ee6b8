#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ir/builder.h"
#include "tensor/half.h"

namespace reprise::ir {
namespace {

using core::ScalarOp;

double round_to(double value, DType type) {
  switch (type) {
    case DType::f64:
      return value;
    case DType::f16:
      return static_cast<float>(Half(static_cast<float>(value)));
    case DType::bf16:
      return static_cast<float>(BFloat16(static_cast<float>(value)));
    default:
      return static_cast<float>(value);
  }
}

/// Relations, logic and tests of one real give booleans; everything else keeps its operands' dtype.
bool gives_boolean(ScalarOp op) { return op >= ScalarOp::eq && op <= ScalarOp::signbit; }

Sv push(core::ScalarProgram& p, core::Instr instr) {
  p.code.push_back(instr);
  return {static_cast<int>(p.code.size()) - 1, instr.type};
}

Sv push_op(core::ScalarProgram& p, ScalarOp op, DType type, std::initializer_list<Sv> operands) {
  REPRISE_CHECK(core::operand_count(op) == static_cast<int>(operands.size()), InvalidArgument, "[ir/scalar] {} has {} operands (got {})", core::name(op),
                core::operand_count(op), operands.size());
  core::Instr instr{.op = op, .type = type};
  int* slots[] = {&instr.a, &instr.b, &instr.c};
  std::size_t i = 0;
  for (const Sv& s : operands) *slots[i++] = s.id;
  return push(p, instr);
}

/// PyTorch adds and multiplies booleans as "or" and "and".
ScalarOp boolean_form(ScalarOp op) { return op == ScalarOp::add ? ScalarOp::bit_or : op == ScalarOp::mul ? ScalarOp::bit_and : op; }

void check_same(ScalarOp op, Sv a, Sv b) {
  REPRISE_CHECK(a.type == b.type, InvalidArgument, "[ir/scalar] operands of {} differ in dtype (got {} and {})", core::name(op), name(a.type), name(b.type));
}

}  // namespace

Sv ScalarBuilder::input(int index, DType type) {
  auto& inputs = program_->inputs;
  if (index >= static_cast<int>(inputs.size())) inputs.resize(static_cast<std::size_t>(index) + 1, type);
  inputs[static_cast<std::size_t>(index)] = type;
  return push(*program_, {.op = ScalarOp::input, .type = type, .imm_int = index});
}

Sv ScalarBuilder::constant(double value, DType type) {
  if (is_floating(type)) return push(*program_, {.op = ScalarOp::constant, .type = type, .imm_real = round_to(value, type)});
  if (type == DType::boolean) return constant_int(value != 0, type);
  REPRISE_CHECK(std::isfinite(value) && std::abs(value) < 0x1p63, InvalidArgument, "[ir/scalar] {} is not a constant of {}", value, name(type));
  return constant_int(static_cast<std::int64_t>(value), type);
}

Sv ScalarBuilder::constant_int(std::int64_t value, DType type) {
  if (is_floating(type)) return constant(static_cast<double>(value), type);
  return push(*program_, {.op = ScalarOp::constant, .type = type, .imm_int = type == DType::boolean ? value != 0 : value});
}

Sv ScalarBuilder::symbol(const sym::Expr& e, DType type) {
  if (const auto value = e.as_int()) return constant_int(*value, type);
  if (e.op() == sym::Op::real) return constant(e.real_value(), type);
  auto& symbols = program_->symbols;
  const auto at = std::find(symbols.begin(), symbols.end(), e);
  const std::int64_t index = at - symbols.begin();
  if (at == symbols.end()) symbols.push_back(e);
  return push(*program_, {.op = ScalarOp::symbol, .type = type, .imm_int = index});
}

Sv ScalarBuilder::cast(Sv a, DType type) { return a.type == type ? a : push_op(*program_, ScalarOp::cast, type, {a}); }

Sv ScalarBuilder::bitcast(Sv a, DType type) { return a.type == type ? a : push_op(*program_, ScalarOp::bitcast, type, {a}); }

Sv ScalarBuilder::op(ScalarOp op, Sv a) { return push_op(*program_, op, gives_boolean(op) ? DType::boolean : a.type, {a}); }

Sv ScalarBuilder::op(ScalarOp op, Sv a, Sv b) {
  check_same(op, a, b);
  if (a.type == DType::boolean) op = boolean_form(op);
  return push_op(*program_, op, gives_boolean(op) ? DType::boolean : a.type, {a, b});
}

Sv ScalarBuilder::op(ScalarOp op, Sv a, Sv b, Sv c) {
  if (op == ScalarOp::where) return where(a, b, c);
  check_same(op, a, b);
  check_same(op, b, c);
  return push_op(*program_, op, a.type, {a, b, c});
}

Sv ScalarBuilder::where(Sv condition, Sv a, Sv b) {
  REPRISE_CHECK(condition.type == DType::boolean, InvalidArgument, "[ir/scalar] the condition of where must be bool (got {})", name(condition.type));
  check_same(ScalarOp::where, a, b);
  return push_op(*program_, ScalarOp::where, a.type, {condition, a, b});
}

void ScalarBuilder::output(Sv a) { program_->outputs.push_back(a.id); }

}  // namespace reprise::ir
