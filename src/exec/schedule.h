// A plan's blocks cut into stages: what can be bound together, because every symbol that it needs is known when its first command starts.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace reprise::exec {

struct Stage {
  enum class Kind : std::uint8_t { steps, cond, loop } kind = Kind::steps;
  int id = 0;  // counted through all blocks
  /// steps: commands [begin, end) of the block, of which only the last may define symbols. cond, loop: one command.
  const plan::Command* begin = nullptr;
  const plan::Command* end = nullptr;
  std::vector<int> data_symbols;                // from earlier data, that binding depends on
  std::vector<plan::BufferId> dynamic_buffers;  // that its commands touch
  bool crosses_segments = false;
  [[nodiscard]] const plan::Command& last() const { return end[-1]; }
};

struct Schedule {
  std::vector<std::vector<Stage>> blocks;  // as Plan::blocks
  std::vector<bool> from_data;             // per symbol: a command defines it
  int stage_count = 0;
};

/// Refers to `plan`, which must outlive it.
Schedule make_schedule(const plan::Plan& plan);

}  // namespace reprise::exec
