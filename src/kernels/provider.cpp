#include "kernels/provider.h"

#include "device/cuda_library.h"

namespace reprise::kernels {

StepMaker step_maker(const device::DevicePtr& device) {
  if (device->id().type == DeviceType::cpu) return make_reference_step;
  static const auto make = device::cuda_function<void (*)(const device::DevicePtr&, StepMaker*)>("reprise_cuda_step_maker");
  StepMaker maker;
  make(device, &maker);
  return maker;
}

}  // namespace reprise::kernels
