// Steps that are made in the background, since a library takes long to build what they run.
#pragma once

#include <functional>

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

/// A step that `make` makes from a copy of `spec`, on another thread, several at once. What is asked of it first waits; errors of `make` are thrown then.
StepPtr make_deferred(Gpu& gpu, const StepSpec& spec, std::function<StepPtr(const StepSpec&)> make);

}  // namespace reprise::kernels::cuda
