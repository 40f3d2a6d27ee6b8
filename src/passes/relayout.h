// Another order in memory for a root.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Gives `root` (a node's output; dense, in row-major order so far) new strides; its views follow. False, and nothing changes, when a view cannot be told in
/// them: one that walks several dimensions as one which no longer follow each other, or whose stride or offset is no constant number of elements of one.
bool relayout(ir::Graph& graph, ir::ValueId root, const sym::Shape& strides);
/// Whether it would.
bool can_relayout(const ir::Graph& graph, ir::ValueId root, const sym::Shape& strides);

/// Strides with dimension 1 innermost and the others as they stand.
sym::Shape channels_last_strides(std::span<const sym::Expr> sizes);

}  // namespace reprise::passes
