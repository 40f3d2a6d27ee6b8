// Which device a module runs on, and what becomes of the caller's.
#pragma once

#include <optional>

#include "device/current.h"
#include "device/device.h"
#include "reprise/module.h"
#include "runtime/arguments.h"

namespace reprise::runtime {

/// The device of a call is current as long as this lives; then the caller's is again.
class OnDevice {
 public:
  /// In multi-device safe mode throws DeviceError when the device is not on this machine.
  explicit OnDevice(const device::DeviceHandle& device);
  [[nodiscard]] Placement placement() const { return {device_, safe_}; }
  [[nodiscard]] bool switched() const { return selected_ && selected_->switched(); }

 private:
  Device device_;
  bool safe_;
  std::optional<device::Selected> selected_;  // empty: the device is not here
};

/// Where a module saved for `saved` is to be loaded: there, or in multi-device safe mode, when there is no such device, on the caller's current one of its
/// type, else the first. Throws DeviceError: no compatible device.
[[nodiscard]] Device choose_device(Device saved);

/// Elements of `source` into the memory of `target`: any devices, any strides. Complete on return.
void copy_into(const Tensor& target, const Tensor& source);

}  // namespace reprise::runtime
