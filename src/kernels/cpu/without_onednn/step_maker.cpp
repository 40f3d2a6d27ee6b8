#include "kernels/cpu/step_maker.h"

namespace reprise::kernels::cpu {

StepMaker step_maker() { return make_reference_step; }

}  // namespace reprise::kernels::cpu
