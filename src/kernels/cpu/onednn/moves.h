// Pooling and copies by oneDNN.
#pragma once

#include "kernels/cpu/onednn/library.h"

namespace reprise::kernels::cpu {

/// Null: oneDNN has no fast kernel for it.
StepPtr make_pool(const StepSpec& spec);
StepPtr make_copy(const StepSpec& spec);

}  // namespace reprise::kernels::cpu
