#include "kernels/cpu/step_maker.h"

namespace reprise::kernels::cpu {

StepMaker step_maker() { return make_reference_step; }

std::vector<std::string> kernel_names(const StepSpec&) { return {"reference"}; }

}  // namespace reprise::kernels::cpu
