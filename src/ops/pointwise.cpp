// Functions of one number, and special functions.
#include <cmath>
#include <numbers>

#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using Terms = std::span<const Term>;
using core::ScalarOp;

constexpr double kPi = std::numbers::pi;

struct Function {
  ScalarOp op;
  std::initializer_list<const char*> names;
};

/// Functions that are one primitive; integers become f32.
void add_real_functions(Registry& r) {
  const Function functions[] = {
      {ScalarOp::sqrt, {"sqrt"}},
      {ScalarOp::rsqrt, {"rsqrt"}},
      {ScalarOp::exp, {"exp"}},
      {ScalarOp::exp2, {"exp2", "special_exp2"}},
      {ScalarOp::expm1, {"expm1", "special_expm1"}},
      {ScalarOp::log, {"log"}},
      {ScalarOp::log2, {"log2"}},
      {ScalarOp::log10, {"log10"}},
      {ScalarOp::log1p, {"log1p", "special_log1p"}},
      {ScalarOp::sin, {"sin"}},
      {ScalarOp::cos, {"cos"}},
      {ScalarOp::tan, {"tan"}},
      {ScalarOp::asin, {"asin", "arcsin"}},
      {ScalarOp::acos, {"acos", "arccos"}},
      {ScalarOp::atan, {"atan", "arctan"}},
      {ScalarOp::sinh, {"sinh"}},
      {ScalarOp::cosh, {"cosh"}},
      {ScalarOp::tanh, {"tanh"}},
      {ScalarOp::asinh, {"asinh", "arcsinh"}},
      {ScalarOp::acosh, {"acosh", "arccosh"}},
      {ScalarOp::atanh, {"atanh", "arctanh"}},
      {ScalarOp::erf, {"erf", "special_erf"}},
      {ScalarOp::erfc, {"erfc", "special_erfc"}},
      {ScalarOp::erfcx, {"special_erfcx"}},
      {ScalarOp::erfinv, {"erfinv", "special_erfinv"}},
      {ScalarOp::lgamma, {"lgamma", "special_gammaln"}},
      {ScalarOp::digamma, {"digamma", "special_digamma", "special_psi"}},
      {ScalarOp::i0, {"i0", "special_i0"}},
      {ScalarOp::i0e, {"special_i0e"}},
      {ScalarOp::i1, {"special_i1"}},
      {ScalarOp::i1e, {"special_i1e"}},
      {ScalarOp::ndtri, {"special_ndtri"}},
      {ScalarOp::log_ndtr, {"special_log_ndtr"}},
      {ScalarOp::reciprocal, {"reciprocal"}},
      {ScalarOp::sigmoid, {"sigmoid", "special_expit"}},
  };
  for (const auto& [op, names] : functions) add_unary_rows(r, names, Typing::real, [op = op](Context&, Terms x) { return x[0].apply(op); });
}

/// Functions that keep integers.
void add_kept_functions(Registry& r) {
  const auto add = [&](std::initializer_list<const char*> names, ScalarOp op) {
    add_unary_rows(r, names, Typing::common, [op](Context&, Terms x) { return x[0].apply(op); });
  };
  add({"neg", "negative"}, ScalarOp::neg);
  add({"abs", "absolute"}, ScalarOp::abs);
  add({"sign", "sgn"}, ScalarOp::sign);
  const auto add_rounding = [&](std::initializer_list<const char*> names, ScalarOp op) {
    add_unary_rows(r, names, Typing::common, [op](Context&, Terms x) { return is_floating(x[0].type()) ? x[0].apply(op) : x[0]; });
  };
  add_rounding({"floor"}, ScalarOp::floor);
  add_rounding({"ceil"}, ScalarOp::ceil);
  add_rounding({"trunc", "fix"}, ScalarOp::trunc);
  add_rounding({"round"}, ScalarOp::round);
  add_unary_rows(r, {"frac"}, Typing::common, [](Context&, Terms x) { return x[0] - x[0].apply(ScalarOp::trunc); });
  for (const char* name : {"positive", "real", "conj", "_conj", "resolve_conj", "resolve_neg"})
    add_rows(r, schemas({name}, {"(Tensor self)"}), [](Context& c) { c.set(0, c.tensor("self")); });
  add_rows(r, schemas({"conj_physical", "_conj_physical"}, {"(Tensor self)"}), [](Context& c) { c.set(0, c.build().copy(c.tensor("self"))); });
  // A square is a power of the integer 2, which makes an integer of a boolean.
  add_rows(r, schemas({"square"}, {"(Tensor self)"}), [](Context& c) {
    const Input inputs[] = {input(c, "self"), {.tensor = {}, .number = {Number::Kind::integer, 2}}};
    c.set(0, pointwise(c, inputs, Typing::common, [](Context&, Terms x) { return x[0] * x[0]; }));
  });
}

Term round_decimals(Context& c, Terms in) {
  const auto decimals = c.fixed("decimals");
  const Term x = in[0];
  if (!is_floating(x.type())) return x;
  const double scale = std::pow(10.0, std::abs(static_cast<double>(decimals)));
  if (decimals == 0) return x.apply(ScalarOp::round);
  return decimals > 0 ? (x * scale).apply(ScalarOp::round) / scale : (x / scale).apply(ScalarOp::round) * scale;
}

Term logit(Context& c, Terms in) {
  Term x = in[0];
  if (!c.is_none("eps")) {
    const double low = c.real("eps"), high = 1 - low;
    x = (x < low).pick(x.of(low), (x > high).pick(x.of(high), x));
  }
  return log(x / (1 - x));
}

Term sinc(Context&, Terms in) {
  const Term angle = in[0] * kPi;
  return equal(in[0], 0).pick(in[0].of(1), angle.apply(ScalarOp::sin) / angle);
}

Term entropy(Context&, Terms in) {
  const Term x = in[0], inside = (x > 0).pick(-x * log(x), equal(x, 0).pick(x.of(0), x.of(-INFINITY)));
  return is_nan(x).pick(x, inside);
}

Term normal_distribution(Context&, Terms in) {
  const Term t = in[0] * (1 / std::numbers::sqrt2);
  return (t < -1).pick((-t).apply(ScalarOp::erfc) * 0.5, (t.apply(ScalarOp::erf) + 1) * 0.5);
}

/// (-1)^(n+1) n! zeta(n + 1, x) for n > 0.
Term polygamma(Context& c, Terms in) {
  const auto n = static_cast<double>(c.fixed("n"));
  if (n == 0) return in[0].apply(ScalarOp::digamma);
  const double factor = std::exp(std::lgamma(n + 1)) * (std::fmod(n, 2) == 0 ? -1 : 1);
  return in[0].of(n + 1).apply(ScalarOp::zeta, in[0]) * factor;
}

Term multivariate_log_gamma(Context& c, Terms in) {
  const auto p = c.fixed("p");
  Term sum = in[0].of(static_cast<double>(p * (p - 1)) / 4 * std::log(kPi));
  for (std::int64_t j = 1; j <= p; ++j) sum = sum + (in[0] + (1 - static_cast<double>(j)) / 2).apply(ScalarOp::lgamma);
  return sum;
}

/// Largest finite value of a real type.
double largest(DType t) {
  if (t == DType::f16) return 65504;
  if (t == DType::bf16) return 0x1.fep127;
  return t == DType::f32 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023;
}

void convert_nan_to_num(Context& c) {
  const Val self = c.tensor("self");
  if (!is_floating(self.dtype())) return c.set(0, c.build().copy(self));
  const double top = largest(self.dtype());
  const auto given = [&](const char* name, double fallback) { return c.is_none(name) ? fallback : c.real(name); };
  const double nan = given("nan", 0), positive = given("posinf", top), negative = given("neginf", -top);
  c.set(0, pointwise(c, {"self"}, Typing::common, [=](Context&, Terms x) {
          const Term finite = x[0].apply(ScalarOp::is_inf).pick((x[0] > 0).pick(x[0].of(positive), x[0].of(negative)), x[0]);
          return is_nan(x[0]).pick(x[0].of(nan), finite);
        }));
}

void add_special_functions(Registry& r) {
  add_pointwise_rows(r, {"aten::round.decimals(Tensor self, *, int decimals)"}, {"self"}, Typing::common, round_decimals);
  add_pointwise_rows(r, {"aten::special_round(Tensor self, *, int decimals=0)"}, {"self"}, Typing::common, round_decimals);
  add_pointwise_rows(r, schemas({"logit", "special_logit"}, {"(Tensor self, float? eps=None)"}), {"self"}, Typing::real, logit);
  add_unary_rows(r, {"sinc", "special_sinc"}, Typing::real, sinc);
  add_unary_rows(r, {"special_entr"}, Typing::real, entropy);
  add_unary_rows(r, {"special_ndtr"}, Typing::real, normal_distribution);
  add_unary_rows(r, {"deg2rad"}, Typing::real, [](Context&, Terms x) { return x[0] * (kPi / 180); });
  add_unary_rows(r, {"rad2deg"}, Typing::real, [](Context&, Terms x) { return x[0] * (180 / kPi); });
  add_unary_rows(r, {"angle"}, Typing::real, [](Context&, Terms x) { return is_nan(x[0]).pick(x[0], (x[0] < 0).pick(x[0].of(kPi), x[0].of(0))); });
  add_pointwise_rows(r, schemas({"polygamma", "special_polygamma"}, {"(int n, Tensor self)"}), {"self"}, Typing::real, polygamma);
  add_pointwise_rows(r, schemas({"mvlgamma", "special_multigammaln"}, {"(Tensor self, int p)"}), {"self"}, Typing::real, multivariate_log_gamma);
  add_rows(r, {"aten::nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None)"}, convert_nan_to_num);
}

}  // namespace

void add_pointwise(Registry& r) {
  add_real_functions(r);
  add_kept_functions(r);
  add_special_functions(r);
  add_arithmetic(r);
}

}  // namespace reprise::ops
