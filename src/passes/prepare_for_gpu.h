// The passes that only GPUs want.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Joins products of one matrix, fuses epilogues, lets nodes write what a copy would make, and puts channels last. `allow_tf32` marks f32 contractions.
void prepare_for_gpu(ir::Graph& graph, bool allow_tf32);

}  // namespace reprise::passes
