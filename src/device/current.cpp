#include "device/current.h"

#include <limits>
#include <utility>

#include "base/check.h"
#include "device/cuda_library.h"

namespace reprise::device {
namespace {

int& current_cpu() {
  thread_local int index = 0;
  return index;
}

bool select_cuda(int index, void** before) {
  static const auto select = cuda_function<bool (*)(int, void**)>("reprise_cuda_select");
  return select(index, before);
}
void restore_cuda(void* before) {
  static const auto restore = cuda_function<void (*)(void*)>("reprise_cuda_restore");
  restore(before);
}

}  // namespace

Device current(DeviceType type) {
  if (type == DeviceType::cpu) return Device::cpu(current_cpu());
  static const auto get = cuda_function<int (*)()>("reprise_cuda_current");
  return Device::cuda(get());
}

void set_current(Device device) {
  REPRISE_CHECK(device.index >= 0, DeviceError, "[device/current] negative device index (got {})", device.index);
  void* before = nullptr;
  if (device.type == DeviceType::cpu)
    current_cpu() = device.index;
  else
    select_cuda(device.index, &before);
}

int count(DeviceType type) noexcept {
  if (type == DeviceType::cpu) return std::numeric_limits<int>::max();
  try {
    return cuda_function<int (*)()>("reprise_cuda_count")();
  } catch (const std::exception&) {
    return 0;
  }
}

std::unique_lock<std::mutex> Selected::lock() const {
  static std::mutex switching;
  return serialized_ ? std::unique_lock(switching) : std::unique_lock<std::mutex>();
}

Selected::Selected(Device device, bool serialized) : type_(device.type), serialized_(serialized) {
  const auto held = lock();
  if (type_ == DeviceType::cuda) {
    switched_ = select_cuda(device.index, &before_);
  } else {
    index_before_ = std::exchange(current_cpu(), device.index);
    switched_ = index_before_ != device.index;
  }
}

Selected::~Selected() {
  const auto held = lock();
  if (type_ == DeviceType::cuda)
    restore_cuda(before_);
  else
    current_cpu() = index_before_;
}

}  // namespace reprise::device
