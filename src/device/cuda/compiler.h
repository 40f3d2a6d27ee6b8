// NVRTC: CUDA C++ to machine code. Needs no GPU.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "device/cuda/programs.h"

namespace reprise::device::cuda {

/// Throws Error with the compiler's log, DeviceError when NVRTC is not to be found.
CompiledProgram compile_program(const ProgramSource& source, const std::string& architecture);

/// Several at once, on every core; in the order given. `done` is told how many are, on any thread, one call at a time.
std::vector<CompiledProgram> compile_programs(std::span<const ProgramSource> sources, const std::string& architecture,
                                              const std::function<void(std::size_t done)>& done = {});

/// "13.0".
std::string compiler_version();

}  // namespace reprise::device::cuda
