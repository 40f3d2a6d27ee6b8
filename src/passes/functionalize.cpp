#include "passes/functionalize.h"

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/check.h"

namespace reprise::passes {

namespace {

using ir::ValueId;

// Every value is named by its original root; `version_` tells which root holds that one's contents now.
class Functionalizer {
 public:
  explicit Functionalizer(ir::Graph& graph) : graph_(graph) {}

  void run() {
    region(graph_.body);
    for (auto& result : graph_.results) {
      if (result.kind == ir::Result::Kind::tensor) result.value = newest(result.value);
    }
    for (auto& state : graph_.states) {
      const auto before = state.final == ir::kNoValue ? state.value : state.final;
      const auto now = newest(before);
      if (now != state.value) state.final = now;
    }
  }

 private:
  ValueId base(ValueId root) const {
    const auto it = version_.find(root);
    return it == version_.end() ? root : it->second;
  }

  // The same view of the newest version of its root.
  ValueId newest(ValueId id) {
    const auto value = graph_.at(id);  // a copy: add_view may move values
    const auto now = base(value.root);
    return now == value.root ? id : graph_.add_view(now, value.sizes, value.strides, value.offset);
  }

  void region(ir::Region& region) {
    std::vector<ir::Node> kept;
    kept.reserve(region.nodes.size());
    for (auto& node : region.nodes) {
      if (node.op == core::Op::write) {
        if (auto made = write(std::move(node))) kept.push_back(std::move(*made));
        continue;
      }
      for (auto& input : node.inputs) input = newest(input);
      for (auto& inner : node.regions) nested(inner);
      local_.insert(node.outputs.begin(), node.outputs.end());
      kept.push_back(std::move(node));
    }
    region.nodes = std::move(kept);
    for (auto& result : region.results) result = newest(result);
  }

  // Only what a nested region itself defines may be written there, and its versions end with it.
  void nested(ir::Region& inner) {
    const auto outer_versions = version_;
    auto outer_local = std::exchange(local_, {});
    const bool outer_nested = std::exchange(nested_, true);
    local_.insert(inner.params.begin(), inner.params.end());
    region(inner);
    version_ = outer_versions;
    local_ = std::move(outer_local);
    nested_ = outer_nested;
  }

  // The node that makes the new version; none where the source itself serves.
  std::optional<ir::Node> write(ir::Node node) {
    const auto dst = graph_.at(node.inputs.at(0));
    REPRISE_CHECK(!nested_ || local_.contains(dst.root), UnsupportedOp,
                  "[passes/functionalize] node '{}' writes inside a branch or loop to a value from outside it", node.name);
    const auto src = newest(node.inputs.at(1));
    const bool whole = graph_.is_whole(node.inputs[0]);
    if (whole && graph_.is_whole(src) && graph_.root_of(src).kind == ir::ValueKind::node) {
      version_[dst.root] = graph_.at(src).root;
      return std::nullopt;
    }
    const auto root = graph_.at(dst.root);
    const auto made = graph_.add_root(ir::ValueKind::node, node.name, root.dtype, root.sizes);
    node.outputs = {made};
    if (whole && sym::equal(graph_.at(src).sizes, root.sizes)) {
      node.op = core::Op::copy;
      node.inputs = {src};
    } else {
      node.op = core::Op::write_view;
      node.inputs = {base(dst.root), src};
      node.attrs = core::Attrs{{"sizes", dst.sizes}, {"strides", dst.strides}, {"offset", dst.offset}};
    }
    version_[dst.root] = made;
    return node;
  }

  ir::Graph& graph_;
  std::unordered_map<ValueId, ValueId> version_;
  std::unordered_set<ValueId> local_;
  bool nested_ = false;
};

}  // namespace

void functionalize(ir::Graph& graph) { Functionalizer(graph).run(); }

}  // namespace reprise::passes
