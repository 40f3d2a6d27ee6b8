// Convolutions whose windows tile the image.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// A convolution with stride = kernel, without padding, dilation or groups (a vision transformer's patch embedding) becomes one copy, which puts every window
/// into a row, and a product with the weights as they lie; its result has the channels innermost. Where that result must lie otherwise nothing changes.
void unfold_patches(ir::Graph& graph);

}  // namespace reprise::passes
