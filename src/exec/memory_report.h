// What a plan needs of memory, by kind: arithmetic on the plan, nothing is allocated.
#pragma once

#include <cstddef>
#include <vector>

#include "plan/plan.h"

namespace reprise::exec {

/// Bytes at the first profile's opt sizes. Buffers sized by data count with their bound; those without one are only counted.
struct MemoryReport {
  std::size_t weight_bytes = 0, state_bytes = 0, input_bytes = 0, output_bytes = 0;
  std::size_t temp_bytes = 0;       // all temps, as if none shared memory
  std::size_t peak_live_bytes = 0;  // most that is alive at once: a lower bound for any arena
  std::size_t arena_bytes = 0;      // what the planner reaches
  int dynamic_buffers = 0;
};

MemoryReport report_memory(const plan::Plan& plan);

/// Bytes of every buffer at the first profile's opt sizes; 0 for those that data sizes.
std::vector<std::size_t> buffer_bytes(const plan::Plan& plan);

}  // namespace reprise::exec
