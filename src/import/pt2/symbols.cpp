#include "import/pt2/symbols.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>

#include "base/check.h"

namespace reprise::import {
namespace {

using base::JsonValue;
using sym::Expr;

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kNearlyUnbounded = std::int64_t{1} << 62;  // PyTorch writes its infinities as integers near the ends

constexpr std::size_t kMaxSymbols = 4096;
constexpr std::int64_t kTracingMinimum = 2;

/// A bound of a range; absent, null and huge ones are infinite.
std::int64_t bound(const std::optional<JsonValue>& json, std::int64_t infinite) {
  if (!json) return infinite;
  const double approximate = json->as_real();
  if (!(std::abs(approximate) < static_cast<double>(kNearlyUnbounded))) return approximate > 0 ? sym::kUnbounded : kMin;
  return json->kind() == JsonValue::Kind::integer ? json->as_int() : static_cast<std::int64_t>(approximate);
}

std::optional<double> at_point(const Expr& e, std::int64_t x) {
  const auto value = sym::evaluate(e, [x](const std::string&) { return std::optional(sym::Number::of(x)); });
  return value ? std::optional(value->as_real()) : std::nullopt;
}

void collect_input_symbols(const ir::Program& program, std::vector<std::string>& names) {
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    if (program.inputs[i].kind != ir::InputKind::user) continue;
    const ir::Arg& arg = program.graph.inputs[i];
    if (const auto* e = std::get_if<Expr>(&arg)) sym::collect_symbols(*e, names);
    if (const auto* t = std::get_if<ir::TensorName>(&arg)) {
      for (const Expr& size : program.graph.tensors.at(t->name).sizes) sym::collect_symbols(size, names);
    }
  }
}

}  // namespace

Expr Symbols::value(const JsonValue& json, SymKind kind) {
  const auto [key, value] = json.only_member();
  if (key == "as_expr") return expression(value, kind);
  if (key == "as_int") return value.as_int();
  if (key == "as_bool") return value.as_bool() ? 1 : 0;
  if (key == "as_float") return Expr::real(value.as_real());
  json.fail("is neither a number nor an expression");
}

Expr Symbols::expression(const JsonValue& json, SymKind kind) {
  const std::string_view text = json.at("expr_str").as_string();
  auto [place, added] = parsed_[static_cast<std::size_t>(kind)].try_emplace(text);
  if (added) {
    place->second = parse_srepr(text, kind, max_depth_);
    sym::collect_symbols(place->second, names_);
    if (names_.size() > kMaxSymbols) json.fail("is one symbol more than the 4096 that are read");
  }
  if (const auto hint = json.find_non_null("hint")) note_hint(place->second, *hint);
  return place->second;
}

/// From the hint of `s` or of an expression that is linear in one symbol, such as 4*s.
void Symbols::note_hint(const Expr& e, const JsonValue& hint) {
  const auto value = hint.find_non_null("as_int");
  if (!value || e.is_int()) return;
  std::vector<std::string> names;
  sym::collect_symbols(e, names);
  if (names.size() != 1 || hints_.contains(names[0])) return;
  const auto at0 = at_point(e, 0), at1 = at_point(e, 1);
  if (!at0 || !at1 || *at0 == *at1) return;
  const double x = (value->as_real() - *at0) / (*at1 - *at0);
  if (std::abs(x) > 1e15 || x != std::floor(x)) return;
  const auto solution = static_cast<std::int64_t>(x);
  if (at_point(e, solution) == value->as_real()) hints_.emplace(names[0], solution);
}

Expr Symbols::fresh(std::string_view name) {
  std::string plain(name);
  std::replace_if(
      plain.begin(), plain.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  const Expr symbol = Expr::symbol(plain);
  sym::collect_symbols(symbol, names_);
  return symbol;
}

void Symbols::tighten(std::string_view symbol, sym::Range range) {
  sym::Range& known = tightened_.try_emplace(std::string(symbol), sym::Range{kMin, sym::kUnbounded}).first->second;
  known = {std::max(known.min, range.min), std::min(known.max, range.max)};
}

sym::SymbolTable Symbols::table(const JsonValue& ranges, const ir::Program& program) const {
  std::vector<std::string> backed;
  collect_input_symbols(program, backed);
  sym::SymbolTable table;
  for (const std::string& name : names_) {
    sym::SymbolInfo info{.name = name, .range = {}, .unbacked = std::find(backed.begin(), backed.end(), name) == backed.end(), .hint = {}};
    if (info.unbacked) info.range.min = kMin;
    if (const auto known = ranges.find(name)) {
      info.range = {bound(known->find_non_null("min_val"), info.range.min), bound(known->find_non_null("max_val"), sym::kUnbounded)};
      if (!info.unbacked && info.range.min == kTracingMinimum) info.range.min = 0;
    }
    if (const auto more = tightened_.find(name); more != tightened_.end()) {
      info.range = {std::max(info.range.min, more->second.min), std::min(info.range.max, more->second.max)};
    }
    REPRISE_CHECK(info.range.min <= info.range.max, FormatError, "[import/pt2] the range of {} is empty (got {} to {})", name, info.range.min, info.range.max);
    if (const auto hint = hints_.find(name); hint != hints_.end()) info.hint = hint->second;
    table.add(std::move(info));
  }
  return table;
}

}  // namespace reprise::import
