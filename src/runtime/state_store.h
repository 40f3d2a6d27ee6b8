// A module's own memory: the buffers that its program mutates.
#pragma once

#include <string_view>
#include <vector>

#include "device/device.h"
#include "plan/plan.h"
#include "reprise/tensor.h"

namespace reprise::runtime {

/// Addresses never change. Not thread safe: the module orders calls.
class StateStore {
 public:
  /// Starts from the initial values. `plan` must outlive the store.
  StateStore(const plan::Plan& plan, device::DevicePtr device);

  [[nodiscard]] std::vector<void*> addresses() const;
  [[nodiscard]] std::size_t size_bytes() const;

  // Unknown names throw InvalidArgument listing the known ones.
  [[nodiscard]] Tensor read(std::string_view name) const;
  /// Throws InvalidArgument on another dtype, ShapeError on other sizes. Any strides.
  void write(std::string_view name, const Tensor& value);
  void reset();

 private:
  [[nodiscard]] std::size_t find(std::string_view name) const;
  void overwrite(std::size_t index, const Tensor& contiguous);

  const plan::Plan& plan_;
  device::DevicePtr device_;
  std::vector<Tensor> tensors_;
};

}  // namespace reprise::runtime
