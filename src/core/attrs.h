// Attributes of a core op: a small ordered dictionary with a closed set of value types, so that printing, hashing and the `.rpz` format need one
// piece of code each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/scalar_program.h"
#include "reprise/dtype.h"
#include "sym/expr.h"

namespace reprise::core {

using Attr = std::variant<bool, sym::Expr, double, std::string, DType, std::vector<sym::Expr>, std::vector<double>, ScalarProgramPtr>;

class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string, Attr>> items);

  Attrs& set(std::string_view key, Attr value);  // replaces
  [[nodiscard]] const Attr* find(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }

  // Typed readers: throw FormatError naming the key when it is absent or of another type (a plan read from a file is hostile).
  [[nodiscard]] bool flag(std::string_view key) const;
  [[nodiscard]] bool flag(std::string_view key, bool fallback) const;
  [[nodiscard]] const sym::Expr& integer(std::string_view key) const;
  [[nodiscard]] std::int64_t fixed(std::string_view key) const;  // an integer that is a constant
  [[nodiscard]] double real(std::string_view key) const;         // an integer constant reads as a real too
  [[nodiscard]] const std::string& text(std::string_view key) const;
  [[nodiscard]] DType dtype(std::string_view key) const;
  [[nodiscard]] const std::vector<sym::Expr>& ints(std::string_view key) const;
  [[nodiscard]] std::vector<std::int64_t> fixed_ints(std::string_view key) const;
  [[nodiscard]] const std::vector<double>& reals(std::string_view key) const;
  [[nodiscard]] const ScalarProgramPtr& program(std::string_view key) const;

  /// Sorted by key.
  [[nodiscard]] const std::vector<std::pair<std::string, Attr>>& items() const { return items_; }
  [[nodiscard]] std::string str() const;  // "axis=1, kind=sum"
  friend bool operator==(const Attrs&, const Attrs&);

 private:
  std::vector<std::pair<std::string, Attr>> items_;
};

/// A list of fixed integers as attribute.
std::vector<sym::Expr> exprs(const std::vector<std::int64_t>& values);

}  // namespace reprise::core
