// One kernel for a scalar program over operands of one shape.
#pragma once

#include <span>
#include <vector>

#include "core/scalar_program.h"
#include "kernels/cuda/step.h"
#include "sym/evaluate.h"

namespace reprise::kernels::cuda {

/// Operands as the program says: every input and output has the sizes of the first output; an input may lie exactly on an output. `symbols`: values of the
/// program's symbols.
StepPtr make_pointwise_step(Gpu& gpu, const core::ScalarProgram& program, std::span<const OperandRef> inputs, std::span<const OperandRef> outputs,
                            const std::vector<sym::Number>& symbols);

}  // namespace reprise::kernels::cuda
