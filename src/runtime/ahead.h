// Modules for GPUs that are not here: compiled ahead of time, or opened to be looked at.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/ahead.h"
#include "plan/plan.h"
#include "reprise/module.h"

namespace reprise::runtime {

/// `plan` with the kernels that it needs on a GPU of `architecture`, compiled at the shapes of its profiles. The module can be saved, not called.
/// Throws as kernels::ahead_of_time and AheadOfTime::sections do.
Module compile_ahead(plan::Plan plan, const std::string& architecture, const std::function<void(std::size_t done, std::size_t total)>& progress = {},
                     const LoadOptions& options = {});

/// The module of a plan for its signature alone: opens no GPU, and cannot be called when it is for one.
Module make_closed_module(plan::PlanPtr plan);

struct CommandKernels {
  const plan::Command* command = nullptr;  // of the module's plan
  kernels::StepKernels kernels;
};

/// What the commands of `module` become at the first profile's opt shapes, in the order of execution. On a GPU that is not here: as for `architecture`, or
/// where that is empty as the module's sections say; where they say nothing, on the GPU that is.
std::vector<CommandKernels> command_kernels(const Module& module, const std::string& architecture = {});

}  // namespace reprise::runtime
