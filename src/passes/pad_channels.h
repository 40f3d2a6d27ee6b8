// Channels in whole vectors.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Images of a few channels (a network's first convolution has 3) get channels of zeros, and the weights of their convolution too, up to the next 4 or 8:
/// kernels for f16 and bf16 load that many at once. For convolutions with constant weights, in engines.
void pad_channels(ir::Graph& graph);

}  // namespace reprise::passes
