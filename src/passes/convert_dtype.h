// Runs the f32 parts of a program in a narrower dtype.
#pragma once

#include "ir/graph.h"
#include "reprise/dtype.h"

namespace reprise::passes {

/// Weights and intermediate f32 values become `dtype` (f16 or bf16); inputs, states and results keep theirs (casts at the borders). Statistics of norms and
/// everything that core/op.h accumulates in f32 stays so.
void convert_dtype(ir::Graph& graph, DType dtype);

}  // namespace reprise::passes
