#include "import/pt2/srepr.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reprise/error.h"
#include "sym/evaluate.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using import::SymKind;
using sym::Expr;

Expr parse(std::string_view text, SymKind kind = SymKind::integer) { return import::parse_srepr(text, kind, 64); }

/// The value with s0 = 7, s1 = 3.
sym::Number value(std::string_view text, SymKind kind = SymKind::integer) {
  const auto number = sym::evaluate(parse(text, kind), [](const std::string& name) { return std::optional(sym::Number::of(name == "s0" ? 7 : 3)); });
  return number.value();
}
std::int64_t integer(std::string_view text) { return value(text).as_int(); }
double real(std::string_view text) { return value(text, SymKind::real).as_real(); }

constexpr const char* kS0 = "Symbol('s0', positive=True, integer=True)";

/// A and B stand for the symbols, #2 for Integer(2).
std::string with(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool alone = (i + 1 == pattern.size() || pattern[i + 1] == ',' || pattern[i + 1] == ')');
    if (pattern[i] == 'A' && alone) {
      out += kS0;
    } else if (pattern[i] == 'B' && alone) {
      out += "Symbol('s1', integer=True)";
    } else if (pattern[i] == '#') {
      const std::size_t end = std::min(pattern.find_first_not_of("-0123456789", i + 1), pattern.size());
      out += "Integer(" + std::string(pattern.substr(i + 1, end - i - 1)) + ")";
      i = end - 1;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

TEST(Srepr, ReadsWhatSympyPrints) {
  EXPECT_EQ(parse(with("Mul(#2, A)")), Expr(2) * Expr::symbol("s0"));
  EXPECT_EQ(parse(with("Mul(A, A)")), Expr::symbol("s0") * Expr::symbol("s0"));
  EXPECT_EQ(parse("Integer(-5)"), Expr(-5));
  EXPECT_EQ(parse("Symbol('u0')"), Expr::symbol("u0"));
}

/// Values as Python computes them for s0 = 7, s1 = 3.
TEST(Srepr, EveryIntegerFunctionHasItsValue) {
  const std::pair<const char*, std::int64_t> rows[] = {
      {"Mul(#-1, A)", -7},
      {"Pow(A, #2)", 49},
      {"PowByNatural(#2, B)", 8},
      {"Mod(A, #4)", 3},
      {"PythonMod(Mul(#-1, A), #4)", 1},
      {"FloorDiv(A, #2)", 3},
      {"FloorDiv(Mul(#-1, A), #2)", -4},
      {"CleanDiv(Mul(A, B), B)", 7},
      {"CeilDiv(A, #2)", 4},
      {"ModularIndexing(A, #2, #2)", 1},
      {"LShift(A, #2)", 28},
      {"RShift(A, #1)", 3},
      {"TruncToInt(FloatTrueDiv(ToFloat(A), ToFloat(B)))", 2},
      {"RoundToInt(IntTrueDiv(A, #2))", 4},
      {"RoundToInt(IntTrueDiv(#5, #2))", 2},
      {"FloorToInt(IntTrueDiv(A, #2))", 3},
      {"CeilToInt(IntTrueDiv(A, #2))", 4},
      {"TruncToFloat(IntTrueDiv(A, #2))", 3},
      {"Abs(Mul(#-1, A))", 7},
      {"Identity(A)", 7},
      {"Where(StrictLessThan(A, B), A, B)", 3},
      {"ITE(StrictLessThan(A, B), A, B)", 3},
      {"Piecewise(ExprCondPair(#1, StrictLessThan(A, B)), ExprCondPair(#2, Equality(A, #7)), ExprCondPair(#3, true))", 2},
      {"Piecewise(ExprCondPair(#1, StrictLessThan(A, B)), ExprCondPair(#3, true))", 3},
      {"-A", -7},
      {"int_oo", std::numeric_limits<std::int64_t>::max()},
  };
  for (const auto& [text, want] : rows) EXPECT_EQ(integer(with(text)), want) << text;
  EXPECT_EQ(integer("Max(Integer(2), Symbol('s0'), Symbol('s1'))"), 7);
  EXPECT_EQ(integer("Min(Integer(9), Symbol('s0'), Symbol('s1'))"), 3);
  EXPECT_EQ(integer("Add(Symbol('s0'), Symbol('s1'), Integer(-1))"), 9);
}

/// sympy cancels quotients into fractions, which stand for exact or floored divisions of integers.
TEST(Srepr, FractionsDivideOnce) {
  EXPECT_EQ(integer(with("floor(Mul(Rational(1, 2), A))")), 3);
  EXPECT_EQ(integer(with("ceiling(Mul(Rational(1, 3), A))")), 3);
  EXPECT_EQ(integer("floor(Add(Mul(Rational(1, 2), Symbol('s0')), Rational(1, 2)))"), 4);
  EXPECT_EQ(integer("Add(Mul(Rational(1, 2), Symbol('s0')), Rational(1, 2))"), 4);
  EXPECT_EQ(integer("Mul(Symbol('s0'), Symbol('s1'), Pow(Symbol('s1'), Integer(-1)))"), 7);
  EXPECT_DOUBLE_EQ(real("Mul(Symbol('s0'), Pow(Symbol('s1'), Integer(-1)))"), 7.0 / 3);
  EXPECT_EQ(integer("FloorDiv(Mul(Rational(1, 2), Symbol('s0')), Integer(2))"), 1);
}

TEST(Srepr, EveryRealFunctionHasItsValue) {
  EXPECT_DOUBLE_EQ(real(with("FloatTrueDiv(ToFloat(A), Float('3.0', precision=53))")), 7.0 / 3);
  EXPECT_DOUBLE_EQ(real(with("FloatPow(ToFloat(A), Float('0.5', precision=53))")), std::sqrt(7.0));
  EXPECT_DOUBLE_EQ(real(with("Pow(A, Rational(1, 2))")), std::sqrt(7.0));
  EXPECT_DOUBLE_EQ(real(with("OpaqueUnaryFn_sqrt(A)")), std::sqrt(7.0));
  EXPECT_DOUBLE_EQ(real(with("Mul(Float('1.0e-300', precision=53), A)")), 7e-300);
  EXPECT_EQ(real("oo"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(real("-oo"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(real("Float('inf')"), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(real("nan")));
}

TEST(Srepr, RelationsAndLogic) {
  const std::pair<const char*, bool> rows[] = {{"Equality(A, #7)", true},
                                               {"Eq(A, B)", false},
                                               {"Unequality(A, #7)", false},
                                               {"Ne(A, B)", true},
                                               {"StrictLessThan(A, #7)", false},
                                               {"Lt(B, A)", true},
                                               {"LessThan(A, #7)", true},
                                               {"Le(A, B)", false},
                                               {"StrictGreaterThan(A, B)", true},
                                               {"Gt(A, #7)", false},
                                               {"GreaterThan(A, #7)", true},
                                               {"Ge(B, A)", false},
                                               {"true", true},
                                               {"false", false},
                                               {"Or(Eq(A, B), Eq(A, #7))", true},
                                               {"Not(Eq(A, B))", true}};
  for (const auto& [text, want] : rows) EXPECT_EQ(value(with(text), SymKind::boolean).as_int(), want ? 1 : 0) << text;
  EXPECT_EQ(value("And(Eq(Symbol('s0'), Integer(7)), Eq(Symbol('s1'), Integer(4)))", SymKind::boolean).as_int(), 0);
}

TEST(Srepr, RefusesByName) {
  const std::pair<const char*, const char*> rows[] = {
      {"system('rm')", "the function 'system' is not known"},
      {"pi", "'pi' is not known"},
      {"Integer(1180591620717411303424)", "no integer of 64 bits"},
      {"Integer(1) Integer(2)", "text after the expression"},
      {"Integer(1", "')' is missing"},
      {"Symbol(s0)", "a quoted text is missing"},
      {"Symbol('s0", "has no end"},
      {"Symbol('')", "empty or too long"},
      {"Symbol('a b')", "odd name"},
      {"Float('1x')", "is not a real number"},
      {"Rational(1, 0)", "denominator 0"},
      {"FloorDiv(Integer(1))", "FloorDiv has 1 operands"},
      {"Not(true, true)", "Not has 2 operands"},
      {"Piecewise(Integer(1), true)", "something else than pairs"},
      {"Pow(Symbol('s0'), Integer(1000))", "exponent 1000 is out of range"},
      {"Pow(Symbol('s0'), Rational(1, 3))", "fractional exponent"},
      {"", "is not known"},
  };
  for (const auto& [text, why] : rows) {
    const std::string message = testing_support::message_of<FormatError>([&, t = text] { parse(t); });
    EXPECT_NE(message.find(why), std::string::npos) << text << ": " << message;
    EXPECT_TRUE(message.starts_with("[import/expression] cannot read '")) << message;
  }
}

TEST(Srepr, NestingBombsAreRefused) {
  for (const char* open : {"Add(", "Not(", "-", "Mul(Integer(2), "}) {
    std::string text;
    for (int i = 0; i < 4000; ++i) text += open;
    EXPECT_NE(testing_support::message_of<FormatError>([&] { parse(text); }).find("nests too deeply"), std::string::npos) << open;
  }
}

/// Multiplied out this has 2^40 terms.
TEST(Srepr, ProductsOfSumsStaySmall) {
  std::string text = "Mul(Integer(1)";
  for (int i = 0; i < 40; ++i) text += ", Add(Symbol('a" + std::to_string(i) + "'), Symbol('b" + std::to_string(i) + "'))";
  text += ")";
  const Expr e = parse(text);
  EXPECT_EQ(sym::evaluate(e, [](const std::string&) { return std::optional(sym::Number::of(1)); })->as_int(), std::int64_t{1} << 40);
}

}  // namespace
}  // namespace reprise
