// Expr::make: the canonical form of every operation.
//
// Sums and products are polynomials (polynomial.h). Quotients and remainders lose what divides exactly, common factors and, for a constant divisor,
// the sign and the whole part of the constant: (s0 - 1)//2 is (s0 + 1)//2 - 1. An expression whose coefficients leave 64 bits stays as it was given,
// and so does what has no value, like 1//0.
#include <algorithm>
#include <array>
#include <numeric>

#include "base/check.h"
#include "sym/node.h"
#include "sym/polynomial.h"

namespace reprise::sym {
namespace {

constexpr std::size_t kMaxPairwise = 16;  // operands of min and max that are compared with each other
constexpr std::int64_t kMaxPower = 64;

Expr node(Op op, Expr a) { return raw_node(op, {std::move(a)}); }
Expr node(Op op, Expr a, Expr b) { return raw_node(op, {std::move(a), std::move(b)}); }

bool any_real(std::span<const Expr> operands) {
  return std::any_of(operands.begin(), operands.end(), [](const Expr& e) { return e.is_real(); });
}

std::optional<Expr> fold_constants(Op op, std::span<const Expr> operands) {
  std::vector<Number> values;
  for (const Expr& e : operands) {
    const auto value = constant_value(e);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  Number out;
  if (apply(op, values, out)) return std::nullopt;
  return constant(out);
}

/// a - b where that is a constant.
std::optional<std::int64_t> constant_difference(const Expr& a, const Expr& b) {
  if (a.is_real() || b.is_real()) return std::nullopt;
  return (a - b).as_int();
}

// ---- sums, products, powers

Expr make_sum(std::span<const Expr> operands) {
  if (operands.size() == 1) return operands[0];
  return any_real(operands) ? raw_node(Op::add, {operands.begin(), operands.end()}) : from_polynomial(sum(operands));
}

Expr make_product(std::span<const Expr> operands) {
  if (operands.size() == 1) return operands[0];
  return any_real(operands) ? raw_node(Op::mul, {operands.begin(), operands.end()}) : from_polynomial(multiply(operands));
}

Expr make_power(const Expr& base, const Expr& exponent) {
  const auto k = exponent.as_int();
  if (base.is_real() || !k || *k < 0 || *k > kMaxPower) return node(Op::pow, base, exponent);
  if (*k == 0) return 1;
  const std::vector<Expr> factors(static_cast<std::size_t>(*k), base);
  const Expr power = from_polynomial(multiply(factors));
  const bool compound = base.op() == Op::add || base.op() == Op::mul;
  const bool too_large = compound && power.op() == Op::mul && power.operands()[0] == base;  // not multiplied out
  return too_large ? node(Op::pow, base, exponent) : power;
}

// ---- quotients and remainders

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/// Throws where plain negation would keep the sign outside and the rules would go round in circles.
Expr negated(Polynomial p) {
  for (Term& term : p) term.coefficient = checked_negate(term.coefficient);
  return rebuild(p);
}

/// For b > 0.
std::int64_t floor_remainder(std::int64_t a, std::int64_t b) { return a % b + (a % b < 0 ? b : 0); }

/// Takes the multiples of b out of a; for a constant b > 0 also out of the constant term, which then lies in [0, b).
Division reduce(const Polynomial& a, const Polynomial& b) {
  Division out = divide(a, b);
  const std::int64_t c = constant_term(out.remainder);
  if (!is_constant(b) || c == 0) return out;
  const std::int64_t whole = floor_quotient(c, b[0].coefficient);
  const std::int64_t rest = floor_remainder(c, b[0].coefficient);
  out.remainder.pop_back();
  if (rest != 0) out.remainder.push_back({rest, {}});
  if (whole != 0) out.quotient = to_polynomial(from_polynomial(out.quotient) + whole);
  return out;
}

std::int64_t gcd_of_variables(const Polynomial& p, std::int64_t start) {
  std::int64_t g = start;
  for (const Term& term : p) {
    if (term.coefficient == INT64_MIN) throw PolynomialOverflow{};  // has no absolute value
    if (!term.atoms.empty()) g = std::gcd(g, term.coefficient);
  }
  return g;
}

std::vector<Expr> common_atoms(const Polynomial& p, std::vector<Expr> common) {
  const auto less = [](const Expr& a, const Expr& b) { return a.compare(b) < 0; };
  for (const Term& term : p) {
    std::vector<Expr> both;
    std::set_intersection(common.begin(), common.end(), term.atoms.begin(), term.atoms.end(), std::back_inserter(both), less);
    common = std::move(both);
  }
  return common;
}

/// Divides every term by g and the atoms, which it must hold; a constant rounds down.
Polynomial cancel(const Polynomial& p, std::int64_t g, const std::vector<Expr>& atoms) {
  const auto less = [](const Expr& a, const Expr& b) { return a.compare(b) < 0; };
  Polynomial out;
  for (const Term& term : p) {
    Term t{floor_quotient(term.coefficient, g), {}};
    std::set_difference(term.atoms.begin(), term.atoms.end(), atoms.begin(), atoms.end(), std::back_inserter(t.atoms), less);
    if (t.coefficient != 0) out.push_back(std::move(t));
  }
  return out;
}

/// (x//m + c)//d = (x + c*m)//(m*d) for constants m, d > 0.
std::optional<Expr> merge_nested(const Polynomial& a, std::int64_t d) {
  if (a.empty() || a[0].coefficient != 1 || a[0].atoms.size() != 1 || a.size() > 2 || (a.size() == 2 && !a[1].atoms.empty())) return std::nullopt;
  const Expr& inner = a[0].atoms[0];
  if (inner.op() != Op::floor_div || inner.is_real()) return std::nullopt;
  const auto m = inner.operands()[1].as_int();
  std::int64_t divisor = 0, shift = 0;
  if (!m || *m <= 0 || __builtin_mul_overflow(*m, d, &divisor) || __builtin_mul_overflow(*m, constant_term(a), &shift)) return std::nullopt;
  return floor_div(inner.operands()[0] + shift, divisor);
}

/// r//b where b has one term and divides none of r.
Expr proper_quotient(const Polynomial& r, const Polynomial& b) {
  if (r.empty()) return 0;
  // A constant that stays behind may round only when the divisor has no variables; otherwise it takes part in the common divisor.
  std::int64_t g = gcd_of_variables(r, b[0].coefficient);
  if (!is_constant(b)) g = std::gcd(g, constant_term(r));
  const std::vector<Expr> atoms = common_atoms(r, b[0].atoms);
  if (g != 1 || !atoms.empty()) return floor_div(rebuild(cancel(r, g, atoms)), rebuild(cancel(b, g, atoms)));
  if (!is_constant(b)) return node(Op::floor_div, rebuild(r), rebuild(b));
  const std::int64_t d = b[0].coefficient;
  if (r[0].coefficient < 0) return -floor_div(negated(r) + (d - 1), d);
  if (auto merged = merge_nested(r, d)) return *merged;
  return node(Op::floor_div, rebuild(r), d);
}

Expr make_floor_div(const Expr& a, const Expr& b) {
  if (any_real(std::array{a, b}) || b == 0) return node(Op::floor_div, a, b);
  if (b == 1) return a;
  const Polynomial divisor = to_polynomial(b);
  if (divisor.empty()) return node(Op::floor_div, a, b);
  if (divisor[0].coefficient < 0) return floor_div(negated(to_polynomial(a)), negated(divisor));
  Division d = reduce(to_polynomial(a), divisor);
  // A divisor of several terms is divided out only where nothing stays behind: 1 + 1//(s0 - 1) says less than s0//(s0 - 1).
  if (divisor.size() > 1 && !d.remainder.empty()) {
    d = divide(to_polynomial(a), Polynomial{{1, {b}}});  // as a factor that was too large to multiply out
    if (!d.remainder.empty()) return node(Op::floor_div, a, b);
  }
  return rebuild(d.quotient) + proper_quotient(d.remainder, divisor);
}

Expr make_mod(const Expr& a, const Expr& b) {
  if (any_real(std::array{a, b}) || b == 0) return node(Op::mod, a, b);
  const Polynomial divisor = to_polynomial(b);
  if (divisor.empty()) return node(Op::mod, a, b);
  if (divisor[0].coefficient < 0) return -mod(negated(to_polynomial(a)), negated(divisor));
  Polynomial r = reduce(to_polynomial(a), divisor).remainder;
  if (r.empty()) return 0;
  if (divisor.size() > 1) return node(Op::mod, a, b);
  if (!is_constant(divisor)) return node(Op::mod, rebuild(r), b);
  const std::int64_t d = divisor[0].coefficient;
  if (is_constant(r)) return constant_term(r);
  for (Term& term : r) term.coefficient = floor_remainder(term.coefficient, d);
  const std::int64_t g = std::gcd(gcd_of_variables(r, d), constant_term(r));
  if (g != 1) return mod(rebuild(cancel(r, g, {})), d / g) * g;
  const Expr reduced = rebuild(r);
  return reduced.op() == Op::mod && reduced.operands()[1] == b ? reduced : node(Op::mod, reduced, d);
}

Expr make_true_div(const Expr& a, const Expr& b) {
  if (any_real(std::array{a, b})) return node(Op::true_div, a, b);
  const Polynomial divisor = to_polynomial(b);
  if (divisor.empty()) return node(Op::true_div, a, b);
  const Division d = divide(to_polynomial(a), divisor);
  return d.remainder.empty() ? Expr::make(Op::to_float, std::array{rebuild(d.quotient)}) : node(Op::true_div, a, b);
}

Expr make_rounding(Op op, const Expr& a) {
  if (!a.is_real()) return a;
  if (a.op() == Op::to_float) return a.operands()[0];
  const bool exact = a.op() == Op::true_div && !any_real(a.operands());
  if (exact && op == Op::floor) return floor_div(a.operands()[0], a.operands()[1]);
  if (exact && op == Op::ceil) return ceil_div(a.operands()[0], a.operands()[1]);
  return node(op, a);
}

// ---- min, max, relations, logic

std::vector<Expr> flatten(Op op, std::span<const Expr> operands) {
  std::vector<Expr> flat;
  for (const Expr& e : operands) {
    if (e.op() == op) {
      flat.insert(flat.end(), e.operands().begin(), e.operands().end());
    } else {
      flat.push_back(e);
    }
  }
  std::sort(flat.begin(), flat.end(), [](const Expr& a, const Expr& b) { return a.compare(b) < 0; });
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  return flat;
}

/// Removes operands that another one beats by a constant.
void drop_dominated(Op op, std::vector<Expr>& operands) {
  if (operands.size() > kMaxPairwise) return;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    for (std::size_t j = operands.size(); j-- > i + 1;) {
      const auto difference = constant_difference(operands[j], operands[i]);
      if (!difference) continue;
      const bool takes_its_place = (*difference < 0) == (op == Op::min);
      if (takes_its_place) std::swap(operands[i], operands[j]);
      operands.erase(operands.begin() + static_cast<std::ptrdiff_t>(j));
      if (takes_its_place) j = operands.size();  // and is compared with those before it, too
    }
  }
  std::sort(operands.begin(), operands.end(), [](const Expr& a, const Expr& b) { return a.compare(b) < 0; });
}

Expr make_extremum(Op op, std::span<const Expr> operands) {
  if (any_real(operands)) return operands.size() == 1 ? operands[0] : raw_node(op, {operands.begin(), operands.end()});
  std::vector<Expr> flat = flatten(op, operands);
  // Sorted, so integers stand first, the smallest at the head. Their differences may not fit 64 bits.
  const auto variables = std::find_if(flat.begin(), flat.end(), [](const Expr& e) { return !e.is_int(); });
  if (variables - flat.begin() > 1) flat.erase(op == Op::min ? flat.begin() + 1 : flat.begin(), op == Op::min ? variables : variables - 1);
  drop_dominated(op, flat);
  const Expr neutral = op == Op::min ? INT64_MAX : INT64_MIN;
  if (flat.size() > 1) std::erase(flat, neutral);
  return flat.size() == 1 ? flat[0] : raw_node(op, std::move(flat));
}

Expr make_relation(Op op, const Expr& a, const Expr& b) {
  if (op == Op::gt) return Expr::make(Op::lt, std::array{b, a});
  if (op == Op::ge) return Expr::make(Op::le, std::array{b, a});
  if (const auto difference = constant_difference(a, b)) return *fold_constants(op, std::array<Expr, 2>{*difference, 0});
  const bool symmetric = op == Op::eq || op == Op::ne;
  return symmetric && b.compare(a) < 0 ? node(op, b, a) : node(op, a, b);
}

bool is_logical(const Expr& e) { return e.op() >= Op::eq && e.op() <= Op::logical_not; }

Expr truth_of(const Expr& e) {
  if (e.is_int()) return e == 0 ? 0 : 1;
  return is_logical(e) ? e : Expr::make(Op::ne, std::array<Expr, 2>{e, e.is_real() ? Expr::real(0) : Expr(0)});
}

Expr make_connective(Op op, std::span<const Expr> operands) {
  std::vector<Expr> truths;
  for (const Expr& e : operands) truths.push_back(truth_of(e));
  std::vector<Expr> flat = flatten(op, truths);
  Expr neutral = op == Op::logical_and ? 1 : 0;
  Expr absorbing = 1 - neutral;
  if (std::find(flat.begin(), flat.end(), absorbing) != flat.end()) return absorbing;
  std::erase(flat, neutral);
  if (flat.empty()) return neutral;
  return flat.size() == 1 ? flat[0] : raw_node(op, std::move(flat));
}

Expr make_not(const Expr& a) {
  const auto v = a.operands();
  if (a.op() == Op::eq) return Expr::make(Op::ne, v);
  if (a.op() == Op::ne) return Expr::make(Op::eq, v);
  if (a.op() == Op::logical_not) return truth_of(v[0]);
  const bool orderable = (a.op() == Op::lt || a.op() == Op::le) && !any_real(v);  // NaN has no order
  if (orderable) return Expr::make(a.op() == Op::lt ? Op::le : Op::lt, std::array{v[1], v[0]});
  return node(Op::logical_not, a);
}

Expr make_where(const Expr& condition, const Expr& a, const Expr& b) {
  if (const auto value = constant_value(condition)) return value->as_real() != 0 ? a : b;
  return a == b ? a : raw_node(Op::where, {condition, a, b});
}

Expr make_unary(Op op, const Expr& a) {
  switch (op) {
    case Op::logical_not:
      return make_not(a);
    case Op::to_float:
      return a.is_real() ? a : node(op, a);
    case Op::abs:
      return a.op() == Op::abs ? a : node(op, a);
    case Op::sqrt:
      return node(op, a);
    default:
      return make_rounding(op, a);
  }
}

Expr canonicalize(Op op, std::span<const Expr> v) {
  if (auto folded = fold_constants(op, v)) return *folded;
  switch (op) {
    case Op::add:
      return make_sum(v);
    case Op::mul:
      return make_product(v);
    case Op::pow:
      return make_power(v[0], v[1]);
    case Op::floor_div:
      return make_floor_div(v[0], v[1]);
    case Op::mod:
      return make_mod(v[0], v[1]);
    case Op::true_div:
      return make_true_div(v[0], v[1]);
    case Op::min:
    case Op::max:
      return make_extremum(op, v);
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::gt:
    case Op::ge:
      return make_relation(op, v[0], v[1]);
    case Op::logical_and:
    case Op::logical_or:
      return make_connective(op, v);
    case Op::where:
      return make_where(v[0], v[1], v[2]);
    default:
      return make_unary(op, v[0]);
  }
}

std::size_t arity(Op op) {
  if (op == Op::where) return 3;
  if (op == Op::pow || (op >= Op::floor_div && op <= Op::true_div) || (op >= Op::eq && op <= Op::ge)) return 2;
  return 1;
}

}  // namespace

std::optional<Number> constant_value(const Expr& e) {
  if (e.is_int()) return Number::of(*e.as_int());
  return e.op() == Op::real ? std::optional(Number::of_real(e.real_value())) : std::nullopt;
}

Expr constant(const Number& value) { return value.is_real ? Expr::real(value.real) : Expr(value.integer); }

Expr Expr::make(Op op, std::span<const Expr> operands) {
  REPRISE_CHECK(op > Op::symbol && op <= Op::abs, InvalidArgument, "[sym/make] not an operation with operands (got {})", static_cast<int>(op));
  const bool count_fits = is_n_ary(op) ? !operands.empty() : operands.size() == arity(op);
  REPRISE_CHECK(count_fits, InvalidArgument, "[sym/make] wrong number of operands for operation {} (got {}, want {})", static_cast<int>(op), operands.size(),
                is_n_ary(op) ? 1 : arity(op));
  try {
    return canonicalize(op, operands);
  } catch (const PolynomialOverflow&) {
    return raw_node(op, {operands.begin(), operands.end()});
  }
}

}  // namespace reprise::sym
