// Values, ranges and upper bounds of symbolic expressions.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sym/expr.h"

namespace reprise::sym {

inline constexpr std::int64_t kUnbounded = std::numeric_limits<std::int64_t>::max();

struct Range {
  std::int64_t min = 0;
  std::int64_t max = kUnbounded;
};

/// The symbols of one program, in a fixed order. `unbacked`: its value comes from data (u0), not from an input's size.
struct SymbolInfo {
  std::string name = {};
  Range range = {};
  bool unbacked = false;
  std::optional<std::int64_t> hint = {};  // the value at export
};

class SymbolTable {
 public:
  /// Adds or returns the index of `name`; the info of an existing one is kept.
  int add(SymbolInfo info);
  [[nodiscard]] int find(std::string_view name) const;  // -1: not there
  [[nodiscard]] std::span<const SymbolInfo> all() const { return infos_; }
  [[nodiscard]] SymbolInfo& at(int index) { return infos_.at(static_cast<std::size_t>(index)); }
  [[nodiscard]] const SymbolInfo& at(int index) const { return infos_.at(static_cast<std::size_t>(index)); }
  [[nodiscard]] int size() const { return static_cast<int>(infos_.size()); }

 private:
  std::vector<SymbolInfo> infos_;
  std::unordered_map<std::string, int> index_;
};

/// Smallest and largest value by interval arithmetic, saturating: max == kUnbounded means that no bound is known, and so does min == INT64_MIN. Of a real,
/// integers that enclose it. Division by zero and overflow are taken not to happen. Symbols outside the table have no bounds.
Range bounds(const Expr& e, const SymbolTable& symbols);
/// True when the bounds prove it.
bool provably_ge(const Expr& a, const Expr& b, const SymbolTable& symbols);
/// Resolves what the ranges decide: relations, operands of min and max, conditions; a symbol of one possible value becomes that value.
Expr simplify(const Expr& e, const SymbolTable& symbols);

/// A list of expressions compiled to flat code. `run` allocates nothing and may be called from many threads.
class Evaluator {
 public:
  explicit Evaluator(const SymbolTable& symbols) : symbols_(&symbols) {}
  /// Returns the slot of the value in `run`'s output. Equal expressions share a slot. Throws InvalidArgument on an unknown symbol.
  int add(const Expr& e);
  [[nodiscard]] int size() const { return static_cast<int>(steps_.size()); }
  /// `values[i]` is the value of symbol i; `out` has size() elements. A symbol that is not known yet (`known[i]` false) makes the slots that
  /// need it keep their old value; an empty `known` means all are. Throws ShapeError on division by zero or overflow.
  void run(std::span<const Number> values, std::span<const bool> known, std::span<Number> out) const;
  /// True when `slot` depends on an unbacked symbol.
  [[nodiscard]] bool depends_on_data(int slot) const;

 private:
  struct Step {
    Op op;
    int first, count;                // operands_[first, first + count): earlier steps
    Number constant;                 // integer, real; of a symbol, integer is its index
    int first_symbol, symbol_count;  // symbols_used_: all that the step depends on
  };
  [[nodiscard]] bool is_known(const Step& step, std::span<const bool> known) const;
  const char* compute(const Step& step, std::span<const Number> values, std::span<Number> out) const;

  // Every step is a slot: the caller's `out` holds the intermediate values, too.
  const SymbolTable* symbols_;
  std::vector<Step> steps_;
  std::vector<int> operands_;
  std::vector<int> symbols_used_;
  std::vector<Expr> expressions_;  // per step, for messages
  std::unordered_map<Expr, int, ExprHash> slot_of_;
};

/// Evaluates once; slower than Evaluator. nullopt when a symbol has no value.
std::optional<Number> evaluate(const Expr& e, const std::function<std::optional<Number>(const std::string&)>& value_of);

/// Text of the `.rpz` format, e.g. "(+ (* 32 s27) 1)"; parse checks depth (<= 200), operand counts and names, and throws FormatError.
std::string encode(const Expr& e);
Expr decode(std::string_view text);

}  // namespace reprise::sym
