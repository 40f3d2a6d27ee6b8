// Where values are used: the linear order of nodes, and first and last uses of roots.
#pragma once

#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace reprise::lower {

struct NodePlace {
  int order = 0;       // pre-order over nested regions
  int last_inner = 0;  // order of the last node inside its regions; own order without regions
  const ir::Region* region = nullptr;
};

/// Orders and uses over a whole graph. Orders count nodes, not commands; results and final states count as uses at `end()`.
class Uses {
 public:
  explicit Uses(const ir::Graph& graph);
  [[nodiscard]] const NodePlace& place(const ir::Node& node) const { return places_.at(&node); }
  /// Order of the last node that reads `root` (loops prolong: a use inside a loop of a value from outside counts at the loop's end); -1: never read.
  [[nodiscard]] int last_use(ir::ValueId root) const { return last_use_.at(static_cast<std::size_t>(root)); }
  [[nodiscard]] int use_count(ir::ValueId root) const { return use_count_.at(static_cast<std::size_t>(root)); }
  /// The region whose node or parameter list defines `root`; nullptr for inputs, constants and states.
  [[nodiscard]] const ir::Region* home(ir::ValueId root) const { return home_.at(static_cast<std::size_t>(root)); }
  [[nodiscard]] int end() const { return end_; }

 private:
  void walk(const ir::Region& region);
  void use(ir::ValueId value, int order);
  void prolong(const ir::Node& loop);

  const ir::Graph& graph_;
  std::unordered_map<const ir::Node*, NodePlace> places_;
  std::vector<int> last_use_, use_count_;
  std::vector<const ir::Region*> home_;
  int next_ = 0, end_ = 0;
};

}  // namespace reprise::lower
