// Attention without a matrix of scores.
#pragma once

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// Null: an op for the reference kernel.
StepPtr make_attention(const StepSpec& spec);

StepPtr make_float_attention(const StepSpec& spec);

}  // namespace reprise::kernels::cpu
