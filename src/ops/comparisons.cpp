// Relations, logic, bits, choices between operands, and bounds.
#include <cmath>

#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using Terms = std::span<const Term>;

constexpr const char* kScalarTensorTail = ".Scalar_Tensor(Scalar self, Tensor other)";

std::vector<std::string> both() { return {"self", "other"}; }

Term truth(Term x) { return x.as(DType::boolean); }

void add_relations(Registry& r) {
  const auto add = [&](std::initializer_list<const char*> names, ScalarOp op) {
    add_pointwise_rows(r, schemas(names, {kTensorTail, kScalarTail}), both(), Typing::relation, body_of(op));
  };
  add({"eq"}, ScalarOp::eq);
  add({"ne", "not_equal"}, ScalarOp::ne);
  add({"lt", "less"}, ScalarOp::lt);
  add({"le", "less_equal"}, ScalarOp::le);
  add({"gt", "greater"}, ScalarOp::gt);
  add({"ge", "greater_equal"}, ScalarOp::ge);
}

/// Each operand counts by its own truth; they are not promoted.
void add_logic(Registry& r) {
  const auto add = [&](const char* name, ScalarOp op) {
    add_rows(r, schemas({name}, {kDefaultTail}), [op](Context& c) {
      c.set(0, compute(
                   c.build(), [op](Term x, Term y) { return truth(x).apply(op, truth(y)); }, c.tensor("self"), c.tensor("other")));
    });
  };
  add("logical_and", ScalarOp::logical_and);
  add("logical_or", ScalarOp::logical_or);
  add("logical_xor", ScalarOp::logical_xor);
  add_rows(r, schemas({"logical_not"}, {"(Tensor self)"}), [](Context& c) {
    c.set(0, compute(
                 c.build(), [](Term x) { return !truth(x); }, c.tensor("self")));
  });
}

void add_bits(Registry& r) {
  const auto add = [&](const char* name, const char* operator_name, ScalarOp op) {
    add_pointwise_rows(r, schemas({name}, {kTensorTail, kScalarTail, kScalarTensorTail}), both(), Typing::common, body_of(op));
    add_pointwise_rows(r, schemas({operator_name}, {kTensorTail, kScalarTail}), both(), Typing::common, body_of(op));
  };
  add("bitwise_and", "__and__", ScalarOp::bit_and);
  add("bitwise_or", "__or__", ScalarOp::bit_or);
  add("bitwise_xor", "__xor__", ScalarOp::bit_xor);
  const auto add_shift = [&](const char* name, const char* operator_name, ScalarOp op) {
    const char* tensor_scalar = ".Tensor_Scalar(Tensor self, Scalar other)";
    add_pointwise_rows(r, schemas({name}, {kTensorTail, tensor_scalar, kScalarTensorTail}), both(), Typing::common, body_of(op));
    add_pointwise_rows(r, schemas({operator_name}, {kTensorTail, kScalarTail}), both(), Typing::common, body_of(op));
  };
  add_shift("bitwise_left_shift", "__lshift__", ScalarOp::shift_left);
  add_shift("bitwise_right_shift", "__rshift__", ScalarOp::shift_right);
  add_rows(r, schemas({"bitwise_not"}, {"(Tensor self)"}), [](Context& c) {
    const Val self = c.tensor("self");
    c.set(0, c.build().unary(self.dtype() == DType::boolean ? ScalarOp::logical_not : ScalarOp::bit_not, self));
  });
}

void add_classes(Registry& r) {
  const auto add = [&](const char* name, double of_integers, Term (*of_reals)(Term)) {
    add_unary_rows(r, {name}, Typing::relation, [=](Context&, Terms x) { return is_floating(x[0].type()) ? of_reals(x[0]) : x[0].of(of_integers); });
  };
  add("isnan", 0, [](Term x) { return is_nan(x); });
  add("isinf", 0, [](Term x) { return x.apply(ScalarOp::is_inf); });
  add("isfinite", 1, [](Term x) { return x.apply(ScalarOp::is_finite); });
  add("isposinf", 0, [](Term x) { return equal(x, INFINITY); });
  add("isneginf", 0, [](Term x) { return equal(x, -INFINITY); });
  add("isreal", 1, [](Term x) { return equal(x.of(0), 0); });
  add_unary_rows(r, {"signbit"}, Typing::relation, [](Context&, Terms x) { return is_floating(x[0].type()) ? x[0].apply(ScalarOp::signbit) : x[0] < 0; });
}

/// |self - other| <= atol + |rtol * other|, with integers compared as reals.
Term is_close(Context& c, Terms x) {
  const double rtol = c.real("rtol"), atol = c.real("atol");
  Term close = equal(x[0], x[1]);
  if (is_floating(x[0].type()) && c.flag("equal_nan")) close = close || (is_nan(x[0]) && is_nan(x[1]));
  if (rtol == 0 && atol == 0) return close;
  const DType real = to_float(x[0].type());
  const Term other = x[1].as(real), difference = abs(x[0].as(real) - other);
  return close || (difference.apply(ScalarOp::is_finite) && difference <= abs(other * rtol) + atol);
}

/// Whether each element occurs among the test elements: compared with all of them along a new last dimension.
void convert_isin(Context& c) {
  Builder& b = c.build();
  const std::vector<std::string> names = c.node().target.ends_with("Scalar_Tensor")   ? std::vector<std::string>{"element", "test_elements"}
                                         : c.node().target.ends_with("Tensor_Scalar") ? std::vector<std::string>{"elements", "test_element"}
                                                                                      : std::vector<std::string>{"elements", "test_elements"};
  Input elements = input(c, names[0]), tests = input(c, names[1]);
  if (elements.tensor.defined()) elements.tensor = b.unsqueeze(elements.tensor, -1);
  if (tests.tensor.defined()) tests.tensor = b.reshape(tests.tensor, {tests.tensor.numel()});
  const bool invert = c.flag("invert");
  const Input inputs[] = {elements, tests};
  const Val same = pointwise(c, inputs, Typing::relation, body_of(ScalarOp::eq));
  const Val found = same.rank() == 0 ? same : b.reduce(ir::ReduceKind::any, same, {-1}, false, DType::boolean);
  c.set(0, invert ? b.unary(ScalarOp::logical_not, found) : found);
}

void add_tests(Registry& r) {
  add_pointwise_rows(r, {"aten::isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False)"}, both(), Typing::relation,
                     is_close);
  add_rows(r,
           schemas({"isin"}, {".Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False)",
                              ".Tensor_Scalar(Tensor elements, Scalar test_element, *, bool assume_unique=False, bool invert=False)",
                              ".Scalar_Tensor(Scalar element, Tensor test_elements, *, bool assume_unique=False, bool invert=False)"}),
           convert_isin);
}

/// The condition is not promoted; numbers become immediates.
void convert_where(Context& c) {
  Builder& b = c.build();
  const Input inputs[] = {input(c, "self"), input(c, "other")};
  const DType type = promoted_type(inputs);
  std::vector<Val> tensors = {c.tensor("condition")};
  for (const Input& in : inputs)
    if (in.tensor.defined()) tensors.push_back(in.tensor);
  c.set(0, b.map(tensors, [&](ScalarBuilder& s, std::span<const Sv> x) {
    std::size_t next = 1;
    const auto value = [&](const Input& in) { return in.tensor.defined() ? s.cast(x[next++], type) : s.symbol(in.number.value, type); };
    const Sv first = value(inputs[0]), second = value(inputs[1]);
    return s.where(s.cast(x[0], DType::boolean), first, second);
  }));
}

/// The bounds that are given; NaN in any of them wins.
void convert_clamp(Context& c, bool has_min, bool has_max) {
  std::vector<std::string> names = {"self"};
  const bool low = has_min && !c.is_none("min"), high = has_max && !c.is_none("max");
  if (low) names.emplace_back("min");
  if (high) names.emplace_back("max");
  c.set(0, pointwise(c, names, Typing::common, [&](Context&, Terms x) {
          const Term above = low ? max(x[0], x[1]) : x[0];
          return high ? min(above, x.back()) : above;
        }));
}

void add_choices(Registry& r) {
  add_rows(r,
           schemas({"where"}, {".self(Tensor condition, Tensor self, Tensor other)", ".ScalarSelf(Tensor condition, Scalar self, Tensor other)",
                               ".ScalarOther(Tensor condition, Tensor self, Scalar other)", ".Scalar(Tensor condition, Scalar self, Scalar other)"}),
           convert_where);
  add_rows(r, schemas({"clamp", "clip"}, {"(Tensor self, Scalar? min=None, Scalar? max=None)", ".Tensor(Tensor self, Tensor? min=None, Tensor? max=None)"}),
           [](Context& c) { convert_clamp(c, true, true); });
  add_rows(r, schemas({"clamp_min"}, {"(Tensor self, Scalar min)", ".Tensor(Tensor self, Tensor min)"}), [](Context& c) { convert_clamp(c, true, false); });
  add_rows(r, schemas({"clamp_max"}, {"(Tensor self, Scalar max)", ".Tensor(Tensor self, Tensor max)"}), [](Context& c) { convert_clamp(c, false, true); });
  const auto add = [&](std::initializer_list<const char*> names, const char* tail, ScalarOp op) {
    add_pointwise_rows(r, schemas(names, {tail}), both(), Typing::common, body_of(op));
  };
  add({"maximum"}, kDefaultTail, ScalarOp::maximum);
  add({"minimum"}, kDefaultTail, ScalarOp::minimum);
  add({"max"}, ".other(Tensor self, Tensor other)", ScalarOp::maximum);
  add({"min"}, ".other(Tensor self, Tensor other)", ScalarOp::minimum);
  add({"fmax"}, kDefaultTail, ScalarOp::fmax);
  add({"fmin"}, kDefaultTail, ScalarOp::fmin);
  add_pointwise_rows(r, {"aten::heaviside(Tensor self, Tensor values)"}, {"self", "values"}, Typing::common,
                     [](Context&, Terms x) { return equal(x[0], 0).pick(x[1], (x[0] > 0).pick(x[0].of(1), x[0].of(0))); });
}

}  // namespace

void add_comparison_and_bits(Registry& r) {
  add_relations(r);
  add_logic(r);
  add_bits(r);
  add_classes(r);
  add_tests(r);
  add_choices(r);
}

}  // namespace reprise::ops
