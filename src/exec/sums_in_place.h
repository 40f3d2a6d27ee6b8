// Sums computed where one of their summands lies.
#pragma once

#include "plan/plan.h"

namespace reprise::exec {

/// The same plan, but matmuls and convs that add a tensor which nothing reads after them compute their result in its memory: what is read is written back to
/// the same lines of the cache. For devices whose kernels read each element of the summand before they write it.
[[nodiscard]] plan::PlanPtr place_sums(plan::PlanPtr plan);

}  // namespace reprise::exec
