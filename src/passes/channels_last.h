// Convolutions on tensors with the channels innermost, which is how GPUs and oneDNN compute them.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Gives the inputs, weights and results of convolutions in f16 and bf16 (and f32: `all` of them, else those that may be computed as tf32) strides with
/// dimension 1 innermost, and what lies between them too (pointwise, pool, pad, concat, …). Copies stand only where a layout must change: a result of the call
/// is row-major.
void channels_last(ir::Graph& graph, bool all);

}  // namespace reprise::passes
