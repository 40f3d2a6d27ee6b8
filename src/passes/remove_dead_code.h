// Removes what nothing reads.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Drops pure nodes whose outputs, and whose defined symbols, nobody uses: results, final states, checks and what they need stay. Trailing outputs that an op
/// may leave out (core/op.h) are dropped as well.
void remove_dead_code(ir::Graph& graph);

}  // namespace reprise::passes
