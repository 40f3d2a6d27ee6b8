#include "import/pt2/srepr.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/check.h"

namespace reprise::import {
namespace {

using sym::Expr;
using sym::Op;

/// A quotient kept apart until its place tells how to divide, since sympy cancels fractions that Expr, made of integers, cannot hold.
struct Fraction {
  Expr num;
  Expr den = 1;

  [[nodiscard]] bool whole() const { return den == Expr(1); }
  [[nodiscard]] Expr value() const { return whole() ? num : sym::true_div(num, den); }
};

using Args = std::span<const Fraction>;

/// Products of sums are multiplied out; this bounds how far a text may drive that.
constexpr int kMaxExponent = 16;
constexpr std::size_t kMaxText = 1u << 16;

Expr nary(Op op, Args args) {
  std::vector<Expr> values;
  values.reserve(args.size());
  for (const Fraction& f : args) values.push_back(f.value());
  return Expr::make(op, values);
}

bool all_whole(Args args) {
  return std::all_of(args.begin(), args.end(), [](const Fraction& f) { return f.whole(); });
}

Fraction add(Args args) {
  if (all_whole(args)) return {nary(Op::add, args)};
  Fraction sum = args.front();
  for (const Fraction& term : args.subspan(1)) {
    if (sum.den == term.den) {
      sum.num = sum.num + term.num;
    } else {
      sum = {sum.num * term.den + term.num * sum.den, sum.den * term.den};
    }
  }
  return sum;
}

Fraction mul(Args args) {
  if (all_whole(args)) return {nary(Op::mul, args)};
  Fraction product = args.front();
  for (const Fraction& factor : args.subspan(1)) product = {product.num * factor.num, product.den * factor.den};
  return product;
}

Expr int_pow(const Expr& base, const Expr& exponent) {
  const auto e = exponent.as_int();
  REPRISE_CHECK(!e || base.is_int() || (*e >= 0 && *e <= kMaxExponent), FormatError, "the exponent {} is out of range", *e);
  return sym::pow(base, exponent);
}

Fraction power(Args args) {
  const Fraction& base = args[0];
  const Fraction& exponent = args[1];
  if (exponent.num == Expr(1) && exponent.den == Expr(2)) return {Expr::make(Op::sqrt, std::vector{base.value()})};
  REPRISE_CHECK(exponent.whole(), FormatError, "a power has a fractional exponent");
  const auto e = exponent.num.as_int();
  if (e && *e < 0) {
    REPRISE_CHECK(*e >= -kMaxExponent, FormatError, "the exponent {} is out of range", *e);
    return {int_pow(base.den, Expr(-*e)), int_pow(base.num, Expr(-*e))};
  }
  return {int_pow(base.num, exponent.num), int_pow(base.den, exponent.num)};
}

Expr floor_of(const Fraction& f) { return sym::floor_div(f.num, f.den); }

Expr floor_div(Args a) { return sym::floor_div(a[0].num * a[1].den, a[0].den * a[1].num); }

Expr unary(Op op, const Expr& a) { return Expr::make(op, std::vector{a}); }

/// To integer: exact for quotients of integers, otherwise by way of a real.
Expr to_int(Op op, const Fraction& f) {
  const Expr value = f.value();
  return value.is_real() ? unary(op, value) : value;
}

Expr rounded(Op op, const Fraction& f) {
  if (f.num.is_real() || f.den.is_real()) return to_int(op, f);
  return op == Op::floor ? floor_of(f) : sym::ceil_div(f.num, f.den);
}

Expr to_float(const Fraction& f) {
  const Expr value = f.value();
  return value.is_real() ? value : unary(Op::to_float, value);
}

/// Piecewise(ExprCondPair(value, condition), …): the pairs arrive flattened; the last condition is taken as true.
Expr piecewise(Args args) {
  Expr result = args[args.size() - 2].value();
  for (std::size_t i = args.size() - 2; i >= 2; i -= 2) result = sym::where(args[i - 1].value(), args[i - 2].value(), result);
  return result;
}

struct Function {
  std::size_t min_args, max_args;
  Fraction (*apply)(Args);
};

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

const std::unordered_map<std::string_view, Function>& functions() {
  static const std::unordered_map<std::string_view, Function> table{
      {"Add", {1, kAny, add}},
      {"Mul", {1, kAny, mul}},
      {"Pow", {2, 2, power}},
      {"PowByNatural", {2, 2, [](Args a) { return Fraction{int_pow(a[0].value(), a[1].value())}; }}},
      {"FloatPow", {2, 2, [](Args a) { return Fraction{sym::pow(to_float(a[0]), to_float(a[1]))}; }}},
      {"Max", {1, kAny, [](Args a) { return Fraction{nary(Op::max, a)}; }}},
      {"Min", {1, kAny, [](Args a) { return Fraction{nary(Op::min, a)}; }}},
      {"Mod", {2, 2, [](Args a) { return Fraction{sym::mod(a[0].value(), a[1].value())}; }}},
      {"PythonMod", {2, 2, [](Args a) { return Fraction{sym::mod(a[0].value(), a[1].value())}; }}},
      {"FloorDiv", {2, 2, [](Args a) { return Fraction{floor_div(a)}; }}},
      {"CleanDiv", {2, 2, [](Args a) { return Fraction{floor_div(a)}; }}},
      {"CeilDiv", {2, 2, [](Args a) { return Fraction{sym::ceil_div(a[0].value(), a[1].value())}; }}},
      {"ModularIndexing", {3, 3, [](Args a) { return Fraction{sym::mod(floor_div(a.first(2)), a[2].value())}; }}},
      {"IntTrueDiv", {2, 2, [](Args a) { return Fraction{sym::true_div(a[0].value(), a[1].value())}; }}},
      {"FloatTrueDiv", {2, 2, [](Args a) { return Fraction{sym::true_div(a[0].value(), a[1].value())}; }}},
      {"LShift", {2, 2, [](Args a) { return Fraction{a[0].value() * int_pow(2, a[1].value())}; }}},
      {"RShift", {2, 2, [](Args a) { return Fraction{sym::floor_div(a[0].value(), int_pow(2, a[1].value()))}; }}},
      {"ToFloat", {1, 1, [](Args a) { return Fraction{to_float(a[0])}; }}},
      {"TruncToInt", {1, 1, [](Args a) { return Fraction{to_int(Op::trunc, a[0])}; }}},
      {"TruncToFloat", {1, 1, [](Args a) { return Fraction{unary(Op::to_float, to_int(Op::trunc, a[0]))}; }}},
      {"RoundToInt", {1, 1, [](Args a) { return Fraction{to_int(Op::round, a[0])}; }}},
      {"FloorToInt", {1, 1, [](Args a) { return Fraction{rounded(Op::floor, a[0])}; }}},
      {"floor", {1, 1, [](Args a) { return Fraction{rounded(Op::floor, a[0])}; }}},
      {"CeilToInt", {1, 1, [](Args a) { return Fraction{rounded(Op::ceil, a[0])}; }}},
      {"ceiling", {1, 1, [](Args a) { return Fraction{rounded(Op::ceil, a[0])}; }}},
      {"Abs", {1, 1, [](Args a) { return Fraction{unary(Op::abs, a[0].value())}; }}},
      {"OpaqueUnaryFn_sqrt", {1, 1, [](Args a) { return Fraction{unary(Op::sqrt, a[0].value())}; }}},
      {"Identity", {1, 1, [](Args a) { return a[0]; }}},
      {"Where", {3, 3, [](Args a) { return Fraction{sym::where(a[0].value(), a[1].value(), a[2].value())}; }}},
      {"ITE", {3, 3, [](Args a) { return Fraction{sym::where(a[0].value(), a[1].value(), a[2].value())}; }}},
      {"Piecewise", {2, kAny, [](Args a) { return Fraction{piecewise(a)}; }}},
      {"And", {1, kAny, [](Args a) { return Fraction{nary(Op::logical_and, a)}; }}},
      {"Or", {1, kAny, [](Args a) { return Fraction{nary(Op::logical_or, a)}; }}},
      {"Not", {1, 1, [](Args a) { return Fraction{unary(Op::logical_not, a[0].value())}; }}},
      {"Equality", {2, 2, [](Args a) { return Fraction{nary(Op::eq, a)}; }}},
      {"Eq", {2, 2, [](Args a) { return Fraction{nary(Op::eq, a)}; }}},
      {"Unequality", {2, 2, [](Args a) { return Fraction{nary(Op::ne, a)}; }}},
      {"Ne", {2, 2, [](Args a) { return Fraction{nary(Op::ne, a)}; }}},
      {"StrictLessThan", {2, 2, [](Args a) { return Fraction{nary(Op::lt, a)}; }}},
      {"Lt", {2, 2, [](Args a) { return Fraction{nary(Op::lt, a)}; }}},
      {"LessThan", {2, 2, [](Args a) { return Fraction{nary(Op::le, a)}; }}},
      {"Le", {2, 2, [](Args a) { return Fraction{nary(Op::le, a)}; }}},
      {"StrictGreaterThan", {2, 2, [](Args a) { return Fraction{nary(Op::gt, a)}; }}},
      {"Gt", {2, 2, [](Args a) { return Fraction{nary(Op::gt, a)}; }}},
      {"GreaterThan", {2, 2, [](Args a) { return Fraction{nary(Op::ge, a)}; }}},
      {"Ge", {2, 2, [](Args a) { return Fraction{nary(Op::ge, a)}; }}},
  };
  return table;
}

constexpr double kInf = std::numeric_limits<double>::infinity();

const std::unordered_map<std::string_view, Expr>& constants() {
  static const std::unordered_map<std::string_view, Expr> table{
      {"true", 1},  // also booleans of a Symbol's assumptions, which are skipped
      {"false", 0},
      {"oo", Expr::real(kInf)},
      {"nan", Expr::real(std::numeric_limits<double>::quiet_NaN())},
      {"int_oo", std::numeric_limits<std::int64_t>::max()},
  };
  return table;
}

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

class Parser {
 public:
  Parser(std::string_view text, int max_depth) : text_(text), depth_left_(max_depth) {}

  Fraction parse() {
    Fraction result = expression();
    skip_blanks();
    REPRISE_CHECK(at_ == text_.size(), FormatError, "there is text after the expression");
    return result;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  bool take(char c) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void want(char c) { REPRISE_CHECK(take(c), FormatError, "'{}' is missing at offset {}", c, at_); }

  std::string_view word() {
    skip_blanks();
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    REPRISE_CHECK(quote == '\'' || quote == '"', FormatError, "a quoted text is missing at offset {}", at_);
    const std::size_t end = text_.find(quote, at_ + 1);
    REPRISE_CHECK(end != std::string_view::npos, FormatError, "a quoted text has no end");
    const std::string_view result = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return result;
  }

  std::int64_t integer() {
    skip_blanks();
    std::int64_t value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    REPRISE_CHECK(error == std::errc(), FormatError, "no integer of 64 bits at offset {}", at_);
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }

  Fraction expression() {
    REPRISE_CHECK(depth_left_ > 0, FormatError, "it nests too deeply");
    --depth_left_;
    Fraction result = take('-') ? negated(expression()) : term();
    ++depth_left_;
    return result;
  }

  static Fraction negated(const Fraction& f) { return {-f.num, f.den}; }

  Fraction term() {
    const std::string_view name = word();
    if (!take('(')) {
      const auto constant = constants().find(name);
      REPRISE_CHECK(constant != constants().end(), FormatError, "'{}' is not known", name);
      return {constant->second};
    }
    if (name == "Symbol") return {symbol()};
    if (name == "Integer") return {closed(Expr(integer()))};
    if (name == "Rational") return rational();
    if (name == "Float") return {real()};
    return call(name);
  }

  Expr closed(Expr e) {
    want(')');
    return e;
  }

  Expr symbol() {
    const std::string_view name = quoted();
    REPRISE_CHECK(!name.empty() && name.size() <= 64, FormatError, "a symbol's name is empty or too long");
    for (const char c : name) REPRISE_CHECK(is_word(c), FormatError, "the symbol '{}' has an odd name", name);
    skip_assumptions();
    return Expr::symbol(name);
  }

  /// `, positive=True, precision=53)`
  void skip_assumptions() {
    while (take(',')) {
      word();
      want('=');
      word();
    }
    want(')');
  }

  Fraction rational() {
    const std::int64_t num = integer();
    want(',');
    const std::int64_t den = integer();
    REPRISE_CHECK(den > 0, FormatError, "a Rational has the denominator {}", den);
    return {closed(Expr(num)), Expr(den)};
  }

  Expr real() {
    const std::string_view digits = quoted();
    skip_assumptions();
    if (digits == "inf" || digits == "oo") return Expr::real(kInf);
    if (digits == "-inf" || digits == "-oo") return Expr::real(-kInf);
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    REPRISE_CHECK(error == std::errc() && end == digits.data() + digits.size(), FormatError, "'{}' is not a real number", digits);
    return Expr::real(value);
  }

  Fraction call(std::string_view name) {
    const auto found = functions().find(name);
    REPRISE_CHECK(found != functions().end(), FormatError, "the function '{}' is not known", name);
    const std::vector<Fraction> args = name == "Piecewise" ? pairs() : arguments();
    const Function& f = found->second;
    REPRISE_CHECK(args.size() >= f.min_args && args.size() <= f.max_args, FormatError, "{} has {} operands", name, args.size());
    return f.apply(args);
  }

  std::vector<Fraction> arguments() {
    std::vector<Fraction> args;
    do args.push_back(expression());
    while (take(','));
    want(')');
    return args;
  }

  std::vector<Fraction> pairs() {
    std::vector<Fraction> flat;
    do {
      REPRISE_CHECK(word() == "ExprCondPair", FormatError, "a Piecewise holds something else than pairs");
      want('(');
      flat.push_back(expression());
      want(',');
      flat.push_back(expression());
      want(')');
    } while (take(','));
    want(')');
    return flat;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_left_;
};

}  // namespace

Expr parse_srepr(std::string_view text, SymKind kind, int max_depth) {
  try {
    REPRISE_CHECK(text.size() <= kMaxText, FormatError, "it is longer than {} characters", kMaxText);
    const Fraction result = Parser(text, max_depth).parse();
    return kind == SymKind::integer && !result.num.is_real() && !result.den.is_real() ? floor_of(result) : result.value();
  } catch (const Error& e) {
    REPRISE_FAIL(FormatError, "[import/expression] cannot read '{}{}': {}", text.substr(0, 120), text.size() > 120 ? "…" : "", e.what());
  }
}

}  // namespace reprise::import
