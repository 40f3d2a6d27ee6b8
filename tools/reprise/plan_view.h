// What each command of a module becomes.
#pragma once

#include <string>

#include "reprise/module.h"

namespace reprise::cli {

/// A line a command: position, op, kernels, measured time, ATen node. `architecture`: of a GPU that is not here; empty: as the module's sections say.
std::string plan_text(const Module& module, const std::string& architecture);
std::string plan_json(const Module& module, const std::string& architecture);

}  // namespace reprise::cli
