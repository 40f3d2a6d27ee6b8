// A stage's steps in order, with the copies that bring streamed weights to them.
#pragma once

#include <cstddef>
#include <vector>

#include "device/command_list.h"
#include "exec/executable.h"
#include "exec/step_builder.h"

namespace reprise::exec {

/// Where in a context's memory for slots a copy goes; or the form in a file that is read in its stead.
struct CopyPlace {
  int slot = -1;  // of the binding table
  std::size_t offset = 0;
  const std::byte* stored = nullptr;

  [[nodiscard]] void* address(std::byte* slots) const { return stored != nullptr ? const_cast<std::byte*>(stored) : slots + offset; }
};

struct StageSteps {
  device::StepList steps;
  std::vector<const plan::Command*> commands;  // by step; null: a copy's
  std::vector<CopyPlace> places;
  std::size_t slot_bytes = 0;    // all slots together
  std::size_t copied_bytes = 0;  // in a run; or read where a file holds them
};

/// The copies of the k-th command that has any go to slot k mod `weights.slots`, and stand behind the command that used the slot before. On the host pages of
/// mapped weights are expected one copy ahead, and dropped once copied or read; so are those of stored forms, which take no slot.
/// `built`: of the commands from `begin` on.
StageSteps arrange(const Executable& executable, const WeightSet& weights, const plan::Command* begin, std::vector<BuiltStep> built);

}  // namespace reprise::exec
