// Times of a module's commands.
#pragma once

#include <span>
#include <vector>

#include "reprise/module.h"

namespace reprise::runtime {

/// Module::profile.
std::vector<CommandTime> profile(const Module& module, std::span<const Tensor> inputs, int calls);

}  // namespace reprise::runtime
