#include "import/pt2/symbolic_node.h"

#include <vector>

namespace reprise::import {
namespace {

using sym::Expr;
using sym::Op;

using Values = std::span<const Expr>;

Expr make_unary(Op op, const Expr& a) { return Expr::make(op, std::vector{a}); }
Expr to_int(Op op, const Expr& a) { return a.is_real() ? make_unary(op, a) : a; }

struct Rule {
  std::string_view name;  // after the module
  std::size_t arity;
  Expr (*apply)(Values);
};

constexpr Rule kRules[] = {
    {"add", 2, [](Values v) { return v[0] + v[1]; }},
    {"sub", 2, [](Values v) { return v[0] - v[1]; }},
    {"mul", 2, [](Values v) { return v[0] * v[1]; }},
    {"floordiv", 2, [](Values v) { return sym::floor_div(v[0], v[1]); }},
    {"truediv", 2, [](Values v) { return sym::true_div(v[0], v[1]); }},
    {"mod", 2, [](Values v) { return sym::mod(v[0], v[1]); }},
    {"pow", 2, [](Values v) { return sym::pow(v[0], v[1]); }},
    {"neg", 1, [](Values v) { return -v[0]; }},
    {"pos", 1, [](Values v) { return v[0]; }},
    {"abs", 1, [](Values v) { return make_unary(Op::abs, v[0]); }},
    {"eq", 2, [](Values v) { return sym::compare(Op::eq, v[0], v[1]); }},
    {"ne", 2, [](Values v) { return sym::compare(Op::ne, v[0], v[1]); }},
    {"lt", 2, [](Values v) { return sym::compare(Op::lt, v[0], v[1]); }},
    {"le", 2, [](Values v) { return sym::compare(Op::le, v[0], v[1]); }},
    {"gt", 2, [](Values v) { return sym::compare(Op::gt, v[0], v[1]); }},
    {"ge", 2, [](Values v) { return sym::compare(Op::ge, v[0], v[1]); }},
    {"and_", 2, [](Values v) { return Expr::make(Op::logical_and, v); }},
    {"or_", 2, [](Values v) { return Expr::make(Op::logical_or, v); }},
    {"not_", 1, [](Values v) { return make_unary(Op::logical_not, v[0]); }},
    {"sym_not", 1, [](Values v) { return make_unary(Op::logical_not, v[0]); }},
    {"sym_max", 2, [](Values v) { return sym::max(v[0], v[1]); }},
    {"sym_min", 2, [](Values v) { return sym::min(v[0], v[1]); }},
    {"sym_int", 1, [](Values v) { return to_int(Op::trunc, v[0]); }},
    {"sym_float", 1, [](Values v) { return v[0].is_real() ? v[0] : make_unary(Op::to_float, v[0]); }},
    {"sym_ite", 3, [](Values v) { return sym::where(v[0], v[1], v[2]); }},
    {"_sym_sqrt", 1, [](Values v) { return make_unary(Op::sqrt, v[0]); }},
    {"sqrt", 1, [](Values v) { return make_unary(Op::sqrt, v[0]); }},
    {"trunc", 1, [](Values v) { return to_int(Op::trunc, v[0]); }},
    {"floor", 1, [](Values v) { return to_int(Op::floor, v[0]); }},
    {"ceil", 1, [](Values v) { return to_int(Op::ceil, v[0]); }},
    {"round", 1, [](Values v) { return to_int(Op::round, v[0]); }},
};

std::optional<Expr> scalar(const ir::Arg& arg) {
  if (const auto* e = std::get_if<Expr>(&arg)) return *e;
  if (const auto* r = std::get_if<double>(&arg)) return Expr::real(*r);
  if (const auto* b = std::get_if<bool>(&arg)) return Expr(*b ? 1 : 0);
  return std::nullopt;
}

/// sym_size.int(self, dim), sym_stride.int(self, dim), sym_numel.default(self), sym_storage_offset.default(self).
std::optional<Expr> of_tensor(std::string_view what, std::span<const ir::NamedArg> args, const std::unordered_map<std::string, ir::TensorMeta>& tensors) {
  const auto* tensor = args.empty() ? nullptr : std::get_if<ir::TensorName>(&args[0].value);
  if (tensor == nullptr || !tensors.contains(tensor->name)) return std::nullopt;
  const ir::TensorMeta& meta = tensors.at(tensor->name);
  if (what == "sym_numel.default") return sym::product(meta.sizes);
  if (what == "sym_storage_offset.default") return meta.storage_offset;
  const auto* dim = args.size() == 2 ? std::get_if<Expr>(&args[1].value) : nullptr;
  const auto index = dim == nullptr ? std::nullopt : dim->as_int();
  const auto rank = static_cast<std::int64_t>(meta.sizes.size());
  if (!index || *index < -rank || *index >= rank) return std::nullopt;
  const sym::Shape& list = what == "sym_size.int" ? meta.sizes : meta.strides;
  return list[static_cast<std::size_t>(*index < 0 ? *index + rank : *index)];
}

std::string_view after(std::string_view target, std::string_view module) {
  return target.starts_with(module) ? target.substr(module.size()) : std::string_view{};
}

}  // namespace

bool is_symbolic(std::string_view target) {
  return target.starts_with("_operator.") || target.starts_with("math.") || target.starts_with("torch.sym_") || target == "torch._sym_sqrt" ||
         target == "builtins.round" || target == "aten.sym_size.int" || target == "aten.sym_stride.int" || target == "aten.sym_numel.default" ||
         target == "aten.sym_storage_offset.default";
}

std::optional<Expr> evaluate_symbolic(std::string_view target, std::span<const ir::NamedArg> args,
                                      const std::unordered_map<std::string, ir::TensorMeta>& tensors) {
  if (const auto what = after(target, "aten."); !what.empty()) return of_tensor(what, args, tensors);
  std::string_view name;
  for (const std::string_view module : {"_operator.", "math.", "torch.", "builtins."}) {
    if (name.empty()) name = after(target, module);
  }
  for (const Rule& rule : kRules) {
    if (rule.name != name || rule.arity != args.size()) continue;
    std::vector<Expr> values;
    for (const ir::NamedArg& arg : args) {
      const auto value = scalar(arg.value);
      if (!value) return std::nullopt;
      values.push_back(*value);
    }
    return rule.apply(values);
  }
  return std::nullopt;
}

}  // namespace reprise::import
