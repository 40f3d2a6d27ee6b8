// Weights of products with the depth innermost.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Constant weights of f16 and bf16 products in engines that lie [depth, columns] are stored [columns, depth]: what matrix instructions read fastest.
void turn_weights(ir::Graph& graph);

}  // namespace reprise::passes
