// Tensors in the memory of any device.
#pragma once

#include <cstdint>
#include <span>

#include "device/device.h"
#include "reprise/tensor.h"

namespace reprise::runtime {

/// Uninitialized and contiguous. Throws OutOfMemory.
Tensor empty_tensor(const device::DevicePtr& device, std::span<const std::int64_t> sizes, DType dtype);
/// A contiguous copy on `device` of a contiguous tensor in memory that the device's copies reach. Complete on return.
Tensor copy_to(const device::DevicePtr& device, const Tensor& source);

}  // namespace reprise::runtime
