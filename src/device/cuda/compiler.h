// NVRTC: CUDA C++ to machine code. Needs no GPU.
#pragma once

#include <string>
#include <vector>

#include "device/cuda/programs.h"

namespace reprise::device::cuda {

struct CompiledProgram {
  std::vector<char> code;  // a cubin
  std::string entry;       // the kernel's name in it
};

/// Throws Error with the compiler's log, DeviceError when NVRTC is not to be found.
CompiledProgram compile_program(const ProgramSource& source, const std::string& architecture);

/// "13.0".
std::string compiler_version();

}  // namespace reprise::device::cuda
