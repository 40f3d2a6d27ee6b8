#include "kernels/provider.h"

#include "device/cuda_library.h"
#include "device/offline.h"
#include "kernels/cpu/choices.h"
#include "kernels/cpu/step_maker.h"
#include "kernels/cpu/tuner.h"

namespace reprise::kernels {

StepMaker step_maker(const device::DevicePtr& device) {
  if (device->id().type == DeviceType::cpu) return cpu::step_maker();
  if (const auto offline = std::dynamic_pointer_cast<device::OfflineDevice>(device))
    return [offline](const StepSpec&) -> std::unique_ptr<device::Step> { offline->refuse(); };
  static const auto make = device::cuda_function<void (*)(const device::DevicePtr&, StepMaker*)>("reprise_cuda_step_maker");
  StepMaker maker;
  make(device, &maker);
  return maker;
}

std::string packing_tag(const device::DevicePtr& device) { return device->id().type == DeviceType::cpu ? cpu::packing_tag() : std::string(); }

std::vector<Packing> weight_forms(const StepMaker& make, const StepSpec& spec) { return cpu::weight_forms(make, spec); }

std::function<void(const StepSpec&)> step_tuner(const device::DevicePtr& device, const TuningOptions& options) {
  std::function<void(const StepSpec&)> tuner;
  if (options.level == 0) return tuner;
  if (device->id().type == DeviceType::cpu) return [made = std::make_shared<cpu::Tuner>(device, options)](const StepSpec& spec) { made->tune(spec); };
  static const auto make =
      device::cuda_function<void (*)(const device::DevicePtr&, const TuningOptions&, std::function<void(const StepSpec&)>*)>("reprise_cuda_step_tuner");
  make(device, options, &tuner);
  return tuner;
}

std::string choices(const device::DevicePtr& device) {
  std::string text;
  if (device->id().type == DeviceType::cpu) return cpu::machine_choices().text();
  static const auto get = device::cuda_function<void (*)(const device::DevicePtr&, std::string*)>("reprise_cuda_choices");
  get(device, &text);
  return text;
}

std::size_t add_choices(const device::DevicePtr& device, std::string_view text) {
  if (text.empty()) return 0;
  if (device->id().type == DeviceType::cpu) return cpu::machine_choices().add(text, cpu::kKeyBegin);
  static const auto add = device::cuda_function<std::size_t (*)(const device::DevicePtr&, std::string_view)>("reprise_cuda_add_choices");
  return add(device, text);
}

}  // namespace reprise::kernels
