#include <array>
#include <atomic>

#include "base/check.h"
#include "device/cpu/cpu_device.h"
#include "device/cuda_library.h"
#include "device/device.h"

namespace reprise::device {
namespace {

struct Backend {
  DeviceType type;
  DevicePtr (*open)(int index);
};

DevicePtr open_cuda(int index) {
  static const auto open_gpu = cuda_function<void (*)(int, DevicePtr*)>("reprise_cuda_open");
  DevicePtr device;
  open_gpu(index, &device);
  return device;
}

constexpr std::array kBackends = {Backend{DeviceType::cpu, cpu::open}, Backend{DeviceType::cuda, open_cuda}};

}  // namespace

Stream::Stream() {
  static std::atomic<std::uint64_t> last = 0;
  id_ = ++last;
}

DevicePtr open(Device device) {
  for (const Backend& backend : kBackends)
    if (backend.type == device.type) return backend.open(device.index);
  REPRISE_FAIL(DeviceError, "[device/open] this build has no back end for the device (got {}, want cpu or cuda)", device.str());
}

}  // namespace reprise::device
