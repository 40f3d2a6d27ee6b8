// Contractions with an epilogue (core/op.h): the contraction, then the epilogue over its result where it lies.
#pragma once

#include "kernels/reference/step.h"

namespace reprise::kernels::reference {

/// `make` makes the contraction.
StepPtr make_with_epilogue(const StepSpec& spec, StepPtr (*make)(const StepSpec&));

}  // namespace reprise::kernels::reference
