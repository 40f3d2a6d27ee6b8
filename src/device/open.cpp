#include <array>

#include "base/check.h"
#include "device/cpu/cpu_device.h"
#include "device/device.h"

namespace reprise::device {
namespace {

struct Backend {
  DeviceType type;
  DevicePtr (*open)(int index);
};

// Every back end of this build.
constexpr std::array kBackends = {Backend{DeviceType::cpu, cpu::open}};

}  // namespace

DevicePtr open(Device device) {
  for (const Backend& backend : kBackends)
    if (backend.type == device.type) return backend.open(device.index);
  REPRISE_FAIL(DeviceError, "[device/open] this build has no back end for the device (got {}, want cpu)", device.str());
}

}  // namespace reprise::device
