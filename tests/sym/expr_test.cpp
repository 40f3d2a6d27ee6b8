#include "sym/expr.h"

#include <gtest/gtest.h>

#include <array>

#include "reprise/error.h"

namespace reprise::sym {
namespace {

const Expr s0 = Expr::symbol("s0"), s1 = Expr::symbol("s1"), s2 = Expr::symbol("s2"), u0 = Expr::symbol("u0");

Expr make(Op op, std::initializer_list<Expr> operands) { return Expr::make(op, std::vector<Expr>(operands)); }

TEST(Expr, SumsCollectLikeTerms) {
  EXPECT_EQ(s0 + s1, s1 + s0);
  EXPECT_EQ(s0 + s0, 2 * s0);
  EXPECT_EQ(s0 - s0, Expr(0));
  EXPECT_EQ((s0 + 1) + (s1 - 1), s0 + s1);
  EXPECT_EQ(2 * (s0 + 3) - s0, s0 + 6);
  EXPECT_FALSE(s0 == s1);
  EXPECT_FALSE(s0 + 1 == s0);
}

TEST(Expr, ProductsMultiplyOut) {
  EXPECT_EQ((s0 + 1) * s1, s0 * s1 + s1);
  EXPECT_EQ((s0 + s1) * (s0 - s1), s0 * s0 - s1 * s1);
  EXPECT_EQ((s0 * s1) * s2, s2 * (s1 * s0));
  EXPECT_EQ(s0 * 0, Expr(0));
  EXPECT_EQ(s0 * 1, s0);
  EXPECT_EQ(-(s0 - s1), s1 - s0);
  EXPECT_EQ(pow(s0 + 1, 2), s0 * s0 + 2 * s0 + 1);
  EXPECT_EQ(pow(floor_div(s0, 2), 2), floor_div(s0, 2) * floor_div(s0, 2));
}

TEST(Expr, LargeProductsStayFactored) {
  Expr wide = 1;
  for (int i = 0; i < 9; ++i) wide = wide + Expr::symbol("x" + std::to_string(i));
  const Expr square = wide * wide;
  EXPECT_EQ(square.op(), Op::mul);
  EXPECT_EQ(square - wide * wide, Expr(0));
  EXPECT_EQ(floor_div(square, wide), wide);
}

TEST(Expr, RepeatedSquaringStaysSmall) {
  Expr e = s0 * s1;
  for (int i = 0; i < 100; ++i) e = e * e;
  EXPECT_LE(e.operands().size(), 64u);
  EXPECT_EQ(e - e, Expr(0));
}

TEST(Expr, SignsLeaveLongProducts) {
  const Expr power = pow(s0, 64);
  EXPECT_EQ(-(-power), power);
  EXPECT_EQ(-(-(power * power)), power * power);
  EXPECT_EQ(3 * power * power - power * (3 * power), Expr(0));
  EXPECT_EQ(floor_div(power, -7), -floor_div(power + 6, 7));
}

TEST(Expr, QuotientsLoseWhatDivides) {
  EXPECT_EQ(floor_div(6 * s0, 3), 2 * s0);
  EXPECT_EQ(floor_div(4 * s0 * s1, s0), 4 * s1);
  EXPECT_EQ(floor_div(s0 * s1 + s1, s1), s0 + 1);
  EXPECT_EQ(floor_div((s0 + 1) * s1, s0 + 1), s1);
  EXPECT_EQ(floor_div(s0, 1), s0);
  EXPECT_EQ(floor_div(s0, s0), Expr(1));
  EXPECT_EQ(floor_div(7, -2), Expr(-4));
  EXPECT_EQ(floor_div(4 * s0 + 1, 4), s0);
  EXPECT_EQ(floor_div(4 * s0 + 2, 6), floor_div(2 * s0 + 1, 3));
  EXPECT_EQ(floor_div(s0 * s1, s0 * s2), floor_div(s1, s2));
}

TEST(Expr, QuotientsTakeTheWholePartOfAConstant) {
  EXPECT_EQ(floor_div(s0 - 1, 2) + 1, floor_div(s0 + 1, 2));
  EXPECT_EQ(floor_div(s0 + 8, 4), floor_div(s0, 4) + 2);
  EXPECT_EQ(floor_div(floor_div(s0 - 1, 2), 2), floor_div(s0 - 1, 4));  // two convolutions of stride 2
  EXPECT_EQ(ceil_div(s0, 2), floor_div(s0 + 1, 2));
  EXPECT_EQ(ceil_div(7, 2), Expr(4));
}

TEST(Expr, RemaindersLoseMultiples) {
  EXPECT_EQ(mod(6 * s0, 3), Expr(0));
  EXPECT_EQ(mod(s0 * s1, s1), Expr(0));
  EXPECT_EQ(mod(s0 + 8, 4), mod(s0, 4));
  EXPECT_EQ(mod(5 * s0, 4), mod(s0, 4));
  EXPECT_EQ(mod(2 * s0, 4), 2 * mod(s0, 2));
  EXPECT_EQ(mod(mod(s0, 8), 8), mod(s0, 8));
  EXPECT_EQ(mod(-7, 3), Expr(2));
  EXPECT_EQ(mod(7, -3), Expr(-2));
  EXPECT_EQ(mod(s0, 1), Expr(0));
  EXPECT_EQ(mod(4 * s0 + 3, 2), Expr(1));
}

TEST(Expr, MinAndMaxFlatten) {
  EXPECT_EQ(min(min(s0, 8), min(4, s1)), min(s1, min(s0, 4)));
  EXPECT_EQ(min(s0, s0 + 1), s0);
  EXPECT_EQ(max(s0, s0 + 1), s0 + 1);
  EXPECT_EQ(min(s0, INT64_MAX), s0);
  EXPECT_EQ(max(3, 5), Expr(5));
  EXPECT_EQ(min(s0, s0), s0);
  EXPECT_EQ(make(Op::max, {-7, 0, 8, s0, s0 + 2, s0 - 3}), max(8, s0 + 2));
  EXPECT_EQ(make(Op::max, {-7, 0, INT64_MAX, s0}), max(INT64_MAX, s0));
  EXPECT_EQ(make(Op::min, {INT64_MIN, 9, INT64_MAX, s0}), min(INT64_MIN, s0));
}

TEST(Expr, RelationsFoldOnConstantDifference) {
  EXPECT_EQ(compare(Op::lt, s0, s0 + 1), Expr(1));
  EXPECT_EQ(compare(Op::ge, s0, s0 + 1), Expr(0));
  EXPECT_EQ(compare(Op::eq, s0, s1), compare(Op::eq, s1, s0));
  EXPECT_EQ(compare(Op::gt, s0, s1), compare(Op::lt, s1, s0));
  EXPECT_EQ(make(Op::logical_not, {compare(Op::lt, s0, s1)}), compare(Op::le, s1, s0));
  EXPECT_EQ(make(Op::logical_and, {compare(Op::lt, s0, s1), 0}), Expr(0));
  EXPECT_EQ(make(Op::logical_or, {compare(Op::lt, s0, s1), 0}), compare(Op::lt, s0, s1));
  EXPECT_EQ(where(compare(Op::eq, s0, s0), s1, s2), s1);
  EXPECT_EQ(where(u0, s1, s1), s1);
}

TEST(Expr, RoundingOfQuotients) {
  EXPECT_EQ(make(Op::trunc, {true_div(4 * s0, 2)}), 2 * s0);
  EXPECT_EQ(make(Op::floor, {true_div(s0, 2)}), floor_div(s0, 2));
  EXPECT_EQ(make(Op::ceil, {true_div(s0, 2)}), ceil_div(s0, 2));
  EXPECT_EQ(make(Op::trunc, {make(Op::to_float, {s0})}), s0);
  EXPECT_EQ(make(Op::trunc, {Expr::real(-2.7)}), Expr(-2));
  EXPECT_EQ(make(Op::round, {Expr::real(2.5)}), Expr(2));
  EXPECT_EQ(make(Op::round, {s0}), s0);
}

TEST(Expr, RealsKeepTheirOrder) {
  const Expr x = Expr::symbol("zuf0");
  EXPECT_TRUE(x.is_real());
  EXPECT_TRUE((x + s0).is_real());
  EXPECT_FALSE(make(Op::trunc, {x}).is_real());
  EXPECT_FALSE(x - x == Expr(0));  // NaN
  EXPECT_EQ((Expr::real(0.5) + Expr::real(0.25)).real_value(), 0.75);
  EXPECT_EQ(true_div(1, 4).real_value(), 0.25);
}

TEST(Expr, WhatOverflowsOrHasNoValueStays) {
  const Expr big = Expr(INT64_MAX) + 1;
  EXPECT_EQ(big.op(), Op::add);
  EXPECT_EQ((s0 * INT64_MAX * 2).op(), Op::mul);
  EXPECT_EQ(floor_div(s0, 0).op(), Op::floor_div);
  EXPECT_EQ(mod(1, 0).op(), Op::mod);
  EXPECT_EQ(floor_div(s0, INT64_MIN).op(), Op::floor_div);
  EXPECT_EQ(mod(s0, INT64_MIN).op(), Op::mod);
}

TEST(Expr, MakeChecksOperands) {
  EXPECT_THROW(make(Op::floor_div, {s0}), InvalidArgument);
  EXPECT_THROW(make(Op::add, {}), InvalidArgument);
  EXPECT_THROW(make(Op::where, {s0, s1}), InvalidArgument);
  EXPECT_THROW(make(Op::symbol, {s0}), InvalidArgument);
  EXPECT_THROW(make(static_cast<Op>(99), {s0}), InvalidArgument);
  EXPECT_EQ(make(Op::add, {s0}), s0);
  for (const char* bad : {"", "a b", "0a", "(", "s0\n", "é"}) EXPECT_THROW(Expr::symbol(bad), InvalidArgument) << bad;
}

TEST(Expr, Text) {
  EXPECT_EQ((32 * Expr::symbol("s27") + 1).str(), "32*s27 + 1");
  EXPECT_EQ(floor_div(s0 + 1, 2).str(), "(s0 + 1)//2");
  EXPECT_EQ((s0 - 1).str(), "s0 - 1");
  EXPECT_EQ((-s0 + s1 * s1).str(), "s1**2 - s0");
  EXPECT_EQ(min(s0, 8).str(), "min(8, s0)");
  EXPECT_EQ((2 * floor_div(s0, 3)).str(), "2*(s0//3)");
  EXPECT_EQ(compare(Op::le, s0, 4).str(), "s0 <= 4");
  EXPECT_EQ(make(Op::logical_and, {compare(Op::le, s0, 4), compare(Op::ne, s1, 1)}).str(), "1 != s1 and s0 <= 4");
  EXPECT_EQ(true_div(s0, 3).str(), "s0/3");
  EXPECT_EQ(Expr::real(2).str(), "2.0");
  EXPECT_EQ(str(std::array<Expr, 3>{s0, 3, 2 * s1}), "[s0, 3, 2*s1]");
}

TEST(Expr, ShapeHelpers) {
  const Shape sizes = {s0, 3, s1};
  EXPECT_EQ(product(sizes), 3 * s0 * s1);
  EXPECT_EQ(product({}), Expr(1));
  EXPECT_TRUE(equal(contiguous_strides(sizes), Shape{3 * s1, s1, 1}));
  EXPECT_FALSE(equal(sizes, Shape{s0, 3}));
  EXPECT_FALSE(is_static(sizes));
  EXPECT_TRUE(is_static(Shape{2, 3}));
}

TEST(Expr, SymbolsAndSubstitution) {
  const Expr e = floor_div(s0 * s1 + u0, 2) + s0;
  std::vector<std::string> names;
  collect_symbols(e, names);
  collect_symbols(s2, names);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"s0", "s1", "s2", "u0"}));
  const Expr replaced = substitute(e, [](const std::string& n) { return n == "u0" ? std::optional<Expr>(s0 * s1) : std::nullopt; });
  EXPECT_EQ(replaced, s0 * s1 + s0);
}

TEST(Expr, SharedSubexpressionsCostNothing) {
  Expr e = s0;
  for (int i = 0; i < 200; ++i) e = floor_div(e * e + 1, e + 2);
  std::vector<std::string> names;
  collect_symbols(e, names);
  EXPECT_EQ(names, std::vector<std::string>{"s0"});
  EXPECT_EQ(substitute(e, [](const std::string&) { return std::nullopt; }), e);
}

}  // namespace
}  // namespace reprise::sym
