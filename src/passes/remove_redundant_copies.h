// Removes copies that change nothing a reader can see.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// A `copy` (or a pointwise identity) of a value that is already row-major becomes a view of it; one whose readers can all read the source's strides
/// is passed by. Copies of states and mutated inputs stay where a later write could be seen through the view.
void remove_redundant_copies(ir::Graph& graph);

}  // namespace reprise::passes
