// Attention without a matrix of scores.
#pragma once

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// Null: an op for the reference kernel.
StepPtr make_attention(const StepSpec& spec);

/// In f32 arithmetic, for every floating dtype but f64.
StepPtr make_float_attention(const StepSpec& spec);
/// Of bf16, on matrix units (Isa::amx).
StepPtr make_tile_attention(const StepSpec& spec);

}  // namespace reprise::kernels::cpu
