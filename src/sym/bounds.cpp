// Interval arithmetic. INT64_MIN and kUnbounded stand for the infinities.
#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "sym/evaluate.h"
#include "sym/node.h"

namespace reprise::sym {
namespace {

using Wide = __int128;
constexpr std::int64_t kMinusInfinity = INT64_MIN;
constexpr Range kAll{kMinusInfinity, kUnbounded};

std::int64_t saturate(Wide v) { return static_cast<std::int64_t>(std::clamp<Wide>(v, kMinusInfinity, kUnbounded)); }
bool infinite(std::int64_t v) { return v == kMinusInfinity || v == kUnbounded; }

std::int64_t add(std::int64_t a, std::int64_t b) { return infinite(a) ? a : infinite(b) ? b : saturate(Wide{a} + b); }

std::int64_t mul(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return 0;
  if (infinite(a) || infinite(b)) return (a < 0) == (b < 0) ? kUnbounded : kMinusInfinity;
  return saturate(Wide{a} * b);
}

Range hull(std::initializer_list<std::int64_t> values) { return {std::min(values), std::max(values)}; }
Range hull(Range a, Range b) { return {std::min(a.min, b.min), std::max(a.max, b.max)}; }

Range add(Range a, Range b) { return {add(a.min, b.min), add(a.max, b.max)}; }
Range mul(Range a, Range b) { return hull({mul(a.min, b.min), mul(a.min, b.max), mul(a.max, b.min), mul(a.max, b.max)}); }
Range negate(Range a) { return {mul(a.max, -1), mul(a.min, -1)}; }

/// a / b toward minus infinity (up: toward plus infinity); b != 0.
std::int64_t quotient(std::int64_t a, std::int64_t b, bool up) {
  if (infinite(a)) return (a < 0) == (b < 0) ? kUnbounded : kMinusInfinity;
  const bool negative = a != 0 && (a < 0) != (b < 0);
  if (infinite(b)) return a == 0 ? 0 : negative ? (up ? 0 : -1) : (up ? 1 : 0);
  const Wide q = Wide{a} / b;
  const bool inexact = Wide{a} % b != 0;
  return saturate(q + (inexact && up && !negative) - (inexact && !up && negative));
}

/// Encloses a / b; `up` widens the upper end to an integer, as a real quotient needs.
Range divide(Range a, Range b, bool up) {
  if (b.min == 0) b.min = 1;
  if (b.max == 0) b.max = -1;
  if (b.min > b.max) return kAll;
  if (b.min < 0 && b.max > 0) return hull(a, negate(a));
  const auto lower = [&](std::int64_t x, std::int64_t y) { return quotient(x, y, false); };
  const auto upper = [&](std::int64_t x, std::int64_t y) { return quotient(x, y, up); };
  return {std::min({lower(a.min, b.min), lower(a.min, b.max), lower(a.max, b.min), lower(a.max, b.max)}),
          std::max({upper(a.min, b.min), upper(a.min, b.max), upper(a.max, b.min), upper(a.max, b.max)})};
}

Range modulo(Range a, Range b) {
  if (b.min < 0 && b.max <= 0) return negate(modulo(negate(a), negate(b)));
  if (b.min < 0) return {add(b.min, 1), add(b.max, -1)};
  if (a.min >= 0 && a.max < b.min) return a;
  const std::int64_t largest = add(b.max, -1);
  return {0, a.min >= 0 ? std::min(a.max, largest) : largest};
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < std::min<std::int64_t>(exponent, 64); ++i) result = mul(result, base);
  return base > 1 && exponent > 64 ? kUnbounded : result;
}

Range power(Range base, Range exponent) {
  if (base.min < 0 || exponent.min < 0) return kAll;
  return {base.min >= 1 ? power(base.min, exponent.min) : 0, power(std::max<std::int64_t>(base.max, 1), exponent.max)};
}

Range enclose(double low, double high) {
  const auto to_integer = [](double v) { return v >= 0x1p63 ? kUnbounded : v < -0x1p63 ? kMinusInfinity : static_cast<std::int64_t>(v); };
  if (std::isnan(low) || std::isnan(high)) return kAll;
  return {to_integer(std::floor(low)), to_integer(std::ceil(high))};
}

Range square_root(Range a) {
  const Range r = enclose(std::sqrt(static_cast<double>(std::max<std::int64_t>(a.min, 0))), std::sqrt(static_cast<double>(std::max<std::int64_t>(a.max, 0))));
  return {r.min, a.max == kUnbounded ? kUnbounded : r.max};
}

Range absolute(Range a) {
  if (a.min >= 0) return a;
  const Range negated = negate(a);
  return a.max <= 0 ? negated : Range{0, std::max(a.max, negated.max)};
}

/// [1, 1], [0, 0] or [0, 1].
Range truth(bool always, bool never) { return {always ? 1 : 0, never ? 0 : 1}; }

Range relation(Op op, Range a, Range b) {
  const bool disjoint = a.max < b.min || b.max < a.min;
  const bool same = a.min == a.max && b.min == b.max && a.min == b.min && !infinite(a.min);
  switch (op) {
    case Op::eq:
      return truth(same, disjoint);
    case Op::ne:
      return truth(disjoint, same);
    case Op::lt:
      return truth(a.max < b.min, a.min >= b.max);
    case Op::le:
      return truth(a.max <= b.min, a.min > b.max);
    case Op::gt:
      return relation(Op::lt, b, a);
    default:
      return relation(Op::le, b, a);
  }
}

class Bounds {
 public:
  explicit Bounds(const SymbolTable& symbols) : symbols_(symbols) {}

  Range of(const Expr& e) {
    if (e.is_int()) return {*e.as_int(), *e.as_int()};
    if (e.op() == Op::real) return enclose(e.real_value(), e.real_value());
    if (e.op() == Op::symbol) {
      const int index = symbols_.find(e.symbol_name());
      return index < 0 ? kAll : symbols_.at(index).range;
    }
    const auto known = done_.find(e);
    if (known != done_.end()) return known->second;
    const Range r = compound(e);
    done_.emplace(e, r);
    return r;
  }

 private:
  Range compound(const Expr& e) {
    const auto v = e.operands();
    if (is_n_ary(e.op())) return n_ary(e.op(), v);
    const Range a = of(v[0]);
    if (e.op() >= Op::eq && e.op() <= Op::ge) return e.operands()[0].is_real() || v[1].is_real() ? Range{0, 1} : relation(e.op(), a, of(v[1]));
    switch (e.op()) {
      case Op::pow:
        return power(a, of(v[1]));
      case Op::floor_div:
        return divide(a, of(v[1]), e.is_real());
      case Op::true_div:
        return divide(a, of(v[1]), true);
      case Op::mod:
        return e.is_real() ? kAll : modulo(a, of(v[1]));
      case Op::logical_not:
        return a.min == 1 ? Range{0, 0} : a.max == 0 && a.min == 0 ? Range{1, 1} : Range{0, 1};
      case Op::where:
        return choice(a, v);
      case Op::sqrt:
        return square_root(a);
      case Op::abs:
        return absolute(a);
      default:
        return a;  // rounding: the enclosing integers hold
    }
  }

  Range n_ary(Op op, std::span<const Expr> v) {
    Range r = of(v[0]);
    for (const Expr& e : v.subspan(1)) {
      const Range x = of(e);
      switch (op) {
        case Op::add:
          r = add(r, x);
          break;
        case Op::mul:
          r = mul(r, x);
          break;
        case Op::min:
        case Op::logical_and:
          r = {std::min(r.min, x.min), std::min(r.max, x.max)};
          break;
        default:
          r = {std::max(r.min, x.min), std::max(r.max, x.max)};
          break;
      }
    }
    return r;
  }

  Range choice(Range condition, std::span<const Expr> v) {
    if (condition.min > 0 || condition.max < 0) return of(v[1]);
    if (condition.min == 0 && condition.max == 0) return of(v[2]);
    return hull(of(v[1]), of(v[2]));
  }

  const SymbolTable& symbols_;
  std::unordered_map<Expr, Range, ExprHash> done_;  // holds what it names, also temporaries
};

bool provably_ge(const Expr& a, const Expr& b, Bounds& bounds) {
  const auto for_operands = [&](const Expr& of, auto&& holds, bool all) {
    const auto v = of.operands();
    return all ? std::all_of(v.begin(), v.end(), holds) : std::any_of(v.begin(), v.end(), holds);
  };
  if (a.is_real() || b.is_real()) return false;
  if (bounds.of(a - b).min >= 0) return true;
  if (a.op() == Op::max || a.op() == Op::min) {
    if (for_operands(
            a, [&](const Expr& x) { return provably_ge(x, b, bounds); }, a.op() == Op::min))
      return true;
  }
  if (b.op() != Op::max && b.op() != Op::min) return false;
  return for_operands(
      b, [&](const Expr& x) { return provably_ge(a, x, bounds); }, b.op() == Op::max);
}

class Simplifier {
 public:
  explicit Simplifier(const SymbolTable& symbols) : bounds_(symbols) {}

  const Expr& of(const Expr& e) {
    if (e.is_int() || e.op() == Op::real) return e;
    const auto known = done_.find(e);
    if (known != done_.end()) return known->second;
    return done_.emplace(e, rewrite(e)).first->second;
  }

 private:
  Expr rewrite(const Expr& e) {
    std::vector<Expr> operands;
    for (const Expr& operand : e.operands()) operands.push_back(of(operand));
    const Expr inner = e.is_symbol() || equal(operands, e.operands()) ? e : Expr::make(e.op(), operands);
    if (inner.is_real()) return inner;
    const Range r = bounds_.of(inner);
    if (r.min == r.max && !infinite(r.min)) return r.min;
    if (inner.op() == Op::min || inner.op() == Op::max) return extremum(inner);
    return inner;
  }

  Expr extremum(const Expr& e) {
    std::vector<Expr> kept(e.operands().begin(), e.operands().end());
    const auto beats = [&](const Expr& a, const Expr& b) { return e.op() == Op::max ? provably_ge(a, b, bounds_) : provably_ge(b, a, bounds_); };
    for (std::size_t i = 0; i < kept.size();) {
      bool beaten = false;
      for (std::size_t j = 0; j < kept.size() && !beaten; ++j) beaten = j != i && beats(kept[j], kept[i]);
      if (beaten) {
        kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    return kept.size() == e.operands().size() ? e : Expr::make(e.op(), kept);
  }

  Bounds bounds_;
  std::unordered_map<Expr, Expr, ExprHash> done_;
};

}  // namespace

Range bounds(const Expr& e, const SymbolTable& symbols) { return Bounds(symbols).of(e); }

bool provably_ge(const Expr& a, const Expr& b, const SymbolTable& symbols) {
  Bounds bounds(symbols);
  return provably_ge(a, b, bounds);
}

Expr simplify(const Expr& e, const SymbolTable& symbols) { return Simplifier(symbols).of(e); }

}  // namespace reprise::sym
