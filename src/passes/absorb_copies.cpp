#include "passes/absorb_copies.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "passes/readers.h"
#include "passes/rewrite.h"

namespace reprise::passes {
namespace {

using core::Op;
using ir::ValueId;
using sym::Expr;
using sym::Shape;

/// Ops whose kernels write any strides at full speed.
bool writes_anywhere(Op op) { return op == Op::attention || op == Op::pointwise || op == Op::matmul; }

class Absorber {
 public:
  explicit Absorber(ir::Graph& graph) : graph_(graph), readers_(graph) {}

  void run(ir::Region& region) {
    std::vector<ir::Node> kept;
    std::unordered_map<ValueId, Op> makers;
    for (auto& node : region.nodes) {
      for (auto& inner : node.regions) run(inner);
      if (node.op == Op::copy && absorb(node, makers)) continue;
      if (is_in_engine(graph_, node)) {
        for (const ValueId y : node.outputs) makers[y] = node.op;
      }
      kept.push_back(std::move(node));
    }
    region.nodes = std::move(kept);
  }

 private:
  bool absorb(const ir::Node& copy, const std::unordered_map<ValueId, Op>& makers) {
    const ValueId x = copy.inputs.front(), y = copy.outputs.front(), root = graph_.at(x).root;
    const auto maker = makers.find(root);
    if (maker == makers.end() || !writes_anywhere(maker->second) || readers_.reads(graph_, x) != 1 || readers_.kept(graph_, x)) return false;
    if (!graph_.is_contiguous(root) || !graph_.is_contiguous(y)) return false;
    const auto strides = permuted(x);
    if (strides.empty()) return false;
    graph_.at(root).strides = strides;
    // The root's memory is now what the copy made.
    replace_root(graph_, y, root);
    graph_.at(x).strides = graph_.at(y).strides;
    return true;
  }

  /// Strides of x's root that make x row-major, where x is all of the root with its dimensions in another order. Empty: it is something else.
  Shape permuted(ValueId x) const {
    const auto &view = graph_.at(x), &root = graph_.root_of(x);
    if (x == view.root || !(view.offset == Expr(0))) return {};
    const Shape wanted = sym::contiguous_strides(view.sizes);
    Shape strides(root.sizes.size());
    std::vector<bool> taken(root.sizes.size());
    for (std::size_t d = 0; d < view.sizes.size(); ++d) {
      if (view.sizes[d] == Expr(1)) continue;
      std::size_t i = 0;
      while (i < root.sizes.size() && (taken[i] || !(root.sizes[i] == view.sizes[d]) || !(root.strides[i] == view.strides[d]))) ++i;
      if (i == root.sizes.size()) return {};
      taken[i] = true;
      strides[i] = wanted[d];
    }
    for (std::size_t i = 0; i < root.sizes.size(); ++i) {
      if (!taken[i] && !(root.sizes[i] == Expr(1))) return {};
    }
    return strides;
  }

  ir::Graph& graph_;
  Readers readers_;
};

}  // namespace

void absorb_copies(ir::Graph& graph) { Absorber(graph).run(graph.body); }

}  // namespace reprise::passes
