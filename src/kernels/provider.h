// The kernels of a device.
#pragma once

#include "device/device.h"
#include "kernels/kernel.h"

namespace reprise::kernels {

/// What makes steps for `device`; holds what it needs of it. Throws DeviceError for a device without kernels.
StepMaker step_maker(const device::DevicePtr& device);

}  // namespace reprise::kernels
