// Programs of pointwise instructions whose values are all reals.
#pragma once

#include "kernels/cpu/contraction.h"

namespace reprise::kernels::cpu {

/// Null: a program for the reference kernel.
StepPtr make_pointwise(const StepSpec& spec);

}  // namespace reprise::kernels::cpu
