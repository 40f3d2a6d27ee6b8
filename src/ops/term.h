// Arithmetic on the scalars of a pointwise body, written as in C++: `compute(b, [](Term x, Term y) { return x * y + 1; }, x, y)`.
//
// A number takes the dtype of the term that it meets. Terms of one operation share a dtype (cast first, `as`); relations give boolean terms.
#pragma once

#include <array>
#include <concepts>
#include <utility>
#include <vector>

#include "ir/builder.h"

namespace reprise::ops {

using core::ScalarOp;
using ir::Builder;
using ir::ScalarBuilder;
using ir::Sv;
using ir::Val;

class Term {
 public:
  Term(ScalarBuilder& s, Sv v) : s_(&s), v_(v) {}
  [[nodiscard]] Sv value() const { return v_; }
  [[nodiscard]] DType type() const { return v_.type; }
  [[nodiscard]] Term of(double c) const { return {*s_, s_->constant(c, v_.type)}; }
  /// A symbolic (or constant) expression in this term's dtype.
  [[nodiscard]] Term of(const sym::Expr& e) const { return {*s_, s_->symbol(e, v_.type)}; }
  [[nodiscard]] Term as(DType type) const { return {*s_, s_->cast(v_, type)}; }
  [[nodiscard]] Term apply(ScalarOp op) const { return {*s_, s_->op(op, v_)}; }
  [[nodiscard]] Term apply(ScalarOp op, Term b) const { return {*s_, s_->op(op, v_, b.v_)}; }
  /// This (boolean) ? a : b.
  [[nodiscard]] Term pick(Term a, Term b) const { return {*s_, s_->where(v_, a.v_, b.v_)}; }

  friend Term operator+(Term a, Term b) { return a.apply(ScalarOp::add, b); }
  friend Term operator-(Term a, Term b) { return a.apply(ScalarOp::sub, b); }
  friend Term operator*(Term a, Term b) { return a.apply(ScalarOp::mul, b); }
  friend Term operator/(Term a, Term b) { return a.apply(ScalarOp::div, b); }
  friend Term operator+(Term a, double c) { return a + a.of(c); }
  friend Term operator-(Term a, double c) { return a - a.of(c); }
  friend Term operator*(Term a, double c) { return a * a.of(c); }
  friend Term operator/(Term a, double c) { return a / a.of(c); }
  friend Term operator+(double c, Term a) { return a.of(c) + a; }
  friend Term operator-(double c, Term a) { return a.of(c) - a; }
  friend Term operator*(double c, Term a) { return a.of(c) * a; }
  friend Term operator/(double c, Term a) { return a.of(c) / a; }
  friend Term operator-(Term a) { return a.apply(ScalarOp::neg); }
  friend Term operator<(Term a, Term b) { return a.apply(ScalarOp::lt, b); }
  friend Term operator<=(Term a, Term b) { return a.apply(ScalarOp::le, b); }
  friend Term operator>(Term a, Term b) { return a.apply(ScalarOp::gt, b); }
  friend Term operator>=(Term a, Term b) { return a.apply(ScalarOp::ge, b); }
  friend Term operator<(Term a, double c) { return a < a.of(c); }
  friend Term operator<=(Term a, double c) { return a <= a.of(c); }
  friend Term operator>(Term a, double c) { return a > a.of(c); }
  friend Term operator>=(Term a, double c) { return a >= a.of(c); }
  friend Term equal(Term a, Term b) { return a.apply(ScalarOp::eq, b); }
  friend Term equal(Term a, double c) { return equal(a, a.of(c)); }
  friend Term operator&&(Term a, Term b) { return a.apply(ScalarOp::logical_and, b); }
  friend Term operator||(Term a, Term b) { return a.apply(ScalarOp::logical_or, b); }
  friend Term operator!(Term a) { return a.apply(ScalarOp::logical_not); }
  friend Term min(Term a, Term b) { return a.apply(ScalarOp::minimum, b); }
  friend Term max(Term a, Term b) { return a.apply(ScalarOp::maximum, b); }
  friend Term min(Term a, double c) { return min(a, a.of(c)); }
  friend Term max(Term a, double c) { return max(a, a.of(c)); }
  friend Term pow(Term a, double c) { return a.apply(ScalarOp::pow, a.of(c)); }
  friend Term abs(Term a) { return a.apply(ScalarOp::abs); }
  friend Term sqrt(Term a) { return a.apply(ScalarOp::sqrt); }
  friend Term rsqrt(Term a) { return a.apply(ScalarOp::rsqrt); }
  friend Term exp(Term a) { return a.apply(ScalarOp::exp); }
  friend Term log(Term a) { return a.apply(ScalarOp::log); }
  friend Term floor(Term a) { return a.apply(ScalarOp::floor); }
  friend Term tanh(Term a) { return a.apply(ScalarOp::tanh); }
  friend Term sigmoid(Term a) { return a.apply(ScalarOp::sigmoid); }
  friend Term is_nan(Term a) { return a.apply(ScalarOp::is_nan); }

 private:
  ScalarBuilder* s_;
  Sv v_;
};

namespace detail {
template <class F, std::size_t... I>
auto call_with_terms(ScalarBuilder& s, std::span<const Sv> in, const F& body, std::index_sequence<I...>) {
  return body(Term(s, in[I])...);
}
}  // namespace detail

/// One pointwise node with one output: `body` takes a Term per input.
template <class F, std::same_as<Val>... V>
Val compute(Builder& b, const F& body, V... inputs) {
  const std::array<Val, sizeof...(V)> list{inputs...};
  return b.map(std::span<const Val>(list),
               [&](ScalarBuilder& s, std::span<const Sv> in) { return detail::call_with_terms(s, in, body, std::index_sequence_for<V...>{}).value(); });
}

/// As `compute`, with a std::array of Terms for result: one output each.
template <class F, std::same_as<Val>... V>
std::vector<Val> compute_all(Builder& b, const F& body, V... inputs) {
  const std::array<Val, sizeof...(V)> list{inputs...};
  return b.pointwise(std::span<const Val>(list), [&](ScalarBuilder& s, std::span<const Sv> in) {
    for (const Term& t : detail::call_with_terms(s, in, body, std::index_sequence_for<V...>{})) s.output(t.value());
  });
}

}  // namespace reprise::ops
