// The symbolic values of a file: expressions parsed once each, and the table of the symbols that occur in them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "import/pt2/srepr.h"
#include "ir/aten.h"
#include "sym/evaluate.h"

namespace reprise::import {

class Symbols {
 public:
  explicit Symbols(int max_depth) : max_depth_(max_depth) {}

  /// A SymInt, SymFloat or SymBool of the schema: {as_int | as_float | as_bool | as_expr {expr_str, hint}}.
  sym::Expr value(const base::JsonValue& json, SymKind kind);
  /// An integer, symbolic or not.
  sym::Expr size(const base::JsonValue& json) { return value(json, SymKind::integer); }
  /// A new unbacked symbol for a value that the file gives no expression for.
  sym::Expr fresh(std::string_view name);
  /// Lowers the upper and raises the lower bound of a symbol.
  void tighten(std::string_view symbol, sym::Range range);
  /// The symbols seen so far in the order of their first use, with `ranges` (the file's range_constraints, may be null JSON) and hints. Symbols that occur in
  /// no size and no value of a user input are unbacked. A minimum of 2 of the others counts as none: PyTorch assumes it while tracing and does not enforce it.
  [[nodiscard]] sym::SymbolTable table(const base::JsonValue& ranges, const ir::Program& program) const;

 private:
  sym::Expr expression(const base::JsonValue& json, SymKind kind);
  void note_hint(const sym::Expr& e, const base::JsonValue& hint);
  int max_depth_;
  std::array<std::unordered_map<std::string_view, sym::Expr>, 3> parsed_;  // by kind; keys live in the JSON document
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::int64_t> hints_;
  std::unordered_map<std::string, sym::Range> tightened_;
};

}  // namespace reprise::import
