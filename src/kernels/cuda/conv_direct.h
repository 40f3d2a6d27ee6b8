// Convolutions with few output channels a group (depthwise ones above all), summed without tiles.
#pragma once

#include "kernels/cuda/gemm.h"

namespace reprise::kernels::cuda {

/// A group has so few output channels that tiles of a product would be mostly empty.
bool has_thin_groups(const Contraction& contraction);

/// Takes every convolution whose groups are its only batches.
StepPtr make_direct_conv(Gpu& gpu, const Contraction& contraction, const Finish& finish = {});

}  // namespace reprise::kernels::cuda
