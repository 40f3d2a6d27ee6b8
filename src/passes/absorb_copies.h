// Copies that only change the order of dimensions, done by the node that makes what they copy.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Where the one reader of a node's output is a copy of it with its dimensions permuted (attention's heads going back to their places), the node writes its
/// output in the copy's order and the copy is gone.
void absorb_copies(ir::Graph& graph);

}  // namespace reprise::passes
