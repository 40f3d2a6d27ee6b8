#include "runtime/devices.h"

#include "base/check.h"
#include "base/log.h"
#include "device/offline.h"
#include "reprise/runtime.h"
#include "runtime/modes.h"

namespace reprise::runtime {

OnDevice::OnDevice(const device::DeviceHandle& device) : device_(device.id()), safe_(multi_device_safe_mode()) {
  const bool here = device_.type == DeviceType::cpu || dynamic_cast<const device::OfflineDevice*>(&device) == nullptr;
  REPRISE_CHECK(here || !safe_, DeviceError, "[run/devices] no compatible device was found for a module of {}: it is for {}", device_.str(),
                device.description());
  if (here) selected_.emplace(device_, safe_);
  if (safe_ && switched()) base::log(LogLevel::debug, "[run/devices] the caller's current device is another one than the module's {}: switched", device_.str());
}

Device choose_device(Device saved) {
  if (!multi_device_safe_mode() || saved.index < device::count(saved.type)) return saved;
  REPRISE_CHECK(device::count(saved.type) > 0, DeviceError, "[run/devices] no compatible device was found for a module of {}", saved.str());
  const Device chosen = device::current(saved.type);
  base::log(LogLevel::warning, "[run/devices] there is no {}: the module is loaded on {}", saved.str(), chosen.str());
  return chosen;
}

void copy_into(const Tensor& target, const Tensor& source) {
  const Tensor there = copy_to(source, target.device());
  const auto device = device::open(target.device());
  device->copy_strided(target.data(), target.strides(), there.data(), there.strides(), there.sizes(), item_size(there.dtype()), device->default_stream());
  device->default_stream().synchronize();
}

Device current_device(DeviceType type) { return device::current(type); }
void set_current_device(Device device) { device::set_current(device); }

}  // namespace reprise::runtime
