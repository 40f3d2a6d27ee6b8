#include "passes/readers.h"

namespace reprise::passes {

Readers::Readers(const ir::Graph& graph) : reads_(graph.values.size()), kept_(graph.values.size()) {
  count(graph, graph.body);
  for (const auto& result : graph.results) {
    if (result.kind == ir::Result::Kind::tensor) kept_[index(graph, result.value)] = 1;
  }
  for (const auto& state : graph.states) {
    if (state.final != ir::kNoValue) kept_[index(graph, state.final)] = 1;
  }
}

void Readers::count(const ir::Graph& graph, const ir::Region& region) {
  for (const auto& node : region.nodes) {
    for (const auto x : node.inputs) ++reads_[index(graph, x)];
    for (const auto& inner : node.regions) count(graph, inner);
  }
  for (const auto x : region.results) kept_[index(graph, x)] = 1;
  for (const auto x : region.params) kept_[index(graph, x)] = 1;
}

}  // namespace reprise::passes
