// What passes that rewrite nodes share.
#pragma once

#include <vector>

#include "ir/graph.h"
#include "reprise/tensor.h"

namespace reprise::passes {

/// The node belongs to an engine: passes may change what it computes with.
bool is_in_engine(const ir::Graph& graph, const ir::Node& node);

/// A node without attributes, of the segment and for the operation (its name and trace) that `like` is of.
ir::Node node_like(const ir::Node& like, core::Op op, std::vector<ir::ValueId> inputs, std::vector<ir::ValueId> outputs);

/// All values of root `old` lie in root `root` from now on, `offset` elements behind where they lay; `old` becomes a view.
void replace_root(ir::Graph& graph, ir::ValueId old, ir::ValueId root, const sym::Expr& offset = 0);

/// The value is a constant, or a view of one, whose place and sizes are numbers.
bool is_static_constant(const ir::Graph& graph, ir::ValueId id);
/// Its elements, in the constant's memory.
Tensor constant_tensor(const ir::Graph& graph, ir::ValueId id);

}  // namespace reprise::passes
