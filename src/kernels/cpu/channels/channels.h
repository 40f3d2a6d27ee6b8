// Ops on images with the channels innermost, a vector of channels at a time.
#pragma once

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// Pooling without indices in up to two dimensions. Null: other dtypes than f32 and bf16, or another layout.
StepPtr make_channels_pool(const StepSpec& spec);
/// x[N, C, *S] · s[N, C, 1…] for each channel. Null: another program, dtype or layout.
StepPtr make_channels_scale(const StepSpec& spec);
/// Row-major images of few channels of f32 or bf16 written with the channels innermost, and as bf16 where they were f32: what a network does first. Null: as
/// above.
StepPtr make_channels_turn(const StepSpec& spec);

}  // namespace reprise::kernels::cpu
