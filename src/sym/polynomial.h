// Integer expressions as polynomials over atoms (symbols and whatever is neither a sum nor a product).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sym/expr.h"

namespace reprise::sym {

/// coefficient * product of atoms; a power is a repeated atom. Atoms are sorted.
struct Term {
  std::int64_t coefficient = 1;
  std::vector<Expr> atoms;
};

/// Terms by falling degree, then by their atoms; no two of the same atoms, no coefficient 0. The constant is last.
using Polynomial = std::vector<Term>;

/// Thrown by the functions below when a coefficient leaves 64 bits; the caller then keeps an expression as it was given.
struct PolynomialOverflow {};

Polynomial to_polynomial(const Expr& e);
Expr from_polynomial(const Polynomial& p);
/// As from_polynomial, where atoms may be sums or products that have to be multiplied out.
Expr rebuild(const Polynomial& p);

Polynomial sum(std::span<const Expr> operands);
/// Multiplies out while the result stays small (64 terms, 64 factors); larger factors become atoms.
Polynomial multiply(std::span<const Expr> factors);

struct Division {
  Polynomial quotient, remainder;
};
/// a = quotient * b + remainder, by long division in the order of terms; coefficients divide exactly or stay in the remainder. b must not be 0.
Division divide(Polynomial a, const Polynomial& b);

inline bool is_constant(const Polynomial& p) { return p.empty() || p.front().atoms.empty(); }
/// The constant term.
std::int64_t constant_term(const Polynomial& p);
std::int64_t checked_negate(std::int64_t value);

}  // namespace reprise::sym
