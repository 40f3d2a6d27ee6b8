#include "passes/prepare_for_cpu.h"

#include "passes/absorb_copies.h"
#include "passes/channels_last.h"
#include "passes/fuse_epilogues.h"
#include "passes/join_products.h"
#include "passes/remove_dead_code.h"
#include "passes/unfold_patches.h"

namespace reprise::passes {

void prepare_for_cpu(ir::Graph& graph) {
  remove_dead_code(graph);  // who reads what decides much below
  unfold_patches(graph);
  join_products(graph);
  fuse_epilogues(graph);
  absorb_copies(graph);
  channels_last(graph, true);
}

}  // namespace reprise::passes
