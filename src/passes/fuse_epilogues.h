// What follows a matrix product or convolution element by element becomes part of it.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Within a segment's engine and a region: a pointwise node with one output that reads the whole result of a matmul or conv, which nobody else reads, becomes
/// its epilogue (core/op.h). For devices whose kernels compute it where they store their sums.
void fuse_epilogues(ir::Graph& graph);

}  // namespace reprise::passes
