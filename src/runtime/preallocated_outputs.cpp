#include "runtime/preallocated_outputs.h"

#include <algorithm>
#include <atomic>

#include "runtime/device_tensor.h"
#include "tensor/strided_copy.h"

namespace reprise::runtime {
namespace {

/// Unlike a thread::id never given again.
std::uint64_t this_thread() {
  static std::atomic<std::uint64_t> last = 0;
  thread_local const std::uint64_t id = ++last;
  return id;
}

}  // namespace

std::pair<Tensor, bool> PreallocatedOutputs::get(const device::DevicePtr& device, std::size_t index, bool bound, std::span<const std::int64_t> sizes,
                                                 DType dtype) {
  const Key key{this_thread(), index, bound};
  {
    const std::scoped_lock lock(mutex_);
    const auto found = memory_.find(key);
    if (found != memory_.end()) {
      Tensor& last = found->second;
      if (std::ranges::equal(last.sizes(), sizes)) return {last, true};
      if (last.nbytes() == static_cast<std::size_t>(tensor::checked_numel(sizes)) * item_size(dtype))
        return {last = last.as_strided(sizes, tensor::contiguous_strides(sizes)), true};
      memory_.erase(found);
    }
  }
  Tensor fresh = empty_tensor(device, sizes, dtype);
  const std::scoped_lock lock(mutex_);
  memory_.insert_or_assign(key, fresh);
  return {fresh, false};
}

}  // namespace reprise::runtime
