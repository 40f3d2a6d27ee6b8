// The process-wide modes.
#pragma once

#include "reprise/runtime.h"

namespace reprise::runtime {

[[nodiscard]] CudaGraphsMode cudagraphs_mode();

}  // namespace reprise::runtime
