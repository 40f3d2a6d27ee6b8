#include "sym/polynomial.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "sym/node.h"

namespace reprise::sym {
namespace {

constexpr std::size_t kMaxTerms = 64;
constexpr std::size_t kMaxDegree = 64;
constexpr int kMaxDivisionSteps = 256;

std::int64_t checked_add(std::int64_t a, std::int64_t b) {
  std::int64_t r = 0;
  if (__builtin_add_overflow(a, b, &r)) throw PolynomialOverflow{};
  return r;
}

std::int64_t checked_mul(std::int64_t a, std::int64_t b) {
  std::int64_t r = 0;
  if (__builtin_mul_overflow(a, b, &r)) throw PolynomialOverflow{};
  return r;
}

/// Negative when a comes first. Equals the graded lexicographic order of exponents, which products preserve.
int compare_atoms(const std::vector<Expr>& a, const std::vector<Expr>& b) {
  if (a.size() != b.size()) return a.size() > b.size() ? -1 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (const int c = a[i].compare(b[i])) return c;
  }
  return 0;
}

bool less_atom(const Expr& a, const Expr& b) { return a.compare(b) < 0; }

/// Sorts and collects like terms.
Polynomial collect(Polynomial terms) {
  std::sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) { return compare_atoms(a.atoms, b.atoms) < 0; });
  Polynomial out;
  for (Term& term : terms) {
    if (!out.empty() && compare_atoms(out.back().atoms, term.atoms) == 0) {
      out.back().coefficient = checked_add(out.back().coefficient, term.coefficient);
    } else {
      if (!out.empty() && out.back().coefficient == 0) out.pop_back();
      out.push_back(std::move(term));
    }
  }
  if (!out.empty() && out.back().coefficient == 0) out.pop_back();
  return out;
}

Term multiply(const Term& a, const Term& b) {
  Term out{checked_mul(a.coefficient, b.coefficient), {}};
  std::merge(a.atoms.begin(), a.atoms.end(), b.atoms.begin(), b.atoms.end(), std::back_inserter(out.atoms), less_atom);
  return out;
}

Polynomial multiply(const Polynomial& a, const Polynomial& b) {
  Polynomial out;
  out.reserve(a.size() * b.size());
  for (const Term& x : a) {
    for (const Term& y : b) out.push_back(multiply(x, y));
  }
  return collect(std::move(out));
}

Term monomial(const Expr& e) {
  if (e.is_int()) return {*e.as_int(), {}};
  if (e.op() != Op::mul || e.is_real()) return {1, {e}};
  Term term;
  for (const Expr& factor : e.operands()) {
    if (factor.is_int()) {
      term.coefficient = checked_mul(term.coefficient, *factor.as_int());
    } else {
      term.atoms.push_back(factor);
    }
  }
  return term;
}

Expr from_term(const Term& term) {
  if (term.atoms.empty()) return term.coefficient;
  if (term.coefficient == 1 && term.atoms.size() == 1) return term.atoms.front();
  std::vector<Expr> operands;
  operands.reserve(term.atoms.size() + 1);
  if (term.coefficient != 1) operands.emplace_back(term.coefficient);
  operands.insert(operands.end(), term.atoms.begin(), term.atoms.end());
  return raw_node(Op::mul, std::move(operands));
}

/// Factors beside the coefficient.
std::size_t degree(const Expr& e) {
  if (e.is_int()) return 0;
  return e.op() == Op::mul ? e.operands().size() - (e.operands()[0].is_int() ? 1 : 0) : 1;
}

/// The factors' own factors; where that makes a product too long, only their coefficients.
std::vector<Expr> flatten_products(std::span<const Expr> factors) {
  std::size_t total = 0;
  for (const Expr& f : factors) total += degree(f);
  std::vector<Expr> out;
  for (const Expr& f : factors) {
    if (f.op() != Op::mul || f.is_real()) {
      out.push_back(f);
    } else if (total <= kMaxDegree) {
      out.insert(out.end(), f.operands().begin(), f.operands().end());
    } else if (!f.operands()[0].is_int()) {
      out.push_back(f);
    } else {
      out.push_back(f.operands()[0]);
      out.push_back(from_term({1, {f.operands().begin() + 1, f.operands().end()}}));
    }
  }
  return out;
}

/// Multiplying sums out gives at most this many terms.
std::size_t expanded_terms(std::span<const Expr> factors) {
  std::size_t terms = 1;
  for (const Expr& f : factors) {
    if (f.op() == Op::add && !f.is_real()) terms = std::min(terms * f.operands().size(), kMaxTerms + 1);
  }
  return terms;
}

/// `term / by`, nullopt when it does not divide.
std::optional<Term> exact_quotient(const Term& term, const Term& by) {
  if (by.coefficient == 0 || (by.coefficient == -1 && term.coefficient == INT64_MIN) || term.coefficient % by.coefficient != 0) return std::nullopt;
  if (!std::includes(term.atoms.begin(), term.atoms.end(), by.atoms.begin(), by.atoms.end(), less_atom)) return std::nullopt;
  Term out{term.coefficient / by.coefficient, {}};
  std::set_difference(term.atoms.begin(), term.atoms.end(), by.atoms.begin(), by.atoms.end(), std::back_inserter(out.atoms), less_atom);
  return out;
}

}  // namespace

std::int64_t checked_negate(std::int64_t value) { return checked_mul(value, -1); }

std::int64_t constant_term(const Polynomial& p) { return p.empty() || !p.back().atoms.empty() ? 0 : p.back().coefficient; }

Polynomial to_polynomial(const Expr& e) {
  if (e.op() == Op::add && !e.is_real()) return sum(e.operands());
  return collect({monomial(e)});
}

Polynomial sum(std::span<const Expr> operands) {
  Polynomial terms;
  for (const Expr& e : operands) {
    if (e.op() == Op::add) {
      for (const Expr& term : e.operands()) terms.push_back(monomial(term));
    } else {
      terms.push_back(monomial(e));
    }
  }
  return collect(std::move(terms));
}

Polynomial multiply(std::span<const Expr> factors) {
  const std::vector<Expr> flat = flatten_products(factors);
  const bool expand = expanded_terms(flat) <= kMaxTerms;
  Term single;
  std::vector<Expr> sums;
  for (const Expr& f : flat) {
    if (f.is_int()) {
      single.coefficient = checked_mul(single.coefficient, *f.as_int());
    } else if (f.op() == Op::add && expand) {
      sums.push_back(f);
    } else {
      single.atoms.push_back(f);
    }
  }
  // A constant goes into a sum of any size, so that differences cancel.
  if (single.atoms.size() == 1 && sums.empty() && single.atoms[0].op() == Op::add) sums.swap(single.atoms);
  std::sort(single.atoms.begin(), single.atoms.end(), less_atom);
  Polynomial product = collect({std::move(single)});
  for (const Expr& s : sums) product = multiply(product, to_polynomial(s));
  return product;
}

Division divide(Polynomial a, const Polynomial& b) {
  const Polynomial whole = a;
  Division out;
  for (int step = 0; !a.empty(); ++step) {
    if (step == kMaxDivisionSteps) return {{}, whole};
    const std::optional<Term> q = exact_quotient(a.front(), b.front());
    if (q) {
      Polynomial minus = multiply(Polynomial{{checked_negate(q->coefficient), q->atoms}}, b);
      minus.insert(minus.end(), a.begin(), a.end());
      a = collect(std::move(minus));
      out.quotient.push_back(*q);
    } else {
      out.remainder.push_back(a.front());
      a.erase(a.begin());
    }
  }
  out.quotient = collect(std::move(out.quotient));
  return out;
}

Expr from_polynomial(const Polynomial& p) {
  if (p.empty()) return 0;
  if (p.size() == 1) return from_term(p.front());
  std::vector<Expr> operands;
  operands.reserve(p.size());
  for (const Term& term : p) operands.push_back(from_term(term));
  return raw_node(Op::add, std::move(operands));
}

Expr rebuild(const Polynomial& p) {
  std::vector<Expr> terms;
  for (const Term& term : p) {
    std::vector<Expr> factors = term.atoms;
    factors.emplace_back(term.coefficient);
    terms.push_back(from_polynomial(multiply(factors)));
  }
  return from_polynomial(sum(terms));
}

}  // namespace reprise::sym
