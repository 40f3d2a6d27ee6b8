#include "import/pt2/graph_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "import/pt2/dtypes.h"
#include "import/pt2/symbolic_node.h"

namespace reprise::import {
namespace {

using base::JsonValue;
using sym::Expr;

std::string_view target_of(const JsonValue& node) {
  const std::string_view target = node.at("target").as_string();
  constexpr std::string_view kPrefix = "torch.ops.";
  return target.starts_with(kPrefix) ? target.substr(kPrefix.size()) : target;
}

bool is_higher_order(std::string_view target) { return target.starts_with("higher_order."); }

bool is_scalar_kind(std::string_view kind) { return kind == "as_sym_int" || kind == "as_sym_float" || kind == "as_sym_bool"; }

bool on_device(const JsonValue& graph, std::string_view type) {
  for (const auto& [name, meta] : graph.at("tensor_values").members()) {
    if (meta.at("device").at("type").as_string() == type) return true;
  }
  return false;
}

/// Wrappers whose meaning is that of the graph they hold. Inputs: wrap_with_set_grad_enabled(on, graph, …), wrap_with_autocast(device, dtype, on, cache, graph,
/// …), tag_activation_checkpoint(graph, …). An autocast that is on concerns tensors of one device type.
bool is_transparent(std::string_view target, const JsonValue& node) {
  if (target == "higher_order.wrap_with_set_grad_enabled" || target == "higher_order.tag_activation_checkpoint") return true;
  if (target != "higher_order.wrap_with_autocast") return false;
  const auto inputs = node.at("inputs").items();
  if (inputs.size() < 5) node.fail("has too few inputs");
  if (!inputs[2].at("arg").at("as_bool").as_bool()) return true;
  const auto graph = inputs[4].at("arg").find("as_graph");
  return graph && !on_device(graph->at("graph"), inputs[0].at("arg").at("as_string").as_string());
}

/// The names in a node's or graph's outputs, as JSON: {name} of tensors, in order; scalars are left out.
std::vector<std::optional<JsonValue>> output_names(const JsonValue& outputs) {
  std::vector<std::optional<JsonValue>> names;
  for (const JsonValue& output : outputs.items()) {
    const auto [kind, value] = output.only_member();
    if (kind == "as_tensors") {
      for (const JsonValue& item : value.items()) names.emplace_back(item);
    } else {
      names.push_back(kind == "as_tensor" ? std::optional(value) : std::nullopt);
    }
  }
  return names;
}

/// The symbol behind what item() of a boolean tensor gives, `u == 1`: the converter writes 0 or 1 to it.
Expr unwrapped(const Expr& e) {
  if (e.op() != sym::Op::eq && e.op() != sym::Op::ne) return e;
  const Expr other = e.op() == sym::Op::eq ? 1 : 0;
  const auto sides = e.operands();
  if (sides[0].is_symbol() && sides[1] == other) return sides[0];
  return sides[1].is_symbol() && sides[0] == other ? sides[1] : e;
}

std::string first_name(const JsonValue& node) {
  if (const auto name = node.find_non_null("name")) return std::string(name->as_string());
  for (const JsonValue& output : node.at("outputs").items()) {
    auto value = output.only_member().value;
    if (value.is_array() && value.size() > 0) value = value[0];
    const auto name = value.find("name") ? value.find("name") : value.find("as_name");
    if (name) return std::string(name->as_string());
  }
  return {};
}

ir::Source source_of(const JsonValue& node) {
  ir::Source source{first_name(node), {}};
  const auto metadata = node.find_non_null("metadata");
  const auto trace = metadata ? metadata->find("stack_trace") : std::nullopt;
  if (trace && trace->is_string()) source.trace = source_line(trace->as_string());
  return source;
}

/// A check whose condition is known to hold.
bool always_holds(const ir::AtenNode& node) {
  if (node.target != "aten._assert_scalar.default" || node.args.empty()) return false;
  const auto* flag = std::get_if<bool>(&node.args[0].value);
  const auto* number = std::get_if<Expr>(&node.args[0].value);
  return flag != nullptr ? *flag : number != nullptr && number->as_int().value_or(0) != 0;
}

}  // namespace

// ---- graphs

ir::AtenGraph GraphReader::read(const Json& json, int depth) {
  if (depth >= limits_.max_nesting) json.fail("nests too deeply");
  Scope scope = open(json);
  Body body;
  body.top = &scope;
  body.depth = depth;
  for (const Json& input : json.at("inputs").items()) {
    const auto [kind, value] = input.only_member();
    if (kind == "as_tensor") {
      const auto name = define(body, scope, value.at("name").as_string(), value);
      if (!name) value.fail("has no entry in tensor_values");
      body.graph.inputs.emplace_back(ir::TensorName{*name});
    } else {
      body.graph.inputs.push_back(argument(body, scope, input));
    }
  }
  read_nodes(body, scope, json);
  for (const Json& output : json.at("outputs").items()) body.graph.outputs.push_back(argument(body, scope, output));
  return std::move(body.graph);
}

GraphReader::Scope GraphReader::open(const Json& graph) {
  Scope scope;
  const auto metas = graph.at("tensor_values").members();
  scope.metas.reserve(metas.size());
  for (const auto& [name, meta] : metas) scope.metas.emplace(name, meta);
  constexpr std::pair<std::string_view, SymKind> kTables[] = {
      {"sym_int_values", SymKind::integer}, {"sym_float_values", SymKind::real}, {"sym_bool_values", SymKind::boolean}};
  for (const auto& [table, kind] : kTables) {
    const auto values = graph.find_non_null(table);
    if (!values) continue;
    for (const auto& [name, value] : values->members()) scope.symbolic.try_emplace(name, value, kind);
  }
  return scope;
}

void GraphReader::read_nodes(Body& body, Scope& scope, const Json& graph) {
  const auto nodes = graph.at("nodes").items();
  nodes_ += nodes.size();
  if (nodes_ > limits_.max_nodes) graph.fail("has more nodes than are read");
  for (const Json& node : nodes) read_node(body, scope, node);
}

void GraphReader::read_node(Body& body, Scope& scope, const Json& json) {
  const std::string_view target = target_of(json);
  if (is_transparent(target, json)) return inline_graph(body, scope, json);
  if (is_symbolic(target) && resolve_symbolic(body, scope, json, target)) return;
  NodeArgs args = node_arguments(body, scope, json, target);
  pass_scalars(args, json, target);
  if (target.starts_with("aten.sym_constrain_range")) return constrain(args.args);
  ir::AtenNode node{std::string(target), std::move(args.args), {}, source_of(json)};
  if (always_holds(node)) return;
  for (const Json& result : json.at("outputs").items()) node.outputs.push_back(output(body, scope, result, target));
  body.graph.nodes.push_back(std::move(node));
}

GraphReader::NodeArgs GraphReader::node_arguments(Body& body, Scope& scope, const Json& json, std::string_view target) {
  NodeArgs result;
  for (const Json& input : json.at("inputs").items()) {
    const auto [kind, value] = input.at("arg").only_member();
    ir::NamedArg arg{std::string(input.at("name").as_string()), {}};
    if (kind == "as_graph") {
      result.graphs.push_back(std::make_shared<ir::AtenGraph>(read(value.at("graph"), body.depth + 1)));
      arg.value = std::shared_ptr<const ir::AtenGraph>(result.graphs.back());
    } else if (kind == "as_tensors" && is_higher_order(target)) {
      std::vector<std::optional<ir::TensorName>> list;
      for (const Json& item : value.items()) {
        const std::string_view name = item.at("name").as_string();
        if (auto known = scope.metas.contains(name) ? std::nullopt : named_scalar(scope, name)) {
          result.scalar_operands.emplace_back(result.operands, *std::move(known));
        } else {
          list.emplace_back(ir::TensorName{use(body, scope, item)});
        }
        ++result.operands;
      }
      arg.value = std::move(list);
    } else {
      arg.value = argument(body, scope, input.at("arg"));
    }
    result.args.push_back(std::move(arg));
  }
  return result;
}

/// Symbolic operands of a higher-order op: its graphs hold the same expression at that place, so neither side needs it.
void GraphReader::pass_scalars(NodeArgs& args, const Json& json, std::string_view target) const {
  for (auto operand = args.scalar_operands.rbegin(); operand != args.scalar_operands.rend(); ++operand) {
    const auto* const outside = std::get_if<Expr>(&operand->second);
    for (const auto& graph : args.graphs) {
      const auto* const inside = operand->first < graph->inputs.size() ? std::get_if<Expr>(&graph->inputs[operand->first]) : nullptr;
      REPRISE_CHECK(outside != nullptr && inside != nullptr && *outside == *inside, UnsupportedOp,
                    "[import/pt2] {} carries a symbolic number through its graphs ({}, at {})", target, first_name(json), source_of(json).trace);
      graph->inputs.erase(graph->inputs.begin() + static_cast<std::ptrdiff_t>(operand->first));
    }
  }
}

/// sym_constrain_range(size, min, max), sym_constrain_range_for_size(size, min, max).
void GraphReader::constrain(const std::vector<ir::NamedArg>& args) {
  const auto* const size = args.empty() ? nullptr : std::get_if<Expr>(&args[0].value);
  if (size == nullptr || !size->is_symbol()) return;
  sym::Range range{std::numeric_limits<std::int64_t>::min(), sym::kUnbounded};
  for (const ir::NamedArg& arg : args) {
    const auto* const e = std::get_if<Expr>(&arg.value);
    const auto limit = e == nullptr ? std::nullopt : e->as_int();
    if (limit && arg.name == "min") range.min = *limit;
    if (limit && arg.name == "max") range.max = *limit;
  }
  symbols_.tighten(size->symbol_name(), range);
}

bool GraphReader::resolve_symbolic(Body& body, Scope& scope, const Json& json, std::string_view target) {
  std::optional<std::string_view> missing;
  for (const Json& result : json.at("outputs").items()) {
    const auto [kind, value] = result.only_member();
    if (!is_scalar_kind(kind)) return false;
    const auto name = value.find("as_name");
    if (name && !named_scalar(scope, name->as_string())) missing = name->as_string();
  }
  if (!missing) return true;
  for (const Json& input : json.at("inputs").items()) {
    if (input.at("arg").has("as_graph")) return false;
  }
  const auto value = evaluate_symbolic(target, node_arguments(body, scope, json, target).args, body.graph.tensors);
  if (!value) return false;
  scope.scalars.emplace(*missing, value->op() == sym::Op::real ? ir::Arg(value->real_value()) : ir::Arg(*value));
  return true;
}

/// Puts the nodes of the wrapped graph in the wrapper's place. Its inputs are the operands; its results take the wrapper's names.
void GraphReader::inline_graph(Body& body, Scope& scope, const Json& json) {
  if (body.depth >= limits_.max_nesting) json.fail("nests too deeply");
  const auto inputs = json.at("inputs").items();
  const auto place = std::find_if(inputs.begin(), inputs.end(), [](const Json& input) { return input.at("arg").has("as_graph"); });
  if (place == inputs.end()) json.fail("has no graph");
  const Json graph = place->at("arg").at("as_graph").at("graph");
  Scope inner = open(graph);
  inner.inlined = true;
  const auto params = graph.at("inputs").items();
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (static_cast<std::ptrdiff_t>(i) + 1 >= inputs.end() - place) json.fail("has fewer operands than its graph has inputs");
    const ir::Arg operand = argument(body, scope, (place + static_cast<std::ptrdiff_t>(i) + 1)->at("arg"));
    const auto [kind, param] = params[i].only_member();
    const auto* const tensor = std::get_if<ir::TensorName>(&operand);
    if ((kind == "as_tensor") != (tensor != nullptr)) json.fail("passes something else than its graph takes");
    if (tensor != nullptr) inner.renamed.emplace(param.at("name").as_string(), tensor->name);
    const bool number = std::holds_alternative<Expr>(operand) || std::holds_alternative<double>(operand) || std::holds_alternative<bool>(operand);
    if (is_scalar_kind(kind) && number && param.has("as_name")) inner.scalars.emplace(param.at("as_name").as_string(), operand);
  }
  const auto results = output_names(graph.at("outputs")), wanted = output_names(json.at("outputs"));
  if (results.size() != wanted.size()) json.fail("has another number of results than its graph");
  std::vector<std::size_t> aliases;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].has_value() != wanted[i].has_value()) json.fail("has other results than its graph");
    if (!results[i]) continue;
    const std::string_view name = results[i]->at("name").as_string();
    if (inner.renamed.contains(name)) {
      aliases.push_back(i);
    } else {
      inner.renamed.emplace(name, allocate(body, scope, wanted[i]->at("name").as_string(), *wanted[i]));
    }
  }
  ++body.depth;
  read_nodes(body, inner, graph);
  --body.depth;
  for (const std::size_t i : aliases) scope.renamed.emplace(wanted[i]->at("name").as_string(), inner.renamed.at(results[i]->at("name").as_string()));
}

// ---- results and names

ir::Output GraphReader::output(Body& body, Scope& scope, const Json& json, std::string_view target) {
  const auto [kind, value] = json.only_member();
  if (kind == "as_none") return ir::None{};
  if (is_scalar_kind(kind)) return scalar_output(scope, value, target);
  if (kind == "as_tensors") {
    std::vector<ir::TensorName> names;
    for (const Json& item : value.items()) {
      auto name = define(body, scope, item.at("name").as_string(), item);
      if (!name) item.fail("has no entry in tensor_values");
      names.push_back({*std::move(name)});
    }
    return names;
  }
  const Json tensor = kind == "as_optional_tensor" ? value.only_member().value : value;
  if (kind == "as_optional_tensor" && value.has("as_none")) return ir::None{};
  if (kind != "as_tensor" && kind != "as_optional_tensor") {
    REPRISE_FAIL(UnsupportedOp, "[import/pt2] {} ({}) is a result of a kind that is not supported (got {})", json.path(), target, kind);
  }
  auto name = define(body, scope, tensor.at("name").as_string(), tensor);
  if (!name) return ir::None{};
  return ir::TensorName{*std::move(name)};
}

ir::Output GraphReader::scalar_output(Scope& scope, const Json& json, std::string_view target) {
  if (!json.has("as_name")) return ir::None{};
  const std::string_view name = json.at("as_name").as_string();
  auto value = named_scalar(scope, name);
  if (!value) value = scope.scalars.emplace(name, symbols_.fresh(name)).first->second;
  const bool item = target == "aten.item.default" || target == "aten._local_scalar_dense.default";
  const auto* const e = std::get_if<Expr>(&*value);
  const auto* const real = std::get_if<double>(&*value);
  const auto* const flag = std::get_if<bool>(&*value);
  const Expr plain = e != nullptr ? *e : real != nullptr ? Expr::real(*real) : Expr(flag != nullptr && *flag ? 1 : 0);
  return ir::SymOutput{std::string(name), item ? unwrapped(plain) : plain};
}

/// The name in the graph for a tensor that is about to be defined, with its meta. Inlined graphs take fresh names.
std::string GraphReader::allocate(Body& body, Scope& scope, std::string_view raw, const Json& at) {
  const auto known = scope.metas.find(raw);
  if (known == scope.metas.end()) at.fail("has no entry in tensor_values");
  std::string name(raw);
  while (scope.inlined && (body.graph.tensors.contains(name) || body.top->metas.contains(name))) name = std::string(raw) + "_i" + std::to_string(++renames_);
  if (!body.graph.tensors.try_emplace(name, meta(known->second, raw)).second) at.fail("is defined twice");
  if (scope.inlined) scope.renamed.emplace(raw, name);
  return name;
}

/// nullopt when the file does not describe the tensor; it must not be used then.
std::optional<std::string> GraphReader::define(Body& body, Scope& scope, std::string_view raw, const Json& at) {
  const auto given = scope.inlined ? scope.renamed.find(raw) : scope.renamed.end();
  if (given == scope.renamed.end() && !scope.metas.contains(raw)) return std::nullopt;
  std::string name = given != scope.renamed.end() ? given->second : allocate(body, scope, raw, at);
  if (!body.defined.insert(name).second) at.fail("is defined twice");
  return name;
}

std::string GraphReader::use(const Body& body, const Scope& scope, const Json& tensor) const {
  const std::string_view raw = tensor.at("name").as_string();
  const auto renamed = scope.renamed.find(raw);
  std::string name = renamed != scope.renamed.end() ? renamed->second : std::string(raw);
  if ((scope.inlined && renamed == scope.renamed.end()) || !body.defined.contains(name)) tensor.fail("is used before it is defined");
  return name;
}

ir::TensorMeta GraphReader::meta(const Json& json, std::string_view name) {
  const int type = json.at("dtype").as_small_int();
  const auto dtype = dtype_of(type);
  REPRISE_CHECK(dtype.has_value(), UnsupportedOp, "[import/pt2] the tensor '{}' is of {}, which Reprise does not have", name, scalar_type_name(type));
  ir::TensorMeta result;
  result.dtype = *dtype;
  for (const Json& size : json.at("sizes").items()) result.sizes.push_back(symbols_.size(size));
  for (const Json& stride : json.at("strides").items()) result.strides.push_back(symbols_.size(stride));
  if (const auto offset = json.find_non_null("storage_offset")) result.storage_offset = symbols_.size(*offset);
  if (result.sizes.size() != result.strides.size()) json.fail("has another number of strides than of sizes");
  return result;
}

// ---- source lines

std::string source_line(std::string_view trace) {
  std::string chosen;
  bool chosen_is_library = true;
  for (std::size_t at = trace.find("File \""); at != std::string_view::npos;) {
    const std::size_t next = trace.find("File \"", at + 1);
    const std::string_view frame = trace.substr(at + 6, next == std::string_view::npos ? next : next - at - 6);
    at = next;
    const std::size_t path_end = frame.find('"'), head_end = std::min(frame.find('\n'), frame.size());
    const std::size_t line = frame.find("line ");
    if (path_end == std::string_view::npos || line == std::string_view::npos || line > head_end) continue;
    const std::string_view path = frame.substr(0, path_end);
    const bool library = path.find("/torch/") != std::string_view::npos || path.starts_with('<');  // "<eval_with_key>": code that tracing made
    if (library && !chosen_is_library) continue;
    chosen_is_library = library;
    std::string where(frame.substr(line + 5, head_end - line - 5));  // "61, in forward"
    std::string_view code = frame.substr(std::min(head_end + 1, frame.size()));
    code = code.substr(0, code.find('\n'));
    code.remove_prefix(std::min(code.find_first_not_of(' '), code.size()));
    chosen = std::string(path.substr(path.rfind('/') + 1)) + ":" + where + (code.empty() ? "" : ": " + std::string(code));
  }
  return chosen;
}

}  // namespace reprise::import
