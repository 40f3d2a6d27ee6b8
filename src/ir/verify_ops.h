// The rules of core/op.h, one function per op.
#pragma once

#include "ir/graph.h"

namespace reprise::ir {

/// Operand counts, dtypes, sizes and attributes of one node; not what its regions hold. Throws Error, FormatError for an attribute.
void verify_op(const Graph& graph, const Node& node);

}  // namespace reprise::ir
