// Preparation of a graph for the kernels of the CPU device.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Products of one matrix are joined, epilogues fused, copies absorbed, and networks of convolutions laid out with the channels innermost: what oneDNN's
/// kernels take. Engines only: fallback segments stay as they are.
void prepare_for_cpu(ir::Graph& graph);

}  // namespace reprise::passes
