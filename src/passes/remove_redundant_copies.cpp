#include "passes/remove_redundant_copies.h"

#include <algorithm>
#include <vector>

#include "passes/rewrite.h"

namespace reprise::passes {

namespace {

using core::Op;
using ir::ValueId;

bool reads_any_strides_well(Op op) { return op == Op::pointwise || op == Op::matmul || op == Op::copy || op == Op::concat || op == Op::write_view; }

class Remover {
 public:
  explicit Remover(ir::Graph& graph) : graph_(graph), readers_(graph.values.size()) {
    count(graph.body);
    for (const auto& result : graph.results) {
      if (result.kind == ir::Result::Kind::tensor) read(result.value, nullptr);
    }
    for (const auto& state : graph.states) {
      if (state.final != ir::kNoValue) read(state.final, nullptr);
    }
  }

  void run(ir::Region& region) {
    auto kept = region.nodes.begin();
    for (auto it = region.nodes.begin(); it != region.nodes.end(); ++it) {
      for (auto& inner : it->regions) run(inner);
      if (it->op == Op::copy && remove(*it)) continue;
      if (kept != it) *kept = std::move(*it);
      ++kept;
    }
    region.nodes.erase(kept, region.nodes.end());
  }

 private:
  // What reads a root: an op, or kept memory (results, states, region results).
  struct Reader {
    ValueId* operand;  // of a node that reads any strides well; null: anything else
  };

  void read(ValueId value, ValueId* operand) { readers_[static_cast<std::size_t>(graph_.at(value).root)].push_back({operand}); }
  void count(ir::Region& region) {
    for (auto& node : region.nodes) {
      for (auto& input : node.inputs) read(input, reads_any_strides_well(node.op) ? &input : nullptr);
      for (auto& inner : node.regions) count(inner);
    }
    for (const auto result : region.results) read(result, nullptr);
  }

  // Every value of root `y` becomes one of `x`'s root: y's row-major elements are x's from x's offset on.
  void alias(ValueId y, ValueId x) {
    const auto source = graph_.at(x);
    replace_root(graph_, y, source.root, source.offset);
    auto& from = readers_[static_cast<std::size_t>(y)];
    auto& to = readers_[static_cast<std::size_t>(source.root)];
    to.insert(to.end(), from.begin(), from.end());
  }

  bool remove(const ir::Node& node) {
    const auto x = node.inputs.front(), y = node.outputs.front();
    if (graph_.is_contiguous(x)) {
      alias(y, x);
      return true;
    }
    const auto& readers = readers_[static_cast<std::size_t>(y)];
    if (readers.size() != 1 || readers.front().operand == nullptr) return false;
    auto& operand = *readers.front().operand;
    if (!graph_.is_whole(operand) || !sym::equal(graph_.at(operand).sizes, graph_.at(y).sizes)) return false;
    operand = x;
    return true;
  }

  ir::Graph& graph_;
  std::vector<std::vector<Reader>> readers_;
};

}  // namespace

void remove_redundant_copies(ir::Graph& graph) { Remover(graph).run(graph.body); }

}  // namespace reprise::passes
