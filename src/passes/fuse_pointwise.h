// Pointwise nodes that feed one another become one region.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Within a segment's engine and a region of the graph: a pointwise producer is merged into a pointwise reader that reads it element by element; constants made
/// by `fill` become immediates. A producer that others read too stays as a further output. Fallback segments are left as they are.
void fuse_pointwise(ir::Graph& graph);

}  // namespace reprise::passes
