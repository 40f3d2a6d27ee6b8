// Arithmetic of two and three operands.
#include <cmath>

#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using Terms = std::span<const Term>;

// Overloads of an op of two operands.

/// x times a number argument, which is rarely anything but 1.
Term scaled(Context& c, Term x, std::string_view by = "alpha") {
  const Number factor = c.scalar(by);
  return constant(factor) == 1 ? x : x.of(factor.value) * x;
}

void add_sums(Registry& r) {
  const std::initializer_list<const char*> tails = {".Tensor(Tensor self, Tensor other, *, Scalar alpha=1)",
                                                    ".Scalar(Tensor self, Scalar other, Scalar alpha=1)"};
  const std::vector<std::string> operands = {"self", "other"};
  add_pointwise_rows(r, schemas({"add"}, tails), operands, Typing::common, [](Context& c, Terms x) { return x[0] + scaled(c, x[1]); });
  add_pointwise_rows(r, schemas({"sub", "subtract"}, tails), operands, Typing::common, [](Context& c, Terms x) { return x[0] - scaled(c, x[1]); });
  add_pointwise_rows(r, schemas({"rsub"}, tails), operands, Typing::common, [](Context& c, Terms x) { return x[1] - scaled(c, x[0]); });
  add_pointwise_rows(r, schemas({"mul", "multiply"}, {kTensorTail, kScalarTail}), operands, Typing::common, body_of(ScalarOp::mul));
}

/// With a rounding mode the result keeps integers; without one it is real.
void convert_div_mode(Context& c) {
  const std::string mode = c.is_none("rounding_mode") ? "" : c.text("rounding_mode");
  c.set(0, pointwise(c, {"self", "other"}, mode.empty() ? Typing::real : Typing::common, [&](Context&, Terms x) {
          if (mode.empty()) return x[0] / x[1];
          if (mode == "floor") return x[0].apply(ScalarOp::floor_div, x[1]);
          return is_floating(x[0].type()) ? (x[0] / x[1]).apply(ScalarOp::trunc) : x[0].apply(ScalarOp::trunc_div, x[1]);
        }));
}

void add_quotients(Registry& r) {
  const std::vector<std::string> operands = {"self", "other"};
  add_pointwise_rows(r, schemas({"div", "divide", "true_divide"}, {kTensorTail, kScalarTail}), operands, Typing::real, body_of(ScalarOp::div));
  add_rows(r,
           schemas({"div", "divide"},
                   {".Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode)", ".Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode)"}),
           convert_div_mode);
  add_pointwise_rows(r, schemas({"floor_divide"}, {kDefaultTail, kScalarTail}), operands, Typing::common, body_of(ScalarOp::floor_div));
  add_pointwise_rows(r, schemas({"remainder"}, {kTensorTail, kScalarTail, ".Scalar_Tensor(Scalar self, Tensor other)"}), operands, Typing::common,
                     body_of(ScalarOp::remainder));
  add_pointwise_rows(r, schemas({"fmod"}, {kTensorTail, kScalarTail}), operands, Typing::common, body_of(ScalarOp::fmod));
}

/// PyTorch computes small powers as products, which also decides the sign of what a square root of -inf gives.
Term power(Term x, const Number& exponent) {
  const auto e = constant(exponent);
  if (e == 0) return x.of(1);
  if (e == 1) return x;
  if (e == 2) return x * x;
  if (e == 3) return x * x * x;
  if (is_floating(x.type())) {
    if (e == 0.5) return sqrt(x);
    if (e == -0.5) return rsqrt(x);
    if (e == -1) return 1 / x;
    if (e == -2) return 1 / (x * x);
  }
  return x.apply(ScalarOp::pow, x.of(exponent.value));
}

Term power_of_operands(Context& c, Terms x) { return c.is_tensor("exponent") ? x[0].apply(ScalarOp::pow, x[1]) : power(x[0], c.scalar("exponent")); }

/// Everything in f64.
Val float_power(Context& c) {
  const Input inputs[] = {input(c, "self"), input(c, "exponent")};
  return pointwise(c, inputs, DType::f64, DType::f64, power_of_operands);
}

/// self * 2^other, where an integer `other` gives its power in f32.
Val ldexp(Context& c) {
  const Val other = c.tensor("other");
  const Input inputs[] = {input(c, "self"), {.tensor = c.build().cast(other, to_float(other.dtype()))}};
  return pointwise(c, inputs, Typing::real, [](Context&, Terms x) { return x[0] * x[1].apply(ScalarOp::exp2); });
}

void add_powers(Registry& r) {
  const std::initializer_list<const char*> forms = {".Tensor_Scalar(Tensor self, Scalar exponent)", ".Tensor_Tensor(Tensor self, Tensor exponent)",
                                                    ".Scalar(Scalar self, Tensor exponent)"};
  const std::initializer_list<const char*> in_place = {".Scalar(Tensor self, Scalar exponent)", ".Tensor(Tensor self, Tensor exponent)"};
  add_pointwise_rows(r, schemas({"pow"}, forms), {"self", "exponent"}, Typing::common, power_of_operands);
  add_rows(r, schemas({"float_power"}, forms), [](Context& c) { c.set(0, float_power(c)); });
  add_rows(r, schemas({"float_power_"}, in_place), [](Context& c) {
    c.build().write(c.tensor("self"), float_power(c));
    c.set(0, c.tensor("self"));
  });
  add_rows(r, {"aten::ldexp.Tensor(Tensor self, Tensor other)"}, [](Context& c) { c.set(0, ldexp(c)); });
  add_rows(r, {"aten::ldexp_(Tensor self, Tensor other)"}, [](Context& c) {
    c.build().write(c.tensor("self"), ldexp(c));
    c.set(0, c.tensor("self"));
  });
}

Term log_add_exp(Terms x, ScalarOp exponential, const std::function<Term(Term)>& log_plus_one) {
  const Term m = max(x[0], x[1]), sum = m + log_plus_one((-abs(x[0] - x[1])).apply(exponential));
  return (equal(x[0], x[1]) && x[0].apply(ScalarOp::is_inf)).pick(x[0], sum);
}

/// x * log(y), 0 where x is 0 and y is a number.
Body x_log(ScalarOp logarithm) {
  return [logarithm](Context&, Terms x) { return is_nan(x[1]).pick(x[1], equal(x[0], 0).pick(x[0].of(0), x[0] * x[1].apply(logarithm))); };
}

void add_logarithms(Registry& r) {
  const std::vector<std::string> operands = {"self", "other"};
  add_pointwise_rows(r, schemas({"logaddexp"}, {kDefaultTail}), operands, Typing::real,
                     [](Context&, Terms x) { return log_add_exp(x, ScalarOp::exp, [](Term t) { return t.apply(ScalarOp::log1p); }); });
  add_pointwise_rows(r, schemas({"logaddexp2"}, {kDefaultTail}), operands, Typing::real,
                     [](Context&, Terms x) { return log_add_exp(x, ScalarOp::exp2, [](Term t) { return (t + 1).apply(ScalarOp::log2); }); });
  const char *other_scalar = ".other_scalar(Tensor self, Scalar other)", *self_scalar = ".self_scalar(Scalar self, Tensor other)";
  add_pointwise_rows(r, schemas({"xlogy"}, {kTensorTail, ".Scalar_Self(Scalar self, Tensor other)", ".Scalar_Other(Tensor self, Scalar other)"}), operands,
                     Typing::real, x_log(ScalarOp::log));
  add_pointwise_rows(r, schemas({"special_xlogy"}, {kDefaultTail, other_scalar, self_scalar}), operands, Typing::real, x_log(ScalarOp::log));
  add_pointwise_rows(r, schemas({"special_xlog1py"}, {kDefaultTail, other_scalar, self_scalar}), operands, Typing::real, x_log(ScalarOp::log1p));
  add_pointwise_rows(r, schemas({"special_zeta"}, {kDefaultTail, other_scalar, self_scalar}), operands, Typing::real, body_of(ScalarOp::zeta));
  add_pointwise_rows(r, schemas({"igamma", "special_gammainc"}, {kDefaultTail}), operands, Typing::real, body_of(ScalarOp::igamma));
  add_pointwise_rows(r, schemas({"igammac", "special_gammaincc"}, {kDefaultTail}), operands, Typing::real, body_of(ScalarOp::igammac));
}

void add_pairs(Registry& r) {
  const std::vector<std::string> operands = {"self", "other"};
  add_pointwise_rows(r, schemas({"atan2", "arctan2"}, {kDefaultTail}), operands, Typing::real, body_of(ScalarOp::atan2));
  add_pointwise_rows(r, schemas({"copysign"}, {kTensorTail, kScalarTail}), operands, Typing::real, body_of(ScalarOp::copysign));
  add_pointwise_rows(r, schemas({"hypot"}, {kDefaultTail}), operands, Typing::common, body_of(ScalarOp::hypot));
  add_pointwise_rows(r, schemas({"nextafter"}, {kDefaultTail}), operands, Typing::common, body_of(ScalarOp::nextafter));
  add_pointwise_rows(r, schemas({"gcd"}, {kDefaultTail}), operands, Typing::common, body_of(ScalarOp::gcd));
  add_pointwise_rows(r, schemas({"lcm"}, {kDefaultTail}), operands, Typing::common, [](Context&, Terms x) {
    const Term g = x[0].apply(ScalarOp::gcd, x[1]), divisor = equal(g, 0).pick(g.of(1), g);
    return abs(x[0].apply(ScalarOp::trunc_div, divisor) * x[1]);
  });
}

Term lerp(Context&, Terms x) {
  const Term start = x[0], end = x[1], weight = x[2], span = end - start;
  return (abs(weight) < 0.5).pick(start + weight * span, end - span * (1 - weight));
}

void add_triples(Registry& r) {
  const std::vector<std::string> operands = {"self", "tensor1", "tensor2"};
  const char* tail = "(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1)";
  add_pointwise_rows(r, schemas({"addcmul"}, {tail}), operands, Typing::common, [](Context& c, Terms x) { return x[0] + scaled(c, x[1], "value") * x[2]; });
  add_pointwise_rows(r, schemas({"addcdiv"}, {tail}), operands, Typing::real, [](Context& c, Terms x) { return x[0] + scaled(c, x[1], "value") / x[2]; });
  add_pointwise_rows(r, schemas({"lerp"}, {".Scalar(Tensor self, Tensor end, Scalar weight)", ".Tensor(Tensor self, Tensor end, Tensor weight)"}),
                     {"self", "end", "weight"}, Typing::common, lerp);
}

}  // namespace

void add_arithmetic(Registry& r) {
  add_sums(r);
  add_quotients(r);
  add_powers(r);
  add_logarithms(r);
  add_pairs(r);
  add_triples(r);
}

}  // namespace reprise::ops
