#include "kernels/ahead.h"

#include "device/cuda_library.h"
#include "device/offline.h"
#include "kernels/cpu/step_maker.h"

namespace reprise::kernels {

std::unique_ptr<AheadOfTime> ahead_of_time(const std::string& architecture) {
  static const auto make = device::cuda_function<void (*)(const char*, std::unique_ptr<AheadOfTime>*)>("reprise_cuda_ahead_of_time");
  std::unique_ptr<AheadOfTime> made;
  make(architecture.c_str(), &made);
  return made;
}

std::unique_ptr<AheadOfTime> ahead_of_time(std::span<const plan::Section> sections) {
  static const auto make = device::cuda_function<void (*)(std::span<const plan::Section>, std::unique_ptr<AheadOfTime>*)>("reprise_cuda_ahead_of_sections");
  std::unique_ptr<AheadOfTime> made;
  make(sections, &made);
  return made;
}

std::unique_ptr<AheadOfTime> ahead_of_time(const device::DevicePtr& device) {
  if (device->id().type == DeviceType::cpu) return cpu::make_ahead_of_time();
  static const auto make = device::cuda_function<void (*)(const device::DevicePtr&, std::unique_ptr<AheadOfTime>*)>("reprise_cuda_ahead_of_device");
  std::unique_ptr<AheadOfTime> made;
  make(device, &made);
  return made;
}

void load_sections(const device::DevicePtr& device, std::span<const plan::Section> sections, bool allow_recompile) {
  if (device->id().type == DeviceType::cpu) return cpu::load_sections(sections);
  static const auto load = device::cuda_function<void (*)(const device::DevicePtr&, std::span<const plan::Section>, bool)>("reprise_cuda_load_sections");
  load(device, sections, allow_recompile);
}

ProgramCounts program_counts(const device::DevicePtr& device) {
  if (device->id().type != DeviceType::cuda || std::dynamic_pointer_cast<device::OfflineDevice>(device) != nullptr) return {};
  static const auto count = device::cuda_function<void (*)(const device::DevicePtr&, ProgramCounts*)>("reprise_cuda_program_counts");
  ProgramCounts counts;
  count(device, &counts);
  return counts;
}

}  // namespace reprise::kernels
