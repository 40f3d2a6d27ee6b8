// Evaluates at compile time what depends on weights and constants alone.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Runs such nodes through the reference kernels. Results larger than 1 MiB are folded only when they are no larger than what they are made of;
/// random, data-dependent and control ops stay.
void fold_constants(ir::Graph& graph, int threads);

}  // namespace reprise::passes
