// Contractions with an epilogue (core/op.h): the contraction, then the epilogue over its result where it lies.
#pragma once

#include <functional>

#include "kernels/reference/step.h"

namespace reprise::kernels::reference {

/// `make` makes the contraction.
StepPtr make_with_epilogue(const StepSpec& spec, const std::function<StepPtr(const StepSpec&)>& make);

}  // namespace reprise::kernels::reference
