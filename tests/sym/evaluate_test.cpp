#include "sym/evaluate.h"

#include <gtest/gtest.h>

#include <array>

#include "reprise/error.h"

namespace reprise::sym {
namespace {

const Expr s0 = Expr::symbol("s0"), s1 = Expr::symbol("s1"), u0 = Expr::symbol("u0");

SymbolTable table() {
  SymbolTable t;
  t.add({.name = "s0", .range = {1, 16}, .hint = 4});
  t.add({.name = "s1", .range = {0, kUnbounded}});
  t.add({.name = "u0", .range = {0, 100}, .unbacked = true});
  return t;
}

TEST(SymbolTable, KeepsTheFirst) {
  SymbolTable t = table();
  EXPECT_EQ(t.add({.name = "s0", .range = {5, 5}}), 0);
  EXPECT_EQ(t.at(0).range.max, 16);
  EXPECT_EQ(t.find("u0"), 2);
  EXPECT_EQ(t.find("x"), -1);
  EXPECT_EQ(t.size(), 3);
}

void expect_bounds(const Expr& e, std::int64_t min, std::int64_t max) {
  const SymbolTable t = table();
  const Range r = bounds(e, t);
  EXPECT_EQ(r.min, min) << e.str();
  EXPECT_EQ(r.max, max) << e.str();
}

TEST(Bounds, Arithmetic) {
  expect_bounds(2 * s0 + 1, 3, 33);
  expect_bounds(3 - s0, -13, 2);
  expect_bounds(s0 * u0, 0, 1600);
  expect_bounds(floor_div(s0 + 1, 2), 1, 8);
  expect_bounds(floor_div(-s0, u0 + 1), -16, -1);
  expect_bounds(mod(u0, s0), 0, 15);
  expect_bounds(mod(s0, 20), 1, 16);
  expect_bounds(min(s1, 8), 0, 8);
  expect_bounds(max(s0, 8), 8, 16);
  expect_bounds(Expr::make(Op::abs, std::array{s0 - 10}), 0, 9);
  expect_bounds(Expr::make(Op::trunc, std::array{true_div(s0, 3)}), 0, 6);
  expect_bounds(where(compare(Op::lt, s0, u0), s0, 50), 1, 50);
}

TEST(Bounds, Saturate) {
  expect_bounds(s1 + s0, 1, kUnbounded);
  expect_bounds(s1 * s0, 0, kUnbounded);
  expect_bounds(s0 - s1, INT64_MIN, 16);
  expect_bounds(floor_div(s1, s0), 0, kUnbounded);
  expect_bounds(floor_div(s0, s1), 0, 16);
  expect_bounds(s0 * (INT64_MAX / 2), INT64_MAX / 2, kUnbounded);
  expect_bounds(Expr::symbol("nobody"), INT64_MIN, kUnbounded);
}

TEST(Bounds, Relations) {
  expect_bounds(compare(Op::lt, s0, 17), 1, 1);
  expect_bounds(compare(Op::lt, s0, 16), 0, 1);
  expect_bounds(compare(Op::eq, s0, 17), 0, 0);
  expect_bounds(compare(Op::ne, s0, s1), 0, 1);
}

TEST(Bounds, ProvablyGe) {
  const SymbolTable t = table();
  EXPECT_TRUE(provably_ge(s0, 1, t));
  EXPECT_FALSE(provably_ge(s0, 2, t));
  EXPECT_TRUE(provably_ge(s0 * 2, s0, t));
  EXPECT_TRUE(provably_ge(max(s0, s1), s0, t));
  EXPECT_TRUE(provably_ge(s0, min(s0, s1), t));
  EXPECT_FALSE(provably_ge(s1, s0, t));
  EXPECT_FALSE(provably_ge(min(s1, s0), s0, t));
}

TEST(Simplify, UsesRanges) {
  SymbolTable t = table();
  t.add({.name = "one", .range = {1, 1}});
  EXPECT_EQ(simplify(max(s0, 1), t), s0);
  EXPECT_EQ(simplify(min(s0, 16), t), s0);
  EXPECT_EQ(simplify(min(s0, 8), t), min(s0, 8));
  EXPECT_EQ(simplify(where(compare(Op::ge, s1, 0), s0, u0), t), s0);
  EXPECT_EQ(simplify(s0 * Expr::symbol("one"), t), s0);
  EXPECT_EQ(simplify(max(0, s1) + 1, t), s1 + 1);
}

std::vector<Number> run(const Evaluator& e, std::vector<std::int64_t> values) {
  std::vector<Number> numbers, out(static_cast<std::size_t>(e.size()));
  for (std::int64_t v : values) numbers.push_back(Number::of(v));
  e.run(numbers, {}, out);
  return out;
}

TEST(Evaluator, SharesEqualExpressions) {
  const SymbolTable t = table();
  Evaluator e(t);
  const int a = e.add((s0 + 1) * s1), b = e.add(s1 + s1 * s0), c = e.add(7);
  EXPECT_EQ(a, b);
  const auto out = run(e, {3, 5, 0});
  EXPECT_EQ(out[static_cast<std::size_t>(a)].integer, 20);
  EXPECT_EQ(out[static_cast<std::size_t>(c)].integer, 7);
}

TEST(Evaluator, ManyOperands) {
  SymbolTable t;
  Evaluator e(t);
  std::vector<Expr> terms;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "x" + std::to_string(i);
    t.add({.name = name});
    terms.push_back(Expr::symbol(name));
    values.push_back(i);
  }
  const int slot = e.add(Expr::make(Op::add, terms));
  EXPECT_EQ(run(e, values)[static_cast<std::size_t>(slot)].integer, 499500);
}

TEST(Evaluator, Faults) {
  const SymbolTable t = table();
  for (const Expr& bad : {floor_div(s0, s1), mod(s0, s1), true_div(s0, s1), pow(s0, s1 - 1), s0 * INT64_MAX, s0 + INT64_MAX}) {
    Evaluator e(t);
    e.add(bad);
    try {
      run(e, {2, 0, 0});
      FAIL() << bad.str();
    } catch (const ShapeError& error) {
      EXPECT_NE(std::string(error.what()).find(bad.str()), std::string::npos) << error.what();
    }
  }
}

TEST(Evaluator, UnknownSymbolsKeepOldValues) {
  const SymbolTable t = table();
  Evaluator e(t);
  const auto a = static_cast<std::size_t>(e.add(s0 * 2)), b = static_cast<std::size_t>(e.add(floor_div(s0 * 2, u0)));
  std::vector<Number> out(static_cast<std::size_t>(e.size()), Number::of(-1));
  const std::array values = {Number::of(6), Number::of(0), Number::of(0)};
  const std::array known = {true, true, false};
  e.run(values, known, out);
  EXPECT_EQ(out[a].integer, 12);
  EXPECT_EQ(out[b].integer, -1);
  EXPECT_FALSE(e.depends_on_data(static_cast<int>(a)));
  EXPECT_TRUE(e.depends_on_data(static_cast<int>(b)));
}

TEST(Evaluator, UnknownSymbol) {
  const SymbolTable t = table();
  Evaluator e(t);
  EXPECT_THROW(e.add(Expr::symbol("nobody")), InvalidArgument);
}

TEST(Evaluator, Reals) {
  const SymbolTable t = table();
  Evaluator e(t);
  const auto half = static_cast<std::size_t>(e.add(true_div(s0, 2)));
  const auto root = static_cast<std::size_t>(e.add(Expr::make(Op::trunc, std::array{Expr::make(Op::sqrt, std::array{s0}) * Expr::real(10)})));
  const auto out = run(e, {3, 0, 0});
  EXPECT_TRUE(out[half].is_real);
  EXPECT_EQ(out[half].real, 1.5);
  EXPECT_EQ(out[root].integer, 17);
}

TEST(Evaluate, OnceWithMissingValues) {
  const auto value_of = [](const std::string& name) { return name == "s0" ? std::optional(Number::of(5)) : std::nullopt; };
  EXPECT_EQ(evaluate(s0 * 3 - 1, value_of)->integer, 14);
  EXPECT_FALSE(evaluate(s0 + s1, value_of));
  EXPECT_THROW(evaluate(floor_div(s0, s0 - 5), value_of), ShapeError);
}

TEST(Text, EncodesPrefix) {
  EXPECT_EQ(encode(32 * Expr::symbol("s27") + 1), "(+ (* 32 s27) 1)");
  EXPECT_EQ(decode("(+ (* 32 s27) 1)"), 32 * Expr::symbol("s27") + 1);
  EXPECT_EQ(encode(Expr::real(0.1)), "#0.1");
  EXPECT_EQ(decode("#0.1").real_value(), 0.1);
  EXPECT_EQ(decode("-9223372036854775808"), Expr(INT64_MIN));
  EXPECT_EQ(decode(encode(Expr::real(std::numeric_limits<double>::infinity()))).real_value(), std::numeric_limits<double>::infinity());
}

TEST(Text, RefusesWhatIsMalformed) {
  for (const char* bad : {"",     " ",      "(",        ")",      "()",         "(+",          "(+)",
                          "(+ )", "(+ 1",   "(+ 1 2))", "(// 1)", "(// 1 2 3)", "(where 1 2)", "(nope 1)",
                          "s 0",  "1x",     "-",        "--1",    "#",          "#x",          "99999999999999999999",
                          "a-b",  "(+  1)", "(+ 1 )",   "( + 1)", "\x80",       "(integer 1)", "((+ 1))"}) {
    EXPECT_THROW(decode(bad), FormatError) << "'" << bad << "'";
  }
}

TEST(Text, DepthIsLimited) {
  const auto nested = [](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += "(abs ";
    text += "s0";
    return text + std::string(static_cast<std::size_t>(depth), ')');
  };
  EXPECT_NO_THROW(decode(nested(200)));
  EXPECT_THROW(decode(nested(201)), FormatError);
  EXPECT_THROW(decode(std::string(1 << 21, '(')), FormatError);
}

}  // namespace
}  // namespace reprise::sym
