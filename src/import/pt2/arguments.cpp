// Arguments of nodes: the schema's tagged union to ir::Arg.
#include "base/check.h"
#include "import/pt2/dtypes.h"
#include "import/pt2/graph_reader.h"

namespace reprise::import {
namespace {

using base::JsonValue;
using sym::Expr;

/// Constants become plain values, as if the file had them so.
ir::Arg simplified(Expr e, SymKind kind) {
  if (kind == SymKind::boolean && e.is_int()) return *e.as_int() != 0;
  if (e.op() == sym::Op::real) return e.real_value();
  return e;
}

Expr to_expr(const ir::Arg& arg) {
  if (const auto* e = std::get_if<Expr>(&arg)) return *e;
  if (const auto* r = std::get_if<double>(&arg)) return Expr::real(*r);
  return std::get<bool>(arg) ? 1 : 0;
}

template <class T>
std::optional<std::vector<T>> all_of_type(const std::vector<ir::Arg>& args) {
  std::vector<T> values;
  for (const ir::Arg& arg : args) {
    if (!std::holds_alternative<T>(arg)) return std::nullopt;
    values.push_back(std::get<T>(arg));
  }
  return values;
}

sym::Shape integers(const JsonValue& list) {
  const std::vector<std::int64_t> values = list.as_ints();
  return {values.begin(), values.end()};
}

Device device(const JsonValue& json) {
  if (json.at("type").as_string() != "cuda") return Device::cpu();  // where it was exported; only a hint
  const auto index = json.find_non_null("index");
  return Device::cuda(index ? index->as_small_int() : 0);
}

ir::Arg scalar_type(const JsonValue& json) {
  const auto dtype = dtype_of(json.as_small_int());
  REPRISE_CHECK(dtype.has_value(), UnsupportedOp, "[import/pt2] {} asks for the dtype {}, which Reprise does not have", json.path(),
                scalar_type_name(json.as_small_int()));
  return ir::ScalarTypeArg{*dtype};
}

template <class T, class F>
std::vector<T> map_items(const JsonValue& list, F f) {
  std::vector<T> values;
  values.reserve(list.size());
  for (const JsonValue& item : list.items()) values.push_back(f(item));
  return values;
}

}  // namespace

ir::Arg GraphReader::argument(const Body& body, Scope& scope, const Json& json) {
  const auto [kind, value] = json.only_member();
  if (auto arg = plain_argument(kind, value)) return *std::move(arg);
  if (auto arg = named_argument(body, scope, kind, value)) return *std::move(arg);
  REPRISE_FAIL(UnsupportedOp, "[import/pt2] {} is an argument of a kind that is not supported (got {})", json.path(), kind);
}

/// Arguments that name nothing of the graph.
std::optional<ir::Arg> GraphReader::plain_argument(std::string_view kind, const Json& value) const {
  if (kind == "as_none") return ir::None{};
  if (kind == "as_int") return Expr(value.as_int());
  if (kind == "as_ints") return integers(value);
  if (kind == "as_float") return value.as_real();
  if (kind == "as_floats") return map_items<double>(value, [](const Json& v) { return v.as_real(); });
  if (kind == "as_bool") return value.as_bool();
  if (kind == "as_bools") return map_items<bool>(value, [](const Json& v) { return v.as_bool(); });
  if (kind == "as_string" || kind == "as_operator") return std::string(value.as_string());
  if (kind == "as_strings") return value.as_strings();
  if (kind == "as_int_lists") return map_items<sym::Shape>(value, integers);
  if (kind == "as_scalar_type") return scalar_type(value);
  if (kind == "as_memory_format") return ir::MemoryFormat{value.as_small_int()};
  if (kind == "as_layout") return ir::Layout{value.as_small_int()};
  if (kind == "as_device") return device(value);
  if (kind == "as_complex") return ir::ComplexArg{value.at("real").as_real(), value.at("imag").as_real()};
  return std::nullopt;
}

std::optional<ir::Arg> GraphReader::named_argument(const Body& body, Scope& scope, std::string_view kind, const Json& value) {
  if (kind == "as_tensor") return ir::TensorName{use(body, scope, value)};
  if (kind == "as_tensors" || kind == "as_optional_tensors") return tensor_list(body, scope, value);
  if (kind == "as_optional_tensor") return argument(body, scope, value);
  if (kind == "as_sym_int") return scalar(scope, value, SymKind::integer);
  if (kind == "as_sym_float") return scalar(scope, value, SymKind::real);
  if (kind == "as_sym_bool") return scalar(scope, value, SymKind::boolean);
  if (kind == "as_sym_ints") return scalar_list(scope, value, SymKind::integer);
  if (kind == "as_sym_floats") return scalar_list(scope, value, SymKind::real);
  if (kind == "as_sym_bools") return scalar_list(scope, value, SymKind::boolean);
  return std::nullopt;
}

/// Tensor[] as names, Tensor?[] as {as_tensor} or {as_none}.
std::vector<std::optional<ir::TensorName>> GraphReader::tensor_list(const Body& body, const Scope& scope, const Json& list) const {
  return map_items<std::optional<ir::TensorName>>(list, [&](const Json& item) -> std::optional<ir::TensorName> {
    if (item.has("name")) return ir::TensorName{use(body, scope, item)};
    const auto [kind, value] = item.only_member();
    if (kind == "as_none") return std::nullopt;
    if (kind != "as_tensor") item.fail("is neither a tensor nor none");
    return ir::TensorName{use(body, scope, value)};
  });
}

/// {as_name} or a literal.
ir::Arg GraphReader::scalar(Scope& scope, const Json& json, SymKind kind) {
  const auto [key, value] = json.only_member();
  if (key != "as_name") return simplified(symbols_.value(json, kind), kind);
  auto found = named_scalar(scope, value.as_string());
  if (!found) value.fail("names no symbolic value of this graph");
  return *std::move(found);
}

ir::Arg GraphReader::scalar_list(Scope& scope, const Json& list, SymKind kind) {
  const auto args = map_items<ir::Arg>(list, [&](const Json& item) { return scalar(scope, item, kind); });
  if (auto reals = all_of_type<double>(args); reals && kind == SymKind::real) return *std::move(reals);
  if (auto booleans = all_of_type<bool>(args); booleans && kind == SymKind::boolean) return *std::move(booleans);
  sym::Shape values;
  for (const ir::Arg& arg : args) values.push_back(to_expr(arg));
  return values;
}

std::optional<ir::Arg> GraphReader::named_scalar(Scope& scope, std::string_view name) {
  if (const auto known = scope.scalars.find(name); known != scope.scalars.end()) return known->second;
  const auto given = scope.symbolic.find(name);
  if (given == scope.symbolic.end()) return std::nullopt;
  const auto& [json, kind] = given->second;
  return scope.scalars.emplace(name, simplified(symbols_.value(json, kind), kind)).first->second;
}

}  // namespace reprise::import
