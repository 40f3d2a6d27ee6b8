// Kernels made ahead of time: what the steps of a plan need on a device, as sections of the module's file.
//
// Sections for a GPU: `programs.json` (the GPU that they were made for; source, name and key of every program), `<key>.cubin` (machine code), `choices.txt`
// (which kernel was measured to be the fastest for a command). For a CPU: `cpu_choices.txt`, the same of commands there.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "kernels/kernel.h"
#include "plan/plan.h"

namespace reprise::kernels {

/// What a step runs.
struct StepKernels {
  std::vector<std::string> names;  // "pointwise", "norm_short<…>", "cudnn:f12:2=3", "cublaslt" (its algorithm is chosen on the GPU), "copy", "fill", "host"
  std::optional<double> microseconds;  // as the tuner measured it
};

/// Collects what steps need. Not thread safe. On a GPU and without one alike.
class AheadOfTime {
 public:
  virtual ~AheadOfTime() = default;
  /// "sm_90a".
  [[nodiscard]] virtual std::string architecture() const = 0;
  /// Notes what the step of `spec` needs. Throws as a StepMaker does.
  virtual void add(const StepSpec& spec) = 0;
  /// The same, and tells it.
  virtual StepKernels describe(const StepSpec& spec) = 0;
  /// Of all steps that were added: compiles what is not compiled yet, on every core. Throws Error with the compiler's log; DeviceError where NVRTC is needed
  /// and not to be found.
  [[nodiscard]] virtual std::vector<plan::Section> sections(const std::function<void(std::size_t done, std::size_t total)>& progress = {}) = 0;
};

/// For an architecture, with the usual card's size. Throws InvalidArgument for one that is not known; DeviceError when there is no CUDA half.
std::unique_ptr<AheadOfTime> ahead_of_time(const std::string& architecture);
/// As for the GPU that `sections` were made for, with the choices that they hold. Throws FormatError; InvalidArgument when they name no GPU.
std::unique_ptr<AheadOfTime> ahead_of_time(std::span<const plan::Section> sections);
/// For an opened device, with what was measured there; what a GPU has compiled is not compiled again, and what cannot be compiled for lack of NVRTC is left
/// out.
std::unique_ptr<AheadOfTime> ahead_of_time(const device::DevicePtr& device);

/// Hands a module's sections to the device that it is opened on, before its first step is made: choices, and to a GPU its programs. Those for its architecture
/// are loaded and not compiled; those for another one are compiled anew from their sources, in the background. Throws FormatError; DeviceError when that is
/// needed and not allowed.
void load_sections(const device::DevicePtr& device, std::span<const plan::Section> sections, bool allow_recompile);

/// Programs of a device, in this process: compiled from source, loaded from modules' files; and what its driver and its vendor's libraries took to start,
/// threads added up. 0 on a CPU.
struct ProgramCounts {
  std::size_t compiled = 0, loaded = 0;
  double library_ms = 0;
};
ProgramCounts program_counts(const device::DevicePtr& device);

}  // namespace reprise::kernels
