// Which input positions an output position of pooling looks at, along one dimension.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/reference/step.h"

namespace reprise::kernels::reference {

/// Input positions first, first + step, … (count of them) of one output position; `full` counts padding too, but not what lies beyond it.
struct Span {
  std::int64_t first = 0, count = 1, step = 1, full = 1;
};

/// Of each output position in each spatial dimension of a pool's operands. Checks the attributes.
std::vector<std::vector<Span>> pool_spans(const StepSpec& spec);

}  // namespace reprise::kernels::reference
