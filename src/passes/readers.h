// Who reads the roots of a graph.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace reprise::passes {

struct Readers {
  explicit Readers(const ir::Graph& graph);
  /// Operands that read the root or a view of it, in all regions.
  [[nodiscard]] int reads(const ir::Graph& graph, ir::ValueId value) const { return reads_[index(graph, value)]; }
  /// The root, or a view of it, is a result of the call or of a region, or a final state: memory whose layout others rely on.
  [[nodiscard]] bool kept(const ir::Graph& graph, ir::ValueId value) const { return kept_[index(graph, value)] != 0; }

 private:
  [[nodiscard]] static std::size_t index(const ir::Graph& graph, ir::ValueId value) { return static_cast<std::size_t>(graph.at(value).root); }
  void count(const ir::Graph& graph, const ir::Region& region);

  std::vector<int> reads_;
  std::vector<char> kept_;
};

}  // namespace reprise::passes
