// Where a program needs values on the host.
#pragma once

#include <string>
#include <vector>

#include "exec/executable.h"

namespace reprise::runtime {

/// Foreign commands that say themselves that they cannot be recorded, in the order of the program.
[[nodiscard]] std::vector<const plan::Command*> find_live_commands(const exec::Executable& executable);
/// Stages at whose end a call waits for a value, in the order of the program.
[[nodiscard]] std::vector<const exec::Stage*> find_islands(const exec::Schedule& schedule);
/// "the host needs u0"
[[nodiscard]] std::string describe_wait(const plan::Plan& plan, const exec::Stage& stage);
/// Some op counts what it writes, or an output's size depends on data.
[[nodiscard]] bool needs_output_allocator(const exec::Executable& executable);
/// Why the program cannot be one recording, naming segment and op; empty when it can.
[[nodiscard]] std::string why_not_monolithic(const exec::Executable& executable);

}  // namespace reprise::runtime
