// The CPU as a device. Any number of virtual devices (cpu:0, cpu:1, …) share one memory.
#pragma once

#include "device/device.h"

namespace reprise::device::cpu {

/// Throws DeviceError on a negative index.
DevicePtr open(int index);

}  // namespace reprise::device::cpu
