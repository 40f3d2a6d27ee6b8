// Memory in use, as the system and the driver count it.
#pragma once

#include "device/device.h"

namespace reprise::bench {

/// Of this process.
[[nodiscard]] double resident_bytes();
/// Of the card on a GPU, of this process on a CPU.
[[nodiscard]] double bytes_in_use(device::DeviceHandle& device);

}  // namespace reprise::bench
