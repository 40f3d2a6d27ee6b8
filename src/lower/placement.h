// Which roots share memory, and which of that memory is an output's or a state's own.
//
// Roots computed in place of one another form a group; a group may be anchored to an output, a state, or a branch's result. Everything else is a temp.
#pragma once

#include <cstddef>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "lower/uses.h"

namespace reprise::lower {

struct Anchor {
  enum class Kind : std::uint8_t { none, output, state, source } kind = Kind::none;  // source: an input's or constant's own memory
  int index = -1;                                                                    // result or state
};

/// The input of a foreign node that its output `y` is the changed form of; -1: `y` is a result.
std::ptrdiff_t mutated_input(const ir::Node& node, ir::ValueId y);

class Placement {
 public:
  Placement(const ir::Graph& graph, const Uses& uses);
  /// The root that stands for the group of `root`.
  [[nodiscard]] ir::ValueId group(ir::ValueId root) const;
  [[nodiscard]] Anchor anchor(ir::ValueId root) const { return anchors_.at(static_cast<std::size_t>(group(root))); }

 private:
  void index_nodes(const ir::Region& region);
  void mark_state_paths();
  void link_in_place(const ir::Region& region);
  void link_node(const ir::Node& node);
  void link_branches(const ir::Node& node);
  void anchor_states();
  void anchor_outputs();
  void join(ir::ValueId into, ir::ValueId root);
  /// The operand's root that output `y` of `node` could overwrite by the op's nature; kNoValue: none.
  [[nodiscard]] ir::ValueId candidate(const ir::Node& node, ir::ValueId y, std::size_t operand) const;
  [[nodiscard]] bool may_overwrite(const ir::Node& node, ir::ValueId y, ir::ValueId x) const;
  [[nodiscard]] bool others_apart(const ir::Node& node, ir::ValueId x) const;
  [[nodiscard]] const ir::Node* producer(ir::ValueId root) const;
  [[nodiscard]] int first_definition(ir::ValueId group) const;

  const ir::Graph& graph_;
  const Uses& uses_;
  std::vector<ir::ValueId> parent_;
  std::vector<Anchor> anchors_;
  std::vector<int> first_def_;  // per group
  std::unordered_map<ir::ValueId, const ir::Node*> producers_;
  std::vector<bool> on_state_path_;  // roots between a state's value and its final one
};

}  // namespace reprise::lower
