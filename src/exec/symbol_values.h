// The values of a plan's symbols during one call: those that inputs bind from the start, those that data defines as the call proceeds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sym/evaluate.h"
#include "sym/expr.h"

namespace reprise::exec {

class SymbolValues {
 public:
  /// `table` must outlive this.
  explicit SymbolValues(const sym::SymbolTable& table) : table_(&table), values_(static_cast<std::size_t>(table.size())) {}

  /// Forgets all; `known[i]` tells whether values[i] counts.
  void reset(std::span<const std::int64_t> values, std::span<const bool> known);
  void set(int symbol, sym::Number value) { values_[static_cast<std::size_t>(symbol)] = value; }
  void forget(int symbol) { values_[static_cast<std::size_t>(symbol)].reset(); }
  [[nodiscard]] const std::optional<sym::Number>& at(int symbol) const { return values_[static_cast<std::size_t>(symbol)]; }

  /// nullopt when a symbol that `e` needs has no value yet.
  [[nodiscard]] std::optional<sym::Number> try_number(const sym::Expr& e) const;
  /// Throws Error naming the expression where try_number gives nullopt; ShapeError on division by zero or overflow.
  [[nodiscard]] sym::Number number(const sym::Expr& e) const;
  [[nodiscard]] std::int64_t integer(const sym::Expr& e) const {
    if (const auto constant = e.as_int()) return *constant;
    return number(e).as_int();
  }
  /// A count of bytes or elements: as `integer`, and ShapeError when negative.
  [[nodiscard]] std::size_t size(const sym::Expr& e) const;

 private:
  const sym::SymbolTable* table_;
  std::vector<std::optional<sym::Number>> values_;
};

/// "1..16", "at least 1", "4".
std::string range_text(std::int64_t min, std::int64_t max);

/// Same kind and same bits; NaN equals NaN.
bool same(const sym::Number& a, const sym::Number& b);

}  // namespace reprise::exec
