#include "core/scalar_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace reprise::core {
namespace {

constexpr std::size_t kMaxCode = 1u << 16;
constexpr int kMaxNesting = 12;  // in the printed text

/// What an operation demands of its type; operands share it unless said otherwise.
enum class Domain : std::uint8_t { any, number, real, integer, bits, from_any, to_boolean, logic };

struct Info {
  ScalarOp op;
  std::string_view name;
  int operands;
  Domain domain;
};

using enum ScalarOp;
using enum Domain;
constexpr auto kOps = std::to_array<Info>({
    {ScalarOp::input, "input", 0, any},
    {constant, "constant", 0, any},
    {symbol, "symbol", 0, any},
    {cast, "cast", 1, from_any},
    {where, "where", 3, any},
    {bitcast, "bitcast", 1, from_any},
    {add, "add", 2, number},
    {sub, "sub", 2, number},
    {mul, "mul", 2, number},
    {ScalarOp::div, "div", 2, real},
    {floor_div, "floor_div", 2, number},
    {trunc_div, "trunc_div", 2, number},
    {ScalarOp::remainder, "remainder", 2, number},
    {ScalarOp::fmod, "fmod", 2, number},
    {ScalarOp::pow, "pow", 2, number},
    {minimum, "minimum", 2, any},
    {maximum, "maximum", 2, any},
    {ScalarOp::fmin, "fmin", 2, any},
    {ScalarOp::fmax, "fmax", 2, any},
    {ScalarOp::atan2, "atan2", 2, real},
    {ScalarOp::hypot, "hypot", 2, real},
    {ScalarOp::copysign, "copysign", 2, real},
    {ScalarOp::nextafter, "nextafter", 2, real},
    {gcd, "gcd", 2, integer},
    {ScalarOp::ldexp, "ldexp", 2, real},
    {ScalarOp::fma, "fma", 3, number},
    {bit_and, "bit_and", 2, bits},
    {bit_or, "bit_or", 2, bits},
    {bit_xor, "bit_xor", 2, bits},
    {bit_not, "bit_not", 1, bits},
    {shift_left, "shift_left", 2, integer},
    {shift_right, "shift_right", 2, integer},
    {eq, "eq", 2, to_boolean},
    {ne, "ne", 2, to_boolean},
    {lt, "lt", 2, to_boolean},
    {le, "le", 2, to_boolean},
    {gt, "gt", 2, to_boolean},
    {ge, "ge", 2, to_boolean},
    {logical_and, "logical_and", 2, logic},
    {logical_or, "logical_or", 2, logic},
    {logical_xor, "logical_xor", 2, logic},
    {logical_not, "logical_not", 1, logic},
    {is_nan, "is_nan", 1, to_boolean},
    {is_inf, "is_inf", 1, to_boolean},
    {is_finite, "is_finite", 1, to_boolean},
    {ScalarOp::signbit, "signbit", 1, to_boolean},
    {neg, "neg", 1, number},
    {ScalarOp::abs, "abs", 1, number},
    {sign, "sign", 1, number},
    {reciprocal, "reciprocal", 1, real},
    {ScalarOp::sqrt, "sqrt", 1, real},
    {rsqrt, "rsqrt", 1, real},
    {ScalarOp::exp, "exp", 1, real},
    {ScalarOp::exp2, "exp2", 1, real},
    {ScalarOp::expm1, "expm1", 1, real},
    {ScalarOp::log, "log", 1, real},
    {ScalarOp::log2, "log2", 1, real},
    {ScalarOp::log10, "log10", 1, real},
    {ScalarOp::log1p, "log1p", 1, real},
    {ScalarOp::sin, "sin", 1, real},
    {ScalarOp::cos, "cos", 1, real},
    {ScalarOp::tan, "tan", 1, real},
    {ScalarOp::asin, "asin", 1, real},
    {ScalarOp::acos, "acos", 1, real},
    {ScalarOp::atan, "atan", 1, real},
    {ScalarOp::sinh, "sinh", 1, real},
    {ScalarOp::cosh, "cosh", 1, real},
    {ScalarOp::tanh, "tanh", 1, real},
    {ScalarOp::asinh, "asinh", 1, real},
    {ScalarOp::acosh, "acosh", 1, real},
    {ScalarOp::atanh, "atanh", 1, real},
    {ScalarOp::erf, "erf", 1, real},
    {ScalarOp::erfc, "erfc", 1, real},
    {erfinv, "erfinv", 1, real},
    {ScalarOp::lgamma, "lgamma", 1, real},
    {digamma, "digamma", 1, real},
    {i0, "i0", 1, real},
    {i0e, "i0e", 1, real},
    {i1, "i1", 1, real},
    {i1e, "i1e", 1, real},
    {ndtri, "ndtri", 1, real},
    {log_ndtr, "log_ndtr", 1, real},
    {ScalarOp::floor, "floor", 1, real},
    {ScalarOp::ceil, "ceil", 1, real},
    {ScalarOp::trunc, "trunc", 1, real},
    {ScalarOp::round, "round", 1, real},
    {sigmoid, "sigmoid", 1, real},
    {igamma, "igamma", 2, real},
    {igammac, "igammac", 2, real},
    {zeta, "zeta", 2, real},
    {polygamma, "polygamma", 2, real},
    {erfcx, "erfcx", 1, real},
});
static_assert(std::is_sorted(kOps.begin(), kOps.end(), [](const Info& a, const Info& b) { return a.op < b.op; }));

const Info& info(ScalarOp op) {
  const auto at = std::lower_bound(kOps.begin(), kOps.end(), op, [](const Info& i, ScalarOp o) { return i.op < o; });
  REPRISE_CHECK(at != kOps.end() && at->op == op, FormatError, "[core/scalar] not a scalar operation (got number {})", static_cast<int>(op));
  return *at;
}

bool accepts(Domain domain, DType t) {
  switch (domain) {
    case Domain::number:
      return t != DType::boolean;
    case Domain::real:
      return is_floating(t);
    case Domain::integer:
      return is_integral(t);
    case Domain::bits:
      return !is_floating(t);
    case Domain::to_boolean:
    case Domain::logic:
      return t == DType::boolean;
    default:
      return true;
  }
}

class Verifier {
 public:
  explicit Verifier(const ScalarProgram& program) : p_(program) {}

  void run() {
    REPRISE_CHECK(p_.code.size() <= kMaxCode, FormatError, "[core/scalar] program too long (got {} instructions, limit {})", p_.code.size(), kMaxCode);
    for (DType t : p_.inputs) check_dtype(t);
    for (at_ = 0; at_ < p_.code.size(); ++at_) instruction(p_.code[at_]);
    for (int out : p_.outputs) {
      REPRISE_CHECK(out >= 0 && static_cast<std::size_t>(out) < p_.code.size(), FormatError, "[core/scalar] output refers to no instruction (got {} of {})",
                    out, p_.code.size());
    }
  }

 private:
  void require(bool condition, std::string_view what) const {
    REPRISE_CHECK(condition, FormatError, "[core/scalar] instruction {}: {} (got {} of {})", at_, what, name(p_.code[at_].op),
                  reprise::name(p_.code[at_].type));
  }

  static void check_dtype(DType t) {
    REPRISE_CHECK(static_cast<int>(t) < kDTypeCount, FormatError, "[core/scalar] not a dtype (got number {})", static_cast<int>(t));
  }

  DType type_of(int operand) const {
    require(operand >= 0 && static_cast<std::size_t>(operand) < at_, "operand does not precede it");
    return p_.code[static_cast<std::size_t>(operand)].type;
  }

  void leaf(const Instr& i) const {
    const auto below = [&](std::size_t size) { return i.imm_int >= 0 && static_cast<std::uint64_t>(i.imm_int) < size; };
    if (i.op == ScalarOp::symbol) require(below(p_.symbols.size()), "no such symbol");
    if (i.op != ScalarOp::input) return;
    require(below(p_.inputs.size()), "no such input");
    require(p_.inputs[static_cast<std::size_t>(i.imm_int)] == i.type, "dtype differs from the input's");
  }

  void instruction(const Instr& i) const {
    check_dtype(i.type);
    const Info& op = info(i.op);
    require(accepts(op.domain, i.type), "dtype not allowed");
    if (op.operands == 0) return leaf(i);
    const int operands[] = {i.a, i.b, i.c};
    const bool chooses = i.op == ScalarOp::where;
    if (chooses) require(type_of(i.a) == DType::boolean, "condition is not boolean");
    const DType want = op.domain == to_boolean || op.domain == from_any ? type_of(i.a) : i.type;
    if (i.op == bitcast) require(item_size(type_of(i.a)) == item_size(i.type), "sizes of bitcast dtypes differ");
    for (int k = chooses ? 1 : 0; k < op.operands; ++k) require(type_of(operands[k]) == want, "operand dtypes differ");
  }

  const ScalarProgram& p_;
  std::size_t at_ = 0;
};

class Printer {
 public:
  explicit Printer(const ScalarProgram& program) : p_(program), named_(program.code.size()) {
    std::vector<int> uses(p_.code.size()), depth(p_.code.size());
    for (const Instr& i : p_.code) {
      for (int operand : operands(i)) ++uses[static_cast<std::size_t>(operand)];
    }
    for (int out : p_.outputs) ++uses[static_cast<std::size_t>(out)];
    for (std::size_t i = 0; i < p_.code.size(); ++i) {
      for (int operand : operands(p_.code[i])) depth[i] = std::max(depth[i], depth[static_cast<std::size_t>(operand)] + 1);
      named_[i] = depth[i] > 0 && (uses[i] > 1 || depth[i] > kMaxNesting);
      if (named_[i]) depth[i] = 0;
    }
  }

  std::string run() const {
    std::string out;
    const auto line = [&](std::string_view target, std::size_t value, const std::string& text) {
      out += fmt::format("{}{}{} = {}", out.empty() ? "" : "; ", target, value, text);
    };
    for (std::size_t i = 0; i < p_.code.size(); ++i) {
      if (named_[i]) line("t", i, text(i));
    }
    for (std::size_t k = 0; k < p_.outputs.size(); ++k) line("out", k, reference(p_.outputs[k]));
    return out;
  }

 private:
  std::vector<int> operands(const Instr& i) const {
    const int all[] = {i.a, i.b, i.c};
    return {all, all + operand_count(i.op)};
  }
  std::string reference(int i) const {
    const auto index = static_cast<std::size_t>(i);
    return named_[index] ? fmt::format("t{}", i) : text(index);
  }

  std::string text(std::size_t index) const {
    const Instr& i = p_.code[index];
    if (i.op == ScalarOp::input) return fmt::format("in{}", i.imm_int);
    if (i.op == ScalarOp::symbol) return p_.symbols[static_cast<std::size_t>(i.imm_int)].str();
    if (i.op == constant) return is_floating(i.type) ? fmt::format("{}", i.imm_real) : fmt::format("{}", i.imm_int);
    std::string arguments;
    for (int operand : operands(i)) arguments += (arguments.empty() ? "" : ", ") + reference(operand);
    return fmt::format("{}({})", i.op == cast ? reprise::name(i.type) : name(i.op), arguments);
  }

  const ScalarProgram& p_;
  std::vector<bool> named_;  // used twice or nested deeply: gets a line of its own, so that the text stays as long as the code
};

}  // namespace

int operand_count(ScalarOp op) { return info(op).operands; }
std::string_view name(ScalarOp op) { return info(op).name; }

void ScalarProgram::verify() const { Verifier(*this).run(); }

std::string ScalarProgram::str() const { return Printer(*this).run(); }

}  // namespace reprise::core
