// Symbolic integers: immutable expressions over named symbols, kept in canonical form.
//
// An Expr is a shared pointer to an immutable node, or a small integer held inline: copying is cheap and thread safe. The constructors
// below canonicalize (sums and products are flattened, like terms collected, operands sorted, constants folded), so two expressions that
// are equal as polynomials over their atoms compare equal with `==`.
// Rules follow PyTorch's: floor_div and mod round toward minus infinity; relations give 0 or 1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::sym {

/// A value of an expression: an integer, or a real where the expression holds `to_float`, `true_div` or a real constant.
struct Number {
  bool is_real = false;
  std::int64_t integer = 0;
  double real = 0;

  static Number of(std::int64_t v) { return {false, v, 0}; }
  static Number of_real(double v) { return {true, 0, v}; }
  [[nodiscard]] double as_real() const { return is_real ? real : static_cast<double>(integer); }
  /// Truncates a real toward zero.
  [[nodiscard]] std::int64_t as_int() const { return is_real ? static_cast<std::int64_t>(real) : integer; }
};

/// The numbers are part of the `.rpz` format: append, never renumber.
enum class Op : std::uint8_t {
  integer = 0,
  real = 1,
  symbol = 2,
  add = 3,
  mul = 4,  // n-ary
  pow = 5,  // base, exponent (integers: exponent >= 0)
  floor_div = 6,
  mod = 7,
  true_div = 8,
  min = 9,
  max = 10,  // n-ary
  eq = 11,
  ne = 12,
  lt = 13,
  le = 14,
  gt = 15,
  ge = 16,
  logical_and = 17,
  logical_or = 18,
  logical_not = 19,
  to_float = 20,
  trunc = 21,
  floor = 22,
  ceil = 23,
  round = 24,  // round: half to even
  where = 25,  // condition, then, else
  sqrt = 26,
  abs = 27
};

class Expr {
 public:
  Expr() = default;                            // 0
  Expr(std::int64_t value) : value_(value) {}  // NOLINT(google-explicit-constructor): sizes read naturally
  Expr(int value) : value_(value) {}           // NOLINT(google-explicit-constructor)
  /// Names are [A-Za-z_][A-Za-z0-9_.]*, else InvalidArgument. As in PyTorch, "zf…" and "zuf…" (from floats) have real values, all others are integers.
  static Expr symbol(std::string_view name);
  static Expr real(double value);
  /// Builds any operation in canonical form. Throws InvalidArgument on a wrong operand count.
  static Expr make(Op op, std::span<const Expr> operands);

  [[nodiscard]] Op op() const;
  [[nodiscard]] std::span<const Expr> operands() const;  // empty for leaves
  [[nodiscard]] const std::string& symbol_name() const;  // op() == symbol
  [[nodiscard]] double real_value() const;               // op() == real

  [[nodiscard]] bool is_int() const { return node_ == nullptr; }
  [[nodiscard]] std::optional<std::int64_t> as_int() const;
  [[nodiscard]] bool is_symbol() const { return op() == Op::symbol; }
  [[nodiscard]] bool is_real() const;  // its value is a real

  /// True when both are the same canonical expression: proof of equality. False proves nothing.
  friend bool operator==(const Expr& a, const Expr& b);
  friend Expr operator+(const Expr& a, const Expr& b);
  friend Expr operator-(const Expr& a, const Expr& b);
  friend Expr operator*(const Expr& a, const Expr& b);
  friend Expr operator-(const Expr& a);

  /// Human form: "32*s27 + 1", "(s0 - 1)//2", "min(s0, 8)".
  [[nodiscard]] std::string str() const;
  [[nodiscard]] std::size_t hash() const;
  /// A total order for canonical operand lists; no meaning beyond that.
  [[nodiscard]] int compare(const Expr& other) const;

  struct Node;

 private:
  friend struct ExprAccess;
  explicit Expr(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;  // null: the integer value_
  std::int64_t value_ = 0;
};

struct ExprHash {
  std::size_t operator()(const Expr& e) const { return e.hash(); }
};

using Shape = std::vector<Expr>;

Expr floor_div(const Expr& a, const Expr& b);
Expr ceil_div(const Expr& a, const Expr& b);  // -floor_div(-a, b)
Expr mod(const Expr& a, const Expr& b);
Expr pow(const Expr& a, const Expr& b);
Expr true_div(const Expr& a, const Expr& b);
Expr min(const Expr& a, const Expr& b);
Expr max(const Expr& a, const Expr& b);
Expr compare(Op relation, const Expr& a, const Expr& b);
Expr where(const Expr& condition, const Expr& a, const Expr& b);

/// Product of all, 1 for none.
Expr product(std::span<const Expr> factors);
/// Row-major strides in elements: stride[i] = product of sizes after i. A size of 0 or a symbol is multiplied as it is.
Shape contiguous_strides(std::span<const Expr> sizes);
bool equal(std::span<const Expr> a, std::span<const Expr> b);
bool is_static(std::span<const Expr> sizes);

/// Names of all symbols in `e`, appended to `out` without repeats.
void collect_symbols(const Expr& e, std::vector<std::string>& out);
/// Replaces symbols; `f` returns nullopt for one that stays.
Expr substitute(const Expr& e, const std::function<std::optional<Expr>(const std::string&)>& f);
std::string str(std::span<const Expr> shape);  // "[s0, 3, 2*s1]"

}  // namespace reprise::sym
