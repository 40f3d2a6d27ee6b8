// The kernels of the CPU device: oneDNN's for convolutions and products where this build has it, else the reference back end's.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel.h"

namespace reprise::kernels::cpu {

/// Thread safe. Its steps share packed weights (StepSpec::fixed), which live as long as any of them.
StepMaker step_maker();

/// What makes up the step of `spec`, for people: "onednn", "reference", both where an epilogue runs behind.
std::vector<std::string> kernel_names(const StepSpec& spec);

}  // namespace reprise::kernels::cpu
