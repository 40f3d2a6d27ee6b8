// One factory per kernel: checks the operands against core/op.h and returns the step, or null when it does not take them. registry.cpp lists them.
#pragma once

#include "kernels/cuda/step.h"

namespace reprise::kernels::cuda {

StepPtr make_pointwise(Gpu& gpu, const StepSpec& spec);
StepPtr make_copy(Gpu& gpu, const StepSpec& spec);
StepPtr make_fill(Gpu& gpu, const StepSpec& spec);
StepPtr make_iota(Gpu& gpu, const StepSpec& spec);
StepPtr make_reduce(Gpu& gpu, const StepSpec& spec);
StepPtr make_item(Gpu& gpu, const StepSpec& spec);
StepPtr make_check(Gpu& gpu, const StepSpec& spec);

}  // namespace reprise::kernels::cuda
