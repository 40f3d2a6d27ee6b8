#include "ops/row_helpers.h"

#include <limits>

#include "base/check.h"
#include "ir/shapes.h"

namespace reprise::ops {
namespace {

Operand operand(const Input& in) {
  if (in.tensor.defined()) return {in.tensor.dtype(), in.tensor.rank() == 0 ? Operand::Level::zero_dim : Operand::Level::tensor};
  return {number_type(in.number), Operand::Level::number};
}

/// Whether an integer constant survives `t`; others wrap, as PyTorch's cast of a Python number does.
bool fits(std::int64_t value, DType t) {
  if (!is_integral(t) || item_size(t) == 8) return true;
  const auto bits = static_cast<int>(item_size(t) * 8);
  const std::int64_t low = is_signed(t) ? -(std::int64_t{1} << (bits - 1)) : 0;
  return value >= low && value < low + (std::int64_t{1} << bits);
}

Term immediate(ScalarBuilder& s, const Number& n, DType type) {
  const auto value = n.value.as_int();
  if (value && !fits(*value, type)) return {s, s.cast(s.constant_int(*value, DType::i64), type)};
  return {s, s.symbol(n.value, type)};
}

}  // namespace

Input input(Context& c, std::string_view name) {
  if (c.is_tensor(name)) return {.tensor = c.tensor(name)};
  return {.tensor = {}, .number = c.scalar(name)};
}

DType number_type(const Number& n) {
  if (n.kind == Number::Kind::boolean) return DType::boolean;
  return n.kind == Number::Kind::integer ? DType::i64 : DType::f32;
}

DType promoted_type(std::span<const Input> inputs) {
  std::vector<Operand> operands;
  for (const Input& in : inputs) operands.push_back(operand(in));
  return result_type(operands);
}

DType arithmetic_type(DType t) { return t == DType::boolean ? DType::i32 : compute_type(t); }

Val pointwise(Context& c, std::span<const Input> inputs, DType common, DType result, const Body& body, bool round_numbers) {
  const DType type = arithmetic_type(common);
  std::vector<Val> tensors;
  for (const Input& in : inputs)
    if (in.tensor.defined()) tensors.push_back(in.tensor);
  return c.build().map(tensors, [&](ScalarBuilder& s, std::span<const Sv> values) {
    std::vector<Term> terms;
    std::size_t next = 0;
    for (const Input& in : inputs) {
      if (in.tensor.defined())
        terms.push_back(Term(s, values[next++]).as(common).as(type));
      else
        terms.push_back(round_numbers ? immediate(s, in.number, common).as(type) : immediate(s, in.number, type));
    }
    return body(c, terms).as(result).value();
  });
}

Val pointwise(Context& c, std::span<const Input> inputs, Typing typing, const Body& body) {
  DType common = promoted_type(inputs);
  if (typing == Typing::real) common = to_float(common);
  const bool relation = typing == Typing::relation;
  return pointwise(c, inputs, common, relation ? DType::boolean : common, body, relation);
}

Val pointwise(Context& c, const std::vector<std::string>& operands, Typing typing, const Body& body) {
  std::vector<Input> inputs;
  for (const auto& name : operands) inputs.push_back(input(c, name));
  return pointwise(c, inputs, typing, body);
}

Body body_of(ScalarOp op) {
  return [op](Context&, std::span<const Term> x) { return x[0].apply(op, x[1]); };
}

std::vector<std::string> schemas(std::initializer_list<const char*> names, std::initializer_list<const char*> tails) {
  std::vector<std::string> out;
  for (const char* name : names)
    for (const char* tail : tails) out.push_back(std::string("aten::") + name + tail);
  return out;
}

void add_rows(Registry& r, const std::vector<std::string>& schemas, const Convert& convert) {
  for (const auto& schema : schemas) add_rows(r, convert, {schema.c_str()});
}

void add_pointwise_rows(Registry& r, const std::vector<std::string>& schemas, std::vector<std::string> operands, Typing typing, Body body) {
  add_rows(r, schemas, [operands = std::move(operands), typing, body = std::move(body)](Context& c) { c.set(0, pointwise(c, operands, typing, body)); });
}

void add_unary_rows(Registry& r, std::initializer_list<const char*> names, Typing typing, Body body) {
  add_pointwise_rows(r, schemas(names, {"(Tensor self)"}), {"self"}, typing, std::move(body));
}

Term number(Context& c, std::string_view name, Term like) { return like.of(c.scalar(name).value); }

std::optional<double> constant(const Number& n) {
  if (const auto value = n.value.as_int()) return static_cast<double>(*value);
  if (n.value.op() == sym::Op::real) return n.value.real_value();
  return std::nullopt;
}

std::vector<int> axes_of(Context& c, std::string_view name, int rank) {
  std::vector<int> out;
  if (c.is_none(name)) return out;
  for (const auto dim : c.fixed_ints(name)) out.push_back(ir::wrap_dim(static_cast<int>(dim), rank, c.node().target));
  return out;
}

Expr count_along(Val x, const std::vector<int>& axes) {
  if (axes.empty() || x.rank() == 0) return x.numel();
  Expr out = 1;
  for (const int axis : axes) out = out * x.size(axis);
  return out;
}

Val apart(Builder& b, Val y, Val x) { return y.value().root == x.value().root ? b.copy(y) : y; }

int output_count(const Context& c) {
  int n = 0;
  for (const auto& output : c.node().outputs) {
    const auto* list = std::get_if<std::vector<ir::TensorName>>(&output);
    n += list != nullptr ? static_cast<int>(list->size()) : 1;
  }
  return n;
}

}  // namespace reprise::ops
