// Arithmetic on values, with Python's rules.
#include <algorithm>
#include <cmath>

#include "sym/node.h"

namespace reprise::sym {
namespace {

constexpr const char* kOverflow = "overflow of 64 bits";
constexpr const char* kZeroDivision = "division by zero";
constexpr const char* kDomain = "value outside the function's domain";

bool truth(const Number& x) { return x.is_real ? x.real != 0 : x.integer != 0; }

const char* integer_pow(std::int64_t base, std::int64_t exponent, Number& out) {
  if (exponent < 0) return kDomain;
  std::int64_t result = 1;
  if (base == 0 || base == 1) {
    result = exponent == 0 ? 1 : base;
  } else if (base == -1) {
    result = exponent % 2 == 0 ? 1 : -1;
  } else {
    for (; exponent > 0; --exponent) {
      if (__builtin_mul_overflow(result, base, &result)) return kOverflow;
    }
  }
  out = Number::of(result);
  return nullptr;
}

/// Quotient and remainder rounded toward minus infinity.
const char* integer_divmod(std::int64_t a, std::int64_t b, std::int64_t& quotient, std::int64_t& remainder) {
  if (b == 0) return kZeroDivision;
  if (b == -1) {
    remainder = 0;
    return __builtin_sub_overflow(std::int64_t{0}, a, &quotient) ? kOverflow : nullptr;
  }
  quotient = a / b;
  remainder = a % b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    --quotient;
    remainder += b;
  }
  return nullptr;
}

const char* real_divmod(double a, double b, double& quotient, double& remainder) {
  if (b == 0) return kZeroDivision;
  remainder = std::fmod(a, b);
  double exact = (a - remainder) / b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    remainder += b;
    exact -= 1;
  }
  quotient = std::nearbyint(exact);
  return nullptr;
}

const char* divide(Op op, const Number& a, const Number& b, Number& out) {
  if (op == Op::true_div) {
    if (b.as_real() == 0) return kZeroDivision;
    out = Number::of_real(a.as_real() / b.as_real());
    return nullptr;
  }
  const char* fault = nullptr;
  if (a.is_real || b.is_real) {
    double quotient = 0, remainder = 0;
    fault = real_divmod(a.as_real(), b.as_real(), quotient, remainder);
    out = Number::of_real(op == Op::mod ? remainder : quotient);
  } else {
    std::int64_t quotient = 0, remainder = 0;
    fault = integer_divmod(a.integer, b.integer, quotient, remainder);
    // The remainder of INT64_MIN by -1 is 0 although the quotient does not fit.
    if (op == Op::mod && b.integer != 0) fault = nullptr;
    out = Number::of(op == Op::mod ? remainder : quotient);
  }
  return fault;
}

template <class T>
bool relation(Op op, T a, T b) {
  switch (op) {
    case Op::eq:
      return a == b;
    case Op::ne:
      return a != b;
    case Op::lt:
      return a < b;
    case Op::le:
      return a <= b;
    case Op::gt:
      return a > b;
    default:
      return a >= b;
  }
}

bool relation(Op op, const Number& a, const Number& b) {
  return a.is_real || b.is_real ? relation(op, a.as_real(), b.as_real()) : relation(op, a.integer, b.integer);
}

const char* to_integer(Op op, const Number& a, Number& out) {
  if (!a.is_real) {
    out = a;
    return nullptr;
  }
  const double rounded = op == Op::trunc   ? std::trunc(a.real)
                         : op == Op::floor ? std::floor(a.real)
                         : op == Op::ceil  ? std::ceil(a.real)
                                           : std::nearbyint(a.real);
  if (!(rounded >= -0x1p63 && rounded < 0x1p63)) return kOverflow;
  out = Number::of(static_cast<std::int64_t>(rounded));
  return nullptr;
}

const char* absolute(const Number& a, Number& out) {
  out = a.is_real ? Number::of_real(std::fabs(a.real)) : a;
  if (a.is_real || a.integer >= 0) return nullptr;
  return __builtin_sub_overflow(std::int64_t{0}, a.integer, &out.integer) ? kOverflow : nullptr;
}

}  // namespace

bool is_n_ary(Op op) { return op == Op::add || op == Op::mul || op == Op::min || op == Op::max || op == Op::logical_and || op == Op::logical_or; }

const char* accumulate(Op op, Number& acc, const Number& x) {
  const bool real = acc.is_real || x.is_real;
  switch (op) {
    case Op::add:
      if (real) return acc = Number::of_real(acc.as_real() + x.as_real()), nullptr;
      return __builtin_add_overflow(acc.integer, x.integer, &acc.integer) ? kOverflow : nullptr;
    case Op::mul:
      if (real) return acc = Number::of_real(acc.as_real() * x.as_real()), nullptr;
      return __builtin_mul_overflow(acc.integer, x.integer, &acc.integer) ? kOverflow : nullptr;
    case Op::min:
      if (relation(Op::lt, x, acc)) acc = x;
      return nullptr;
    case Op::max:
      if (relation(Op::gt, x, acc)) acc = x;
      return nullptr;
    case Op::logical_and:
      return acc = Number::of(truth(acc) && truth(x)), nullptr;
    default:
      return acc = Number::of(truth(acc) || truth(x)), nullptr;
  }
}

const char* apply(Op op, std::span<const Number> v, Number& out) {
  if (is_n_ary(op)) {
    Number acc = v[0];
    if (op == Op::logical_and || op == Op::logical_or) acc = Number::of(truth(acc));
    for (const Number& x : v.subspan(1)) {
      if (const char* fault = accumulate(op, acc, x)) return fault;
    }
    return out = acc, nullptr;
  }
  switch (op) {
    case Op::pow:
      if (!v[0].is_real && !v[1].is_real) return integer_pow(v[0].integer, v[1].integer, out);
      return out = Number::of_real(std::pow(v[0].as_real(), v[1].as_real())), nullptr;
    case Op::floor_div:
    case Op::mod:
    case Op::true_div:
      return divide(op, v[0], v[1], out);
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::gt:
    case Op::ge:
      return out = Number::of(relation(op, v[0], v[1])), nullptr;
    case Op::logical_not:
      return out = Number::of(!truth(v[0])), nullptr;
    case Op::to_float:
      return out = Number::of_real(v[0].as_real()), nullptr;
    case Op::where:
      return out = truth(v[0]) ? v[1] : v[2], nullptr;
    case Op::sqrt:
      if (v[0].as_real() < 0) return kDomain;
      return out = Number::of_real(std::sqrt(v[0].as_real())), nullptr;
    case Op::abs:
      return absolute(v[0], out);
    default:
      return to_integer(op, v[0], out);
  }
}

}  // namespace reprise::sym
