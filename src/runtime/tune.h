// Choosing kernels by measurement, once, before the first call.
#pragma once

#include <functional>

#include "runtime/module_impl.h"

namespace reprise::runtime {

/// Measures what the module's device has to choose from for every command at each profile's opt shapes (on a CPU: those that have no others), as its
/// settings' optimization level says. Calls choose by what was measured, and measure nothing themselves. `progress`: command, of how many; may be empty. Throws
/// DeviceError, OutOfMemory.
void tune(const Module::Impl& impl, const std::function<void(int done, int total)>& progress);

}  // namespace reprise::runtime
