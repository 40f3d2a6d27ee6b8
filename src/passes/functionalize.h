// In-place writes become new versions of their root.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Removes every `write` node: a write of a whole root makes its source the root's new version, any other write a `write_view` node. Later reads, through
/// whatever view, see the newest version; State::final and results are brought up to date. Throws UnsupportedOp for a write inside a region to a value from
/// outside it.
void functionalize(ir::Graph& graph);

}  // namespace reprise::passes
