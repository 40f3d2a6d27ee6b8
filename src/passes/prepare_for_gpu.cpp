#include "passes/prepare_for_gpu.h"

#include "passes/absorb_copies.h"
#include "passes/channels_last.h"
#include "passes/fuse_epilogues.h"
#include "passes/join_products.h"
#include "passes/pad_channels.h"
#include "passes/pad_columns.h"
#include "passes/remove_dead_code.h"
#include "passes/turn_weights.h"
#include "passes/unfold_patches.h"

namespace reprise::passes {

void prepare_for_gpu(ir::Graph& graph, bool allow_tf32) {
  ir::for_each_node(graph.body.nodes, [&](ir::Node& node) {
    const bool contraction = node.op == core::Op::matmul || node.op == core::Op::conv;
    if (allow_tf32 && contraction && graph.at(node.outputs.front()).dtype == DType::f32) node.attrs.set("allow_tf32", true);
  });
  remove_dead_code(graph);  // who reads what decides much below
  unfold_patches(graph);
  join_products(graph);
  pad_columns(graph);
  turn_weights(graph);
  fuse_epilogues(graph);
  absorb_copies(graph);
  pad_channels(graph);
  channels_last(graph, false);
}

}  // namespace reprise::passes
