// The calling thread's current device of each type: on GPUs what cudaGetDevice tells, on the CPU a number that this library keeps.
#pragma once

#include <mutex>

#include "reprise/device.h"

namespace reprise::device {

/// Opens nothing. Throws DeviceError where no such device is.
[[nodiscard]] Device current(DeviceType type);
/// Throws DeviceError where there is no such device. A GPU is opened.
void set_current(Device device);
/// How many devices of a type this machine has; without bound for the CPU, whose devices are virtual. Never throws: no driver, no GPU.
[[nodiscard]] int count(DeviceType type) noexcept;

/// Makes a device current for a scope and puts back what the thread had, whatever happens in between. The device must be open.
class Selected {
 public:
  /// `serialized`: one thread at a time switches.
  explicit Selected(Device device, bool serialized = false);
  Selected(const Selected&) = delete;
  Selected& operator=(const Selected&) = delete;
  ~Selected();
  /// The thread had another one.
  [[nodiscard]] bool switched() const { return switched_; }

 private:
  [[nodiscard]] std::unique_lock<std::mutex> lock() const;

  DeviceType type_;
  bool serialized_, switched_ = false;
  void* before_ = nullptr;  // GPUs: the driver's context
  int index_before_ = 0;    // CPU
};

}  // namespace reprise::device
