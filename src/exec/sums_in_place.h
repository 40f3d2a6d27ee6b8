// Sums computed where one of their summands lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace reprise::exec {

/// What `place_sums` changed.
struct PlacedSums {
  struct Home {  // of an operand
    int block = 0;
    std::size_t command = 0;
    bool is_output = false;
    std::size_t index = 0;
    plan::BufferId before = -1;
  };
  struct Life {
    plan::BufferId buffer = -1;
    std::int32_t first = 0, last = 0;  // before
  };
  std::vector<Home> homes;
  std::vector<Life> lives;

  /// In the plan that it was done to, or a copy.
  void undo(plan::Plan& plan) const;
};

/// The same plan, but matmuls and convs that add a tensor which nothing reads after them compute their result in its memory: what is read is written back to
/// the same lines of the cache. For devices whose kernels read each element of the summand before they write it. A plan that nobody else holds is changed
/// itself. Adds what it did to `placed`, if that is not null.
[[nodiscard]] plan::PlanPtr place_sums(plan::PlanPtr plan, PlacedSums* placed = nullptr);

}  // namespace reprise::exec
