#include "core/attrs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/check.h"

namespace reprise::core {
namespace {

template <class T>
const T& get(const Attrs& attrs, std::string_view key, std::string_view wanted) {
  const Attr* attr = attrs.find(key);
  REPRISE_CHECK(attr != nullptr, FormatError, "[core/attrs] attribute '{}' is missing", key);
  const T* value = std::get_if<T>(attr);
  REPRISE_CHECK(value != nullptr, FormatError, "[core/attrs] attribute '{}' has the wrong type (want {})", key, wanted);
  return *value;
}

std::int64_t fixed_value(const sym::Expr& e, std::string_view key) {
  const auto value = e.as_int();
  REPRISE_CHECK(value.has_value(), FormatError, "[core/attrs] attribute '{}' is not a constant (got {})", key, e.str());
  return *value;
}

struct AttrPrinter {
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(const sym::Expr& v) const { return v.str(); }
  std::string operator()(double v) const { return fmt::format("{}", v); }
  std::string operator()(const std::string& v) const { return v; }
  std::string operator()(DType v) const { return std::string(name(v)); }
  std::string operator()(const std::vector<sym::Expr>& v) const { return sym::str(v); }
  std::string operator()(const std::vector<double>& v) const { return fmt::format("[{}]", fmt::join(v, ", ")); }
  std::string operator()(const ScalarProgramPtr& v) const { return v ? v->str() : "null"; }
};

/// Programs are equal by content.
struct Equal {
  bool operator()(const ScalarProgramPtr& a, const ScalarProgramPtr& b) const { return a == b || (a && b && *a == *b); }
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a == b;
  }
  template <class T, class U>
  bool operator()(const T&, const U&) const {
    return false;
  }
};

bool key_less(const std::pair<std::string, Attr>& item, std::string_view key) { return item.first < key; }

}  // namespace

Attrs::Attrs(std::initializer_list<std::pair<std::string, Attr>> items) {
  for (const auto& [key, value] : items) set(key, value);
}

Attrs& Attrs::set(std::string_view key, Attr value) {
  const auto at = std::lower_bound(items_.begin(), items_.end(), key, key_less);
  if (at != items_.end() && at->first == key) {
    at->second = std::move(value);
  } else {
    items_.emplace(at, std::string(key), std::move(value));
  }
  return *this;
}

const Attr* Attrs::find(std::string_view key) const {
  const auto at = std::lower_bound(items_.begin(), items_.end(), key, key_less);
  return at != items_.end() && at->first == key ? &at->second : nullptr;
}

bool Attrs::flag(std::string_view key) const { return get<bool>(*this, key, "a flag"); }
bool Attrs::flag(std::string_view key, bool fallback) const { return has(key) ? flag(key) : fallback; }
const sym::Expr& Attrs::integer(std::string_view key) const { return get<sym::Expr>(*this, key, "an integer"); }
std::int64_t Attrs::fixed(std::string_view key) const { return fixed_value(integer(key), key); }
const std::string& Attrs::text(std::string_view key) const { return get<std::string>(*this, key, "a text"); }
DType Attrs::dtype(std::string_view key) const { return get<DType>(*this, key, "a dtype"); }
const std::vector<sym::Expr>& Attrs::ints(std::string_view key) const { return get<std::vector<sym::Expr>>(*this, key, "integers"); }
const std::vector<double>& Attrs::reals(std::string_view key) const { return get<std::vector<double>>(*this, key, "reals"); }

double Attrs::real(std::string_view key) const {
  const Attr* attr = find(key);
  if (attr && std::holds_alternative<sym::Expr>(*attr)) return static_cast<double>(fixed(key));
  return get<double>(*this, key, "a real");
}

std::vector<std::int64_t> Attrs::fixed_ints(std::string_view key) const {
  std::vector<std::int64_t> values;
  for (const sym::Expr& e : ints(key)) values.push_back(fixed_value(e, key));
  return values;
}

const ScalarProgramPtr& Attrs::program(std::string_view key) const {
  const ScalarProgramPtr& p = get<ScalarProgramPtr>(*this, key, "a scalar program");
  REPRISE_CHECK(p != nullptr, FormatError, "[core/attrs] attribute '{}' holds no program", key);
  return p;
}

std::string Attrs::str() const {
  std::string out;
  for (const auto& [key, value] : items_) {
    if (!out.empty()) out += ", ";
    out += key + "=" + std::visit(AttrPrinter{}, value);
  }
  return out;
}

bool operator==(const Attrs& a, const Attrs& b) {
  return std::equal(a.items_.begin(), a.items_.end(), b.items_.begin(), b.items_.end(),
                    [](const auto& x, const auto& y) { return x.first == y.first && std::visit(Equal{}, x.second, y.second); });
}

std::vector<sym::Expr> exprs(const std::vector<std::int64_t>& values) { return {values.begin(), values.end()}; }

}  // namespace reprise::core
