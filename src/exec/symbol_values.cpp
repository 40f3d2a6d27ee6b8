#include "exec/symbol_values.h"

#include <bit>

#include "base/check.h"

namespace reprise::exec {

void SymbolValues::reset(std::span<const std::int64_t> values, std::span<const bool> known) {
  for (std::size_t i = 0; i < values_.size(); ++i) values_[i] = known[i] ? std::optional(sym::Number::of(values[i])) : std::nullopt;
}

std::optional<sym::Number> SymbolValues::try_number(const sym::Expr& e) const {
  if (const auto constant = e.as_int()) return sym::Number::of(*constant);
  return sym::evaluate(e, [this](const std::string& name) -> std::optional<sym::Number> {
    const int symbol = table_->find(name);
    return symbol < 0 ? std::nullopt : at(symbol);
  });
}

sym::Number SymbolValues::number(const sym::Expr& e) const {
  const auto value = try_number(e);
  REPRISE_CHECK(value.has_value(), Error, "[run/bind] no input and no earlier step gives a value to a symbol of '{}'", e.str());
  return *value;
}

std::size_t SymbolValues::size(const sym::Expr& e) const {
  const std::int64_t value = integer(e);
  REPRISE_CHECK(value >= 0, ShapeError, "[run/bind] a size is negative (got {} = {})", e.str(), value);
  return static_cast<std::size_t>(value);
}

std::string range_text(std::int64_t min, std::int64_t max) {
  if (max == sym::kUnbounded) return fmt::format("at least {}", min);
  return min == max ? fmt::format("{}", min) : fmt::format("{}..{}", min, max);
}

bool same(const sym::Number& a, const sym::Number& b) {
  if (a.is_real != b.is_real) return false;
  return a.is_real ? std::bit_cast<std::uint64_t>(a.real) == std::bit_cast<std::uint64_t>(b.real) : a.integer == b.integer;
}

}  // namespace reprise::exec
