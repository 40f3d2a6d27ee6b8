// auto_functionalized and auto_functionalized_v2: how exporters write a custom op that changes its arguments without a change. They copy tensors, have the op
// change the copies, and return these behind the op's own results. The first form copies the arguments that the op's schema marks; the second one the tensors
// behind them (_all_bases), and says how each argument is a view of one (_ARGUMENT_base_index, …; in a list _ARGUMENT_0_base_index, …).
#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>

#include "api/compiler/op_node_view.h"
#include "api/compiler/registry.h"
#include "api/compiler/signature.h"
#include "base/check.h"
#include "ops/convert.h"

namespace reprise::api {
namespace {

constexpr std::array<std::string_view, 2> kTargets = {"higher_order.auto_functionalized", "higher_order.auto_functionalized_v2"};
constexpr std::string_view kBases = "_all_bases";
using ir::Val;

bool is_functionalized(const ir::AtenNode& node) { return std::find(kTargets.begin(), kTargets.end(), node.target) != kTargets.end(); }

const ir::Arg* find(const ir::AtenNode& node, std::string_view name) {
  const auto found = std::find_if(node.args.begin(), node.args.end(), [&](const auto& arg) { return arg.name == name; });
  return found == node.args.end() ? nullptr : &found->value;
}

std::optional<std::int64_t> integer(const ir::Arg* arg) {
  const auto* value = arg == nullptr ? nullptr : std::get_if<sym::Expr>(arg);
  return value == nullptr ? std::nullopt : value->as_int();
}

using Tensors = std::vector<std::optional<ir::TensorName>>;

/// The op behind a node, as it would stand there without it.
struct Inner {
  ir::AtenNode node;
  std::vector<std::string> changed;                         // arguments, in the first form
  std::map<std::string, std::size_t, std::less<>> base_of;  // in the second form, by argument, "parts_1" in a list: which tensor it is a view of
};

/// Arguments of the second form: the others as they are, and for each view the tensor behind it.
void add_arguments_and_views(Inner& inner, const ir::AtenNode& outer, const Tensors& bases) {
  const auto base = [&](const std::string& argument) -> std::optional<ir::TensorName> {
    const auto index = integer(find(outer, "_" + argument + "_base_index"));
    if (!index || *index < 0 || *index >= std::ssize(bases) || !bases[static_cast<std::size_t>(*index)]) return std::nullopt;
    inner.base_of[argument] = static_cast<std::size_t>(*index);
    return bases[static_cast<std::size_t>(*index)];
  };
  for (std::size_t i = 1; i < outer.args.size(); ++i) {
    const auto& [name, value] = outer.args[i];
    constexpr std::string_view kLength = "_length", kIndex = "_base_index";
    if (!name.starts_with('_')) {
      inner.node.args.push_back({name, value});
    } else if (const auto length = integer(&value); name.ends_with(kLength) && length) {
      const auto argument = name.substr(1, name.size() - 1 - kLength.size());
      Tensors parts;
      for (std::int64_t part = 0; part < std::min(*length, std::ssize(outer.args)); ++part) parts.push_back(base(fmt::format("{}_{}", argument, part)));
      inner.node.args.push_back({argument, std::move(parts)});
    } else if (name.ends_with(kIndex)) {
      const auto argument = name.substr(1, name.size() - 1 - kIndex.size());
      if (inner.base_of.contains(argument)) continue;  // of a list
      if (auto tensor = base(argument)) inner.node.args.push_back({argument, *std::move(tensor)});
    }
  }
}

/// What the schema of the op's first converter marks as written; nothing without a converter.
std::vector<std::string> written_arguments(const ops::Registry& registry, const std::string& target) {
  const auto* entry = registry.find(target);
  if (entry == nullptr) return {};
  const auto signature = parse_signature(entry->converter->schema);
  std::vector<std::string> written;
  for (std::size_t i = 0; i < signature.schema.params.size(); ++i)
    if (!signature.written[i].empty()) written.push_back(signature.schema.params[i].name);
  return written;
}

Inner unwrap(const ir::AtenNode& outer, const ops::Registry& registry) {
  Inner inner;
  const auto* op = outer.args.empty() ? nullptr : std::get_if<std::string>(&outer.args.front().value);
  const auto* all = find(outer, kBases);
  const auto* bases = all == nullptr ? nullptr : std::get_if<Tensors>(all);
  REPRISE_CHECK(op != nullptr && (bases != nullptr) == (outer.target == kTargets[1]), FormatError,
                "[compile/auto_functionalized] '{}' names no op or no tensors", outer.source.name);
  inner.node.target = op->starts_with("torch.ops.") ? op->substr(10) : *op;
  inner.node.source = outer.source;
  if (bases != nullptr) {
    add_arguments_and_views(inner, outer, *bases);
  } else {
    inner.node.args.assign(outer.args.begin() + 1, outer.args.end());
    inner.changed = written_arguments(registry, inner.node.target);
  }
  const std::size_t returned = std::min(bases != nullptr ? bases->size() : inner.changed.size(), outer.outputs.size());
  inner.node.outputs.assign(outer.outputs.begin(), outer.outputs.end() - static_cast<std::ptrdiff_t>(returned));
  return inner;
}

/// List outputs counted through.
int count_results(const ir::AtenNode& node) {
  return std::accumulate(node.outputs.begin(), node.outputs.end(), 0, [](int count, const ir::Output& output) {
    const auto* list = std::get_if<std::vector<ir::TensorName>>(&output);
    return count + (list == nullptr ? 1 : static_cast<int>(list->size()));
  });
}

/// The inner op's view of the outer node.
class InnerContext final : public ops::Context {
 public:
  InnerContext(ops::Context& outer, const Inner& inner, const ops::Schema& schema) : outer_(outer), inner_(inner), arguments_(inner.node, schema) {
    if (find(outer.node(), kBases) != nullptr)
      for (const Val& base : outer.tensors(kBases)) copies_.push_back(outer.build().copy(base));
    for (const auto& name : inner.changed) {
      auto& mine = copies_of_[name] = tensors_of(name);
      for (Val& tensor : mine) copies_.push_back(tensor = tensor.defined() ? outer.build().copy(tensor) : tensor);
    }
  }

  [[nodiscard]] ir::Builder& build() override { return outer_.build(); }
  [[nodiscard]] const ir::AtenNode& node() const override { return inner_.node; }
  [[nodiscard]] const ir::Arg& arg(std::string_view name) const override { return arguments_.arg(name); }
  [[nodiscard]] Val tensor(std::string_view name) override {
    if (const auto copies = copies_of_.find(name); copies != copies_of_.end()) return copies->second.front();
    const auto base = inner_.base_of.find(name);
    return base == inner_.base_of.end() ? outer_.tensor(name) : view(std::string(name), copies_[base->second]);
  }
  [[nodiscard]] std::vector<Val> tensors(std::string_view name) override {
    if (const auto copies = copies_of_.find(name); copies != copies_of_.end()) return copies->second;
    if (find(outer_.node(), name) != nullptr) return outer_.tensors(name);
    std::vector<Val> parts;
    for (const auto& part : std::get<Tensors>(arg(name))) {
      const auto argument = fmt::format("{}_{}", name, parts.size());
      parts.push_back(part ? view(argument, copies_[inner_.base_of.at(argument)]) : Val());
    }
    return parts;
  }
  [[nodiscard]] const ir::TensorMeta* output_meta(int i) const override { return i < own_results() ? outer_.output_meta(i) : nullptr; }
  [[nodiscard]] sym::Expr output_symbol(int i) const override { return outer_.output_symbol(i); }
  void set(int i, Val value) override { outer_.set(i, value); }
  [[nodiscard]] std::vector<Val> inline_graph(const ir::AtenGraph& graph, std::span<const Val> inputs) override { return outer_.inline_graph(graph, inputs); }

  void return_copies() {
    for (std::size_t i = 0; i < copies_.size(); ++i)
      if (copies_[i].defined()) outer_.set(own_results() + static_cast<int>(i), copies_[i]);
  }

 private:
  [[nodiscard]] int own_results() const { return count_results(inner_.node); }

  /// An argument of the first form; one that is None has one result, which is None too.
  std::vector<Val> tensors_of(const std::string& name) {
    if (outer_.is_none(name)) return {Val()};
    return std::holds_alternative<Tensors>(outer_.arg(name)) ? outer_.tensors(name) : std::vector{outer_.tensor(name)};
  }

  /// An argument of the second form as a view of its base's copy.
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
  std::vector<Val> copies_;                                         // in the order of the results behind the op's own
  std::map<std::string, std::vector<Val>, std::less<>> copies_of_;  // in the first form, by argument
};

using Inners = std::map<const ir::AtenNode*, Inner>;

}  // namespace

bool has_functionalized(const GraphOf& graphs) {
  return std::any_of(graphs.begin(), graphs.end(), [](const auto& entry) { return is_functionalized(*entry.first); });
}

void add_functionalized_rows(ops::Registry& registry, GraphOf& graphs) {
  const auto inners = std::make_shared<Inners>();
  std::set<std::string> names;
  for (const auto& [node, graph] : graphs) {
    if (!is_functionalized(*node)) continue;
    inners->emplace(node, unwrap(*node, registry));
    for (const auto& arg : node->args)
      if (!arg.name.empty()) names.insert(arg.name);
  }
  if (inners->empty()) return;
  for (const auto& [node, inner] : *inners) graphs[&inner.node] = graphs.at(node);
  const auto match = [&registry, inners, &graphs](const ir::AtenNode& outer) {
    const auto& node = inners->at(&outer).node;
    return registry.match(node, ops::is_dynamic(node, *graphs.at(&node)));
  };
  ops::Converter row;
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
  for (const auto target : kTargets) {
    row.schema = fmt::format("{}(op, *", std::string(target).replace(target.find('.'), 1, "::"));
    for (const auto& name : names) row.schema += fmt::format(", Any {}=None", name);
    row.schema += ")";
    registry.add(row);
  }
}

}  // namespace reprise::api
