// Convolutions by cuDNN: conv + bias + epilogue as one fused plan where the library has one, else the conv alone with a pointwise kernel behind it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/epilogue.h"

namespace reprise::kernels::cuda {

/// The plans that the library proposes for a conv of f16, bf16 or f32, the likely fastest first, at most `most`: names for make_cudnn_conv. They have not been
/// built, which can take a second each, and can fail. Empty: the library is absent or has none.
std::vector<std::string> cudnn_plans(Gpu& gpu, const SplitSpec& conv, int most);

/// A step that runs a plan; `plan` empty: the first of cudnn_plans that can be built. Null: there is none.
StepPtr make_cudnn_conv(Gpu& gpu, const SplitSpec& conv, const std::string& plan = {});

/// The library, where it is there, is asked for this conv: dtypes and layouts that its engines compute right.
bool cudnn_takes(const SplitSpec& conv);

/// `plain`, which runs the conv alone, with the bias and the epilogue behind it.
StepPtr finish_plain_conv(Gpu& gpu, StepPtr plain, const SplitSpec& conv);

}  // namespace reprise::kernels::cuda
