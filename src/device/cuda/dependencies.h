// Which operations of a command list must wait for which.
#pragma once

#include <span>
#include <vector>

#include "device/cuda/operations.h"

namespace reprise::device::cuda {

/// For each operation, the earlier ones that it must follow directly: those that it meets in memory, under these addresses, where one of the two writes. What
/// another of them already follows is left out. Host calls follow everything before them and precede everything after.
std::vector<std::vector<int>> find_dependencies(std::span<const Operation> operations, void* const* bindings);

}  // namespace reprise::device::cuda
