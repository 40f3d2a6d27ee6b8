#include "runtime/preallocated_outputs.h"

#include <atomic>

#include "runtime/device_tensor.h"

namespace reprise::runtime {
namespace {

/// Unlike a thread::id never given again.
std::uint64_t this_thread() {
  static std::atomic<std::uint64_t> last = 0;
  thread_local const std::uint64_t id = ++last;
  return id;
}

}  // namespace

std::pair<Tensor, bool> PreallocatedOutputs::get(const device::DevicePtr& device, std::size_t index, bool bound, std::size_t bytes) {
  const Key key{this_thread(), index, bound};
  {
    const std::scoped_lock lock(mutex_);
    const auto found = memory_.find(key);
    if (found != memory_.end() && found->second.nbytes() == bytes) return {found->second, true};
    memory_.erase(key);
  }
  const std::int64_t sizes[] = {static_cast<std::int64_t>(bytes)};
  Tensor fresh = empty_tensor(device, sizes, DType::u8);
  const std::scoped_lock lock(mutex_);
  memory_.insert_or_assign(key, fresh);
  return {fresh, false};
}

}  // namespace reprise::runtime
