// The two texts of an expression: infix for people, prefix for files.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "sym/evaluate.h"
#include "sym/node.h"

namespace reprise::sym {
namespace {

constexpr std::array<std::string_view, 28> kTokens = {"",   "",  "",   "+",   "*",  "**",  "//",    "%",     "/",     "min",  "max",   "==",    "!=",   "<",
                                                      "<=", ">", ">=", "and", "or", "not", "float", "trunc", "floor", "ceil", "round", "where", "sqrt", "abs"};
constexpr int kMaxDepth = 200;
constexpr std::size_t kMaxText = 1u << 20;

std::string_view token(Op op) { return kTokens[static_cast<std::size_t>(op)]; }

// ---- infix

enum Precedence { kOr, kAnd, kNot, kRelation, kSum, kProduct, kPower, kAtom };

Precedence precedence(const Expr& e) {
  switch (e.op()) {
    case Op::integer:
      return *e.as_int() < 0 ? kSum : kAtom;
    case Op::logical_or:
      return kOr;
    case Op::logical_and:
      return kAnd;
    case Op::logical_not:
      return kNot;
    case Op::add:
      return kSum;
    case Op::mul:
    case Op::floor_div:
    case Op::mod:
    case Op::true_div:
      return kProduct;
    case Op::pow:
      return kPower;
    default:
      return e.op() >= Op::eq && e.op() <= Op::ge ? kRelation : kAtom;
  }
}

std::string infix(const Expr& e, int at_least) {
  std::string text = e.str();
  return precedence(e) < at_least ? "(" + text + ")" : text;
}

std::string join(std::span<const Expr> operands, std::string_view separator, int at_least) {
  std::string out;
  for (const Expr& e : operands) {
    if (!out.empty()) out += separator;
    out += infix(e, at_least);
  }
  return out;
}

/// "a + b - 2*c"
std::string sum_text(std::span<const Expr> terms) {
  std::string out;
  for (const Expr& term : terms) {
    const std::string text = infix(term, kSum);
    if (out.empty()) {
      out = text;
    } else if (text.starts_with('-')) {
      out += " - " + text.substr(1);
    } else {
      out += " + " + text;
    }
  }
  return out;
}

/// Repeated factors print as powers, a leading -1 as a sign.
std::string product_text(std::span<const Expr> factors) {
  std::string out;
  for (std::size_t i = 0; i < factors.size();) {
    std::size_t n = 1;
    while (i + n < factors.size() && factors[i + n] == factors[i]) ++n;
    if (i == 0 && factors[0] == -1) {
      out = "-";
    } else {
      if (!out.empty() && out != "-") out += "*";
      const bool first_constant = i == 0 && factors[0].is_int();
      out += infix(factors[i], n > 1 ? kPower + 1 : (first_constant ? kSum : kProduct + (factors[i].op() != Op::mul)));
      if (n > 1) out += fmt::format("**{}", n);
    }
    i += n;
  }
  return out;
}

std::string binary_text(const Expr& e, std::string_view separator, int level) {
  return infix(e.operands()[0], level) + std::string(separator) + infix(e.operands()[1], level + 1);
}

std::string call_text(const Expr& e) { return fmt::format("{}({})", token(e.op()), join(e.operands(), ", ", kOr)); }

// ---- prefix

void encode(const Expr& e, std::string& out) {
  switch (e.op()) {
    case Op::integer:
      fmt::format_to(std::back_inserter(out), "{}", *e.as_int());
      return;
    case Op::real:
      fmt::format_to(std::back_inserter(out), "#{}", e.real_value());
      return;
    case Op::symbol:
      out += e.symbol_name();
      return;
    default:
      break;
  }
  out += '(';
  out += token(e.op());
  for (const Expr& operand : e.operands()) {
    out += ' ';
    encode(operand, out);
  }
  out += ')';
}

class Decoder {
 public:
  explicit Decoder(std::string_view text) : text_(text) {}

  Expr whole() {
    Expr e = expression(0);
    if (at_ != text_.size()) fail("text after the expression");
    return e;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const { REPRISE_FAIL(FormatError, "[sym/decode] {} at {} (got '{}')", what, at_, base::printable(text_, 80)); }

  Expr expression(int depth) {
    if (depth > kMaxDepth) fail("nested too deeply");
    if (at_ < text_.size() && text_[at_] == '(') return operation(depth);
    const std::string_view word = next_word();
    if (word.empty()) fail("expression expected");
    if (word[0] == '#') return real(word.substr(1));
    if (word[0] == '-' || (word[0] >= '0' && word[0] <= '9')) return number<std::int64_t>(word);
    try {
      return Expr::symbol(word);
    } catch (const InvalidArgument&) {
      fail("bad symbol");
    }
  }

  Expr operation(int depth) {
    ++at_;
    const Op op = operation_named(next_word());
    std::vector<Expr> operands;
    while (at_ < text_.size() && text_[at_] == ' ') {
      ++at_;
      operands.push_back(expression(depth + 1));
    }
    if (at_ == text_.size() || text_[at_] != ')') fail("')' expected");
    ++at_;
    try {
      return Expr::make(op, operands);
    } catch (const InvalidArgument&) {
      fail("wrong number of operands");
    }
  }

  Op operation_named(std::string_view word) const {
    for (std::size_t i = static_cast<std::size_t>(Op::add); i < kTokens.size(); ++i) {
      if (kTokens[i] == word) return static_cast<Op>(i);
    }
    fail("unknown operation");
  }

  template <class T>
  T number(std::string_view word) const {
    T value{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size()) fail("bad number");
    return value;
  }
  Expr real(std::string_view word) const { return Expr::real(number<double>(word)); }

  std::string_view next_word() {
    const std::size_t end = std::min(text_.find_first_of(" ()", at_), text_.size());
    const std::string_view word = text_.substr(at_, end - at_);
    at_ = end;
    return word;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::string Expr::str() const {
  switch (op()) {
    case Op::integer:
      return fmt::format("{}", value_);
    case Op::real:
      return std::isfinite(real_value()) && real_value() == std::trunc(real_value()) && std::fabs(real_value()) < 1e15 ? fmt::format("{:.1f}", real_value())
                                                                                                                       : fmt::format("{}", real_value());
    case Op::symbol:
      return symbol_name();
    case Op::add:
      return sum_text(operands());
    case Op::mul:
      return product_text(operands());
    case Op::pow:
      return infix(operands()[0], kAtom) + "**" + infix(operands()[1], kAtom);
    case Op::floor_div:
      return binary_text(*this, "//", kProduct);
    case Op::mod:
      return binary_text(*this, " % ", kProduct);
    case Op::true_div:
      return binary_text(*this, "/", kProduct);
    case Op::logical_and:
      return join(operands(), " and ", kAnd + 1);
    case Op::logical_or:
      return join(operands(), " or ", kOr + 1);
    case Op::logical_not:
      return "not " + infix(operands()[0], kNot);
    default:
      break;
  }
  const bool relation = op() >= Op::eq && op() <= Op::ge;
  return relation ? binary_text(*this, fmt::format(" {} ", token(op())), kRelation + 1) : call_text(*this);
}

std::string str(std::span<const Expr> shape) { return "[" + join(shape, ", ", kOr) + "]"; }

std::string encode(const Expr& e) {
  std::string out;
  encode(e, out);
  return out;
}

Expr decode(std::string_view text) {
  REPRISE_CHECK(text.size() <= kMaxText, FormatError, "[sym/decode] text too long (got {} bytes, limit {})", text.size(), kMaxText);
  return Decoder(text).whole();
}

}  // namespace reprise::sym
