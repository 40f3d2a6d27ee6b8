#include "passes/remove_dead_code.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace reprise::passes {

namespace {

using core::Op;

class Sweeper {
 public:
  explicit Sweeper(ir::Graph& graph) : graph_(graph), live_(graph.values.size(), false) {}

  void run() {
    for (const auto& result : graph_.results) {
      if (result.kind == ir::Result::Kind::tensor) need(result.value);
      need(result.scalar);
    }
    for (const auto& state : graph_.states) {
      if (state.final != ir::kNoValue) need(state.final);
    }
    sweep(graph_.body);
  }

 private:
  void need(const sym::Expr& e) {
    std::vector<std::string> names;
    sym::collect_symbols(e, names);
    symbols_.insert(names.begin(), names.end());
  }
  void need(const sym::Shape& shape) {
    for (const auto& e : shape) need(e);
  }
  void need(ir::ValueId id) {
    const auto& value = graph_.at(id);
    live_[static_cast<std::size_t>(value.root)] = true;
    need(value.sizes);
    need(value.strides);
    need(value.offset);
    need(graph_.at(value.root).sizes);
  }
  void need(const core::Attr& attr) {
    if (const auto* e = std::get_if<sym::Expr>(&attr)) need(*e);
    if (const auto* list = std::get_if<std::vector<sym::Expr>>(&attr)) need(*list);
    if (const auto* program = std::get_if<core::ScalarProgramPtr>(&attr)) need((*program)->symbols);
  }

  bool is_live(ir::ValueId id) const { return live_[static_cast<std::size_t>(id)]; }

  bool is_needed(const ir::Node& node) const {
    if (node.op == Op::check || node.op == Op::write || node.op == Op::foreign) return true;
    const bool defines = std::any_of(node.defines.begin(), node.defines.end(), [&](const auto& s) { return symbols_.contains(s); });
    return defines || std::any_of(node.outputs.begin(), node.outputs.end(), [&](auto y) { return is_live(y); }) ||
           std::any_of(node.regions.begin(), node.regions.end(), [&](const auto& region) {
             return std::any_of(region.nodes.begin(), region.nodes.end(), [&](const auto& n) { return n.op == Op::check; });
           });
  }

  void drop_optional_outputs(ir::Node& node) const {
    if (node.op != Op::norm && node.op != Op::pool && node.op != Op::scan) return;
    while (node.outputs.size() > 1 && !is_live(node.outputs.back())) node.outputs.pop_back();
  }

  void sweep(ir::Region& region) {
    for (const auto result : region.results) need(result);
    std::vector<ir::Node> kept;
    for (auto it = region.nodes.rbegin(); it != region.nodes.rend(); ++it) {
      auto& node = *it;
      if (!is_needed(node)) continue;
      drop_optional_outputs(node);
      for (const auto y : node.outputs) need(graph_.at(y).sizes);
      for (const auto& [key, attr] : node.attrs.items()) need(attr);
      for (auto inner = node.regions.rbegin(); inner != node.regions.rend(); ++inner) sweep(*inner);
      for (const auto x : node.inputs) need(x);
      kept.push_back(std::move(node));
    }
    region.nodes.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  }

  ir::Graph& graph_;
  std::vector<bool> live_;
  std::set<std::string> symbols_;
};

}  // namespace

void remove_dead_code(ir::Graph& graph) { Sweeper(graph).run(); }

}  // namespace reprise::passes
