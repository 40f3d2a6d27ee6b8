// Batch norm after a convolution goes into its weights.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// conv (constant weight and bias) whose only reader is an inference batch norm with constant statistics in the same segment: one conv with
/// w' = w * g / sqrt(var + eps), b' = (b - mean) * g / sqrt(var + eps) + beta, computed in f64.
void fold_batch_norm(ir::Graph& graph);

}  // namespace reprise::passes
