// Compiled programs as sections of a module's file (kernels/ahead.h) and back.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/cuda/gpu.h"
#include "plan/plan.h"

namespace reprise::kernels::cuda {

struct StoredProgram {
  device::cuda::ProgramSource source;
  std::string key;  // device::cuda::program_key for the architecture of the GPU below
  device::cuda::CompiledProgram program;
};

struct StoredPrograms {
  device::cuda::GpuInfo gpu;  // that they were made for
  std::string texts;          // device::cuda::texts_key() then
  std::vector<StoredProgram> programs;
};

std::vector<plan::Section> to_sections(const StoredPrograms& stored);

/// The machine code stays where it lies. nullopt: the sections hold no programs. Throws FormatError naming the place, also where machine code is missing or no
/// ELF file.
std::optional<StoredPrograms> read_programs(std::span<const plan::Section> sections);

}  // namespace reprise::kernels::cuda
