#include "ops/node_context.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "ir/shapes.h"

namespace reprise::ops {
namespace {

using sym::Expr;

/// N of "int[2]": such a parameter also takes one number, or a list of one, for all N.
std::size_t fixed_length(std::string_view type) {
  const auto open = type.find('[');
  std::size_t n = 0;
  if (open != std::string_view::npos) std::from_chars(type.data() + open + 1, type.data() + type.size(), n);
  return n;
}

ir::Arg normalized(const ir::Arg& given, const Param& param) {
  const auto n = fixed_length(param.type);
  if (n == 0) return given;
  if (const auto* one = std::get_if<Expr>(&given)) return std::vector<Expr>(n, *one);
  if (const auto* list = std::get_if<std::vector<Expr>>(&given); list != nullptr && list->size() == 1) return std::vector<Expr>(n, list->front());
  return given;
}

/// Whether the exporter's `sizes` lack a symbol that only data gives: such a root keeps the size that its node defines.
bool loses_data_symbol(const sym::Shape& own, const sym::Shape& sizes, const sym::SymbolTable& symbols) {
  std::vector<std::string> have, want;
  for (const Expr& e : own) sym::collect_symbols(e, have);
  for (const Expr& e : sizes) sym::collect_symbols(e, want);
  return std::any_of(have.begin(), have.end(), [&](const std::string& s) {
    const int at = symbols.find(s);
    return at >= 0 && symbols.at(at).unbacked && std::find(want.begin(), want.end(), s) == want.end();
  });
}

bool same_place(const ir::Value& a, const ir::Value& b) {
  return a.root == b.root && a.offset == b.offset && sym::equal(a.sizes, b.sizes) && sym::equal(a.strides, b.strides);
}

}  // namespace

Val Scope::at(const std::string& name) const {
  const auto found = tensors.find(name);
  REPRISE_CHECK(found != tensors.end() && found->second.defined(), InvalidArgument, "[ops/convert] value '{}' is read, but nothing produces it", name);
  return found->second;
}

std::vector<FlatOutput> flatten(const std::vector<ir::Output>& outputs) {
  std::vector<FlatOutput> out;
  for (const auto& o : outputs) {
    if (const auto* list = std::get_if<std::vector<ir::TensorName>>(&o))
      out.insert(out.end(), list->begin(), list->end());
    else if (const auto* tensor = std::get_if<ir::TensorName>(&o))
      out.emplace_back(*tensor);
    else if (const auto* scalar = std::get_if<ir::SymOutput>(&o))
      out.emplace_back(*scalar);
    else
      out.emplace_back(ir::None{});
  }
  return out;
}

NodeContext::NodeContext(ir::Builder& builder, const ir::AtenNode& node, const Registry::Entry& entry, Scope& scope, Inline inline_graph)
    : builder_(&builder),
      node_(&node),
      entry_(&entry),
      scope_(&scope),
      inline_graph_(std::move(inline_graph)),
      outputs_(flatten(node.outputs)),
      results_(outputs_.size()),
      first_own_(static_cast<ir::ValueId>(builder.graph().values.size())) {
  bind_arguments();
}

std::size_t NodeContext::find_param(std::string_view name) const {
  const auto& params = entry_->schema.params;
  return static_cast<std::size_t>(std::find_if(params.begin(), params.end(), [&](const Param& p) { return p.name == name; }) - params.begin());
}

void NodeContext::bind_arguments() {
  const auto& params = entry_->schema.params;
  std::vector<bool> given(params.size());
  arguments_.resize(params.size());
  std::size_t position = 0;
  for (const auto& [name, value] : node_->args) {
    const std::size_t i = name.empty() ? position++ : find_param(name);
    if (i < params.size()) {
      arguments_[i] = normalized(value, params[i]);
      given[i] = true;
      continue;
    }
    if (name == "out" && entry_->writes_out) {
      out_ = &value;
      continue;
    }
    // Higher-order ops take any number of operands.
    REPRISE_CHECK(name.empty() && node_->target.starts_with("higher_order."), InvalidArgument, "[ops/{}] unknown argument '{}' (argument {})", node_->target,
                  name, i);
  }
  for (std::size_t i = 0; i < params.size(); ++i) {
    if (given[i]) continue;
    REPRISE_CHECK(params[i].fallback.has_value(), InvalidArgument, "[ops/{}] argument '{}' is missing", node_->target, params[i].name);
    arguments_[i] = *params[i].fallback;
  }
}

const ir::Arg& NodeContext::arg(std::string_view name) const {
  if (const auto i = find_param(name); i < arguments_.size()) return arguments_[i];
  std::size_t position = node_->args.size();
  std::from_chars(name.data(), name.data() + name.size(), position);
  REPRISE_CHECK(position < node_->args.size(), InvalidArgument, "[ops/{}] there is no argument '{}'", node_->target, name);
  return node_->args[position].value;
}

Val NodeContext::tensor(std::string_view name) {
  const ir::Arg& a = arg(name);
  if (const auto* t = std::get_if<ir::TensorName>(&a)) return scope_->at(t->name);
  const Scalar s = scalar(name);
  const DType types[] = {DType::boolean, DType::i64, DType::f32};
  if (s.kind == Scalar::Kind::boolean && s.value.is_int()) return builder_->fill({}, s.value != Expr(0), DType::boolean);
  return builder_->scalar(s.value, types[static_cast<std::size_t>(s.kind)]);
}

std::vector<Val> NodeContext::tensors(std::string_view name) {
  const ir::Arg& a = arg(name);
  std::vector<Val> out;
  if (const auto* list = std::get_if<std::vector<std::optional<ir::TensorName>>>(&a)) {
    for (const auto& t : *list) out.push_back(t ? scope_->at(t->name) : Val());
    return out;
  }
  if (is_tensor(name)) return {tensor(name)};
  REPRISE_CHECK(ints(name).empty(), InvalidArgument, "[ops/{}] argument '{}' is not a list of tensors", node_->target, name);
  return out;
}

const ir::TensorMeta* NodeContext::output_meta(int i) const {
  if (i < 0 || i >= static_cast<int>(outputs_.size())) return nullptr;
  const auto* t = std::get_if<ir::TensorName>(&outputs_[static_cast<std::size_t>(i)]);
  if (t == nullptr) return nullptr;
  const auto at = scope_->graph->tensors.find(t->name);
  return at == scope_->graph->tensors.end() ? nullptr : &at->second;
}

Expr NodeContext::output_symbol(int i) const {
  const auto* s = i >= 0 && i < static_cast<int>(outputs_.size()) ? std::get_if<ir::SymOutput>(&outputs_[static_cast<std::size_t>(i)]) : nullptr;
  REPRISE_CHECK(s != nullptr, InvalidArgument, "[ops/{}] output {} is not a symbolic scalar", node_->target, i);
  return s->value;
}

Val NodeContext::write_to(Val destination, Val value) {
  REPRISE_CHECK(can_cast(value.dtype(), destination.dtype()), InvalidArgument, "[ops/{}] a result of {} cannot be stored in {}", node_->target,
                name(value.dtype()), name(destination.dtype()));
  if (!same_place(destination.value(), value.value())) builder_->write(destination, value);
  return destination;
}

void NodeContext::set(int i, Val value) {
  if (i >= static_cast<int>(results_.size())) return;  // an op that returns nothing, or fewer results in this file's generation
  if (i == 0 && entry_->writes_self) value = write_to(tensor(entry_->schema.params.front().name), value);
  if (i == 0 && out_ != nullptr) {
    const auto* t = std::get_if<ir::TensorName>(out_);
    REPRISE_CHECK(t != nullptr, InvalidArgument, "[ops/{}] argument 'out' is not a tensor", node_->target);
    const Val out = scope_->at(t->name);
    // A tensor of other sizes would be resized, which gives it new memory.
    value = ir::differ(out.sizes(), value.sizes()) ? builder_->cast(value, out.dtype()) : write_to(out, value);
  }
  results_[static_cast<std::size_t>(i)] = value;
}

std::vector<Val> NodeContext::inline_graph(const ir::AtenGraph& graph, std::span<const Val> inputs) { return inline_graph_(graph, inputs); }

void NodeContext::define_sizes(const sym::Shape& own, const sym::Shape& exported) {
  for (std::size_t i = 0; i < own.size(); ++i)
    if (exported[i].is_symbol() && !(own[i] == exported[i])) builder_->item(builder_->scalar(own[i], DType::i64), exported[i]);
}

Val NodeContext::adopt(Val value, const std::string& name, const ir::TensorMeta& meta) {
  REPRISE_CHECK(value.dtype() == meta.dtype, InvalidArgument, "[ops/{}] result '{}' has the wrong dtype (got {}, want {})", node_->target, name,
                reprise::name(value.dtype()), reprise::name(meta.dtype));
  REPRISE_CHECK(!ir::differ(value.sizes(), meta.sizes), ShapeError, "[ops/{}] result '{}' has the wrong sizes (got {}, want {})", node_->target, name,
                sym::str(value.sizes()), sym::str(meta.sizes));
  define_sizes(value.sizes(), meta.sizes);
  ir::Graph& graph = builder_->graph();
  ir::Value& v = graph.at(value.id());
  const bool own_root = value.id() >= first_own_ && v.kind == ir::ValueKind::node;
  if (own_root) v.name = name;
  if (sym::equal(v.sizes, meta.sizes)) return value;
  if (!own_root || loses_data_symbol(v.sizes, meta.sizes, graph.symbols)) return builder_->with_sizes(value, meta.sizes);
  v.sizes = meta.sizes;
  v.strides = sym::contiguous_strides(meta.sizes);
  return value;
}

void NodeContext::finish() {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const auto* t = std::get_if<ir::TensorName>(&outputs_[i]);
    if (t == nullptr) continue;
    const ir::TensorMeta* meta = output_meta(static_cast<int>(i));
    scope_->tensors[t->name] = results_[i].defined() && meta != nullptr ? adopt(results_[i], t->name, *meta) : results_[i];
  }
}

}  // namespace reprise::ops
