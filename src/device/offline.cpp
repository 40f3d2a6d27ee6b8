#include "device/offline.h"

#include <utility>

#include "base/check.h"

namespace reprise::device {

OfflineDevice::OfflineDevice(Device id, std::string architecture) : id_(id), architecture_(std::move(architecture)), host_(open(Device::cpu())) {}

void OfflineDevice::refuse() const {
  REPRISE_FAIL(DeviceError, "[device/offline] the module was compiled ahead of time for {}: save it, and load it where such a device is", architecture_);
}

}  // namespace reprise::device
