// Memory for results that calls use again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <tuple>
#include <utility>

#include "device/device.h"
#include "reprise/tensor.h"

namespace reprise::runtime {

/// Each thread has its own, so that a call overwrites nothing but what the same thread's call before it gave. Thread safe.
class PreallocatedOutputs {
 public:
  /// Output `index`, and whether the last memory served: it does when it has exactly as many bytes. `bound`: room for a size that depends on data, which is
  /// apart from the memory for exact sizes. Throws OutOfMemory.
  [[nodiscard]] std::pair<Tensor, bool> get(const device::DevicePtr& device, std::size_t index, bool bound, std::span<const std::int64_t> sizes, DType dtype);

 private:
  using Key = std::tuple<std::uint64_t, std::size_t, bool>;  // thread, output, bound
  std::mutex mutex_;
  std::map<Key, Tensor> memory_;
};

}  // namespace reprise::runtime
