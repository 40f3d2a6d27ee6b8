// Typed readers of a node's arguments.
#include "base/check.h"
#include "ops/converter.h"

namespace reprise::ops {
namespace {

using sym::Expr;

[[noreturn]] void wrong_type(const Context& c, std::string_view name, std::string_view want) {
  REPRISE_FAIL(InvalidArgument, "[ops/{}] argument '{}' is not {}", c.node().target, name, want);
}

/// A list without elements says nothing of its type.
bool is_empty_list(const ir::Arg& arg) {
  return std::visit(
      [](const auto& v) {
        if constexpr (requires {
                        v.empty();
                        v.begin();
                      } &&
                      !std::is_same_v<std::decay_t<decltype(v)>, std::string>)
          return v.empty();
        else
          return false;
      },
      arg);
}

std::optional<double> constant_real(const Expr& e) {
  if (e.op() == sym::Op::real) return e.real_value();
  if (const auto n = e.as_int()) return static_cast<double>(*n);
  return std::nullopt;
}

}  // namespace

bool Context::is_none(std::string_view name) const { return std::holds_alternative<ir::None>(arg(name)); }

bool Context::is_tensor(std::string_view name) const { return std::holds_alternative<ir::TensorName>(arg(name)); }

Val Context::tensor_or_none(std::string_view name) { return is_none(name) ? Val() : tensor(name); }

Expr Context::integer(std::string_view name) const {
  const ir::Arg& a = arg(name);
  if (const auto* e = std::get_if<Expr>(&a)) return *e;
  if (const auto* b = std::get_if<bool>(&a)) return *b ? 1 : 0;
  wrong_type(*this, name, "an integer");
}

std::int64_t Context::fixed(std::string_view name) const {
  if (const auto n = integer(name).as_int()) return *n;
  wrong_type(*this, name, "a constant integer");
}

sym::Shape Context::ints(std::string_view name) const {
  const ir::Arg& a = arg(name);
  if (const auto* list = std::get_if<std::vector<Expr>>(&a)) return *list;
  if (const auto* one = std::get_if<Expr>(&a)) return {*one};
  if (is_empty_list(a)) return {};
  wrong_type(*this, name, "a list of integers");
}

std::vector<std::int64_t> Context::fixed_ints(std::string_view name) const {
  std::vector<std::int64_t> out;
  for (const Expr& e : ints(name)) {
    const auto n = e.as_int();
    if (!n) wrong_type(*this, name, "a list of constant integers");
    out.push_back(*n);
  }
  return out;
}

double Context::real(std::string_view name) const {
  const ir::Arg& a = arg(name);
  if (const auto* d = std::get_if<double>(&a)) return *d;
  if (const auto* b = std::get_if<bool>(&a)) return *b ? 1 : 0;
  if (const auto* e = std::get_if<Expr>(&a))
    if (const auto value = constant_real(*e)) return *value;
  wrong_type(*this, name, "a constant number");
}

std::vector<double> Context::reals(std::string_view name) const {
  const ir::Arg& a = arg(name);
  if (const auto* list = std::get_if<std::vector<double>>(&a)) return *list;
  if (is_empty_list(a)) return {};
  std::vector<double> out;
  if (const auto* list = std::get_if<std::vector<Expr>>(&a)) {
    for (const Expr& e : *list) {
      const auto value = constant_real(e);
      if (!value) wrong_type(*this, name, "a list of constant numbers");
      out.push_back(*value);
    }
    return out;
  }
  return {real(name)};
}

bool Context::flag(std::string_view name) const {
  const ir::Arg& a = arg(name);
  if (const auto* b = std::get_if<bool>(&a)) return *b;
  if (const auto* e = std::get_if<Expr>(&a))
    if (const auto n = e->as_int()) return *n != 0;
  wrong_type(*this, name, "a boolean");
}

std::string Context::text(std::string_view name) const {
  if (const auto* s = std::get_if<std::string>(&arg(name))) return *s;
  wrong_type(*this, name, "a string");
}

std::optional<DType> Context::dtype(std::string_view name) const {
  if (is_none(name)) return std::nullopt;
  if (const auto* t = std::get_if<ir::ScalarTypeArg>(&arg(name))) return t->value;
  wrong_type(*this, name, "a dtype");
}

Context::Scalar Context::scalar(std::string_view name) const {
  const ir::Arg& a = arg(name);
  if (const auto* b = std::get_if<bool>(&a)) return {Scalar::Kind::boolean, *b ? 1 : 0};
  if (const auto* d = std::get_if<double>(&a)) return {Scalar::Kind::real, Expr::real(*d)};
  if (const auto* e = std::get_if<Expr>(&a)) return {is_relation(*e) ? Scalar::Kind::boolean : e->is_real() ? Scalar::Kind::real : Scalar::Kind::integer, *e};
  wrong_type(*this, name, "a number");
}

void Context::set_all(std::span<const Val> values) {
  for (std::size_t i = 0; i < values.size(); ++i) set(static_cast<int>(i), values[i]);
}

}  // namespace reprise::ops
