// The state of one lowering: buffers and commands as they are made. Internal to this folder.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "lower/placement.h"
#include "lower/size_bounds.h"
#include "lower/uses.h"
#include "plan/plan.h"

namespace reprise::lower {

class Lowering {
 public:
  /// `plan` holds the signature and symbols already; `input_entry[k]` is the signature entry of tensor input k.
  Lowering(const ir::Graph& graph, plan::Plan& plan, std::vector<int> input_entry);
  void run();

 private:
  void weights_and_states();
  void emit_region(const ir::Region& region, int block);
  void emit_node(const ir::Node& node, int block);
  void emit_cond(const ir::Node& node, int block);
  void emit_while(const ir::Node& node, int block);
  void emit_repeat_interleave(const ir::Node& node, int block);
  void emit_foreign(const ir::Node& node, int block);
  void emit_results();
  void emit_final_states();
  void emit_copy(const plan::Operand& from, const plan::Operand& to, const ir::Node* source, int block);

  plan::Command command(const ir::Node& node) const;
  plan::Command& push(plan::Command command, int block);
  void define_symbols(const ir::Node& node, plan::Command& command) const;
  int new_block();
  /// Extends the life of what was alive before `first` and is touched after it: a loop's later rounds read it again.
  void keep_through_loop(int first);

  plan::Operand operand(ir::ValueId value);
  plan::Operand whole(plan::BufferId buffer, DType dtype, const sym::Shape& sizes) const;
  plan::BufferId buffer_of(ir::ValueId root);
  plan::BufferId new_buffer(plan::BufferKind kind, int index, std::string name, DType dtype, const sym::Shape& sizes);
  plan::BufferId source_buffer(ir::ValueId root);
  void touch(const plan::Operand& operand, int position);

  const ir::Graph& graph_;
  plan::Plan& plan_;
  std::vector<int> input_entry_;
  Uses uses_;
  Placement placement_;
  SizeBounds bounds_;
  std::unordered_map<ir::ValueId, plan::BufferId> buffers_;  // by group
  std::vector<plan::BufferId> output_buffers_;               // by result; -1: none yet
  std::unordered_map<int, plan::BufferId> state_buffers_, weight_buffers_;
  int position_ = 0;
};

}  // namespace reprise::lower
