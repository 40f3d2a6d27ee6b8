// auto_functionalized_v2: how run_decompositions() writes a custom op that changes its arguments. It copies the tensors behind them, has the op change the
// copies, and returns those behind the op's own results.
#include <algorithm>
#include <list>

#include "api/compiler/op_node_view.h"
#include "api/compiler/registry.h"
#include "base/check.h"
#include "ops/convert.h"

namespace reprise::api {
namespace {

constexpr std::string_view kTarget = "higher_order.auto_functionalized_v2";
using ir::Val;

const ir::Arg* find(const ir::AtenNode& node, std::string_view name) {
  const auto found = std::find_if(node.args.begin(), node.args.end(), [&](const auto& arg) { return arg.name == name; });
  return found == node.args.end() ? nullptr : &found->value;
}

using Bases = std::vector<std::optional<ir::TensorName>>;

/// The op behind the node: with the bases for the arguments that it changes.
struct Inner {
  ir::AtenNode node;
  std::map<std::string, std::size_t, std::less<>> base_of;  // by changed argument
  std::size_t bases = 0;
};

Inner unwrap(const ir::AtenNode& outer) {
  Inner inner;
  const auto* op = outer.args.empty() ? nullptr : std::get_if<std::string>(&outer.args.front().value);
  const auto* all = find(outer, "_all_bases");
  const auto* bases = all == nullptr ? nullptr : std::get_if<Bases>(all);
  REPRISE_CHECK(op != nullptr && bases != nullptr, FormatError, "[compile/auto_functionalized] '{}' names no op or no tensors", outer.source.name);
  inner.node.target = op->starts_with("torch.ops.") ? op->substr(10) : *op;
  inner.node.source = outer.source;
  inner.bases = bases->size();
  for (std::size_t i = 1; i < outer.args.size(); ++i) {
    const auto& [name, value] = outer.args[i];
    if (!name.starts_with('_')) inner.node.args.push_back({name, value});
    constexpr std::string_view kIndex = "_base_index";
    if (!name.ends_with(kIndex)) continue;
    const auto argument = name.substr(1, name.size() - 1 - kIndex.size());
    const auto* index = std::get_if<sym::Expr>(&value);
    const auto base = index == nullptr ? std::nullopt : index->as_int();
    if (!base || *base < 0 || *base >= std::ssize(*bases) || !(*bases)[static_cast<std::size_t>(*base)]) continue;  // None
    inner.base_of[argument] = static_cast<std::size_t>(*base);
    inner.node.args.push_back({argument, *(*bases)[static_cast<std::size_t>(*base)]});
  }
  inner.node.outputs.assign(outer.outputs.begin(), outer.outputs.end() - static_cast<std::ptrdiff_t>(std::min(inner.bases, outer.outputs.size())));
  return inner;
}

/// The inner op's view of the outer node.
class InnerContext final : public ops::Context {
 public:
  InnerContext(ops::Context& outer, const Inner& inner, const ops::Schema& schema) : outer_(outer), inner_(inner), arguments_(inner.node, schema) {
    for (const Val& base : outer.tensors("_all_bases")) copies_.push_back(outer.build().copy(base));
  }

  [[nodiscard]] ir::Builder& build() override { return outer_.build(); }
  [[nodiscard]] const ir::AtenNode& node() const override { return inner_.node; }
  [[nodiscard]] const ir::Arg& arg(std::string_view name) const override { return arguments_.arg(name); }
  [[nodiscard]] Val tensor(std::string_view name) override {
    const auto base = inner_.base_of.find(name);
    return base == inner_.base_of.end() ? outer_.tensor(name) : view(std::string(name), copies_[base->second]);
  }
  [[nodiscard]] std::vector<Val> tensors(std::string_view name) override { return outer_.tensors(name); }
  [[nodiscard]] const ir::TensorMeta* output_meta(int i) const override { return i < own_outputs() ? outer_.output_meta(i) : nullptr; }
  [[nodiscard]] sym::Expr output_symbol(int i) const override { return outer_.output_symbol(i); }
  void set(int i, Val value) override { outer_.set(i, value); }
  [[nodiscard]] std::vector<Val> inline_graph(const ir::AtenGraph& graph, std::span<const Val> inputs) override { return outer_.inline_graph(graph, inputs); }

  void return_copies() {
    for (std::size_t i = 0; i < copies_.size(); ++i) outer_.set(own_outputs() + static_cast<int>(i), copies_[i]);
  }

 private:
  [[nodiscard]] int own_outputs() const { return static_cast<int>(inner_.node.outputs.size()); }

  /// The argument as a view of its base's copy.
  Val view(const std::string& argument, Val base) {
    const auto given = [&](const char* what) { return "_" + argument + what; };
    const auto& node = outer_.node();
    if (find(node, given("_slice_dim")) != nullptr && !outer_.is_none(given("_slice_dim"))) {
      const auto start = outer_.integer(given("_slice_start")), end = outer_.integer(given("_slice_end"));
      return build().slice(base, static_cast<int>(outer_.fixed(given("_slice_dim"))), start, end - start);
    }
    if (find(node, given("_size")) == nullptr || outer_.is_none(given("_size"))) return base;
    return build().as_strided(base, outer_.ints(given("_size")), outer_.ints(given("_stride")), outer_.integer(given("_storage_offset")));
  }

  ops::Context& outer_;
  const Inner& inner_;
  NodeArguments arguments_;
  std::vector<Val> copies_;  // of the bases
};

using Inners = std::map<const ir::AtenNode*, Inner>;

}  // namespace

bool has_functionalized(const GraphOf& graphs) {
  return std::any_of(graphs.begin(), graphs.end(), [](const auto& entry) { return entry.first->target == kTarget; });
}

void add_functionalized_row(ops::Registry& registry, GraphOf& graphs) {
  const auto inners = std::make_shared<Inners>();
  std::set<std::string> names;
  for (const auto& [node, graph] : graphs) {
    if (node->target != kTarget) continue;
    inners->emplace(node, unwrap(*node));
    for (const auto& arg : node->args)
      if (!arg.name.empty()) names.insert(arg.name);
  }
  if (inners->empty()) return;
  for (const auto& [node, inner] : *inners) graphs[&inner.node] = graphs.at(node);
  ops::Converter row;
  row.schema = "higher_order::auto_functionalized_v2(op, *";
  for (const auto& name : names) row.schema += fmt::format(", Any {}=None", name);
  row.schema += ")";
  const auto match = [&registry, inners, &graphs](const ir::AtenNode& outer) {
    const auto& node = inners->at(&outer).node;
    return registry.match(node, ops::is_dynamic(node, *graphs.at(&node)));
  };
  row.validate = [inners, match](const ir::AtenNode& outer) -> std::optional<std::string> {
    const auto found = match(outer);
    if (found.entry != nullptr) return std::nullopt;
    const auto& target = inners->at(&outer).node.target;
    return found.reason.empty() ? fmt::format("{} has no converter", target) : fmt::format("{}: {}", target, found.reason);
  };
  row.convert = [inners, match](ops::Context& context) {
    const auto* entry = match(context.node()).entry;
    InnerContext inner(context, inners->at(&context.node()), entry->schema);
    entry->converter->convert(inner);
    inner.return_copies();
  };
  registry.add(std::move(row));
}

}  // namespace reprise::api
