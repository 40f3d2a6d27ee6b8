// Kernels of our own for what is neither a product nor a convolution.
#pragma once

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// Null: the reference kernel does as well. Throws as that does for operands that break core/op.h.
StepPtr make_own(const StepSpec& spec);

}  // namespace reprise::kernels::cpu
