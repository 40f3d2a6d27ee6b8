// A step that every device knows: memory of the host, brought to where later steps of the list read it.
#pragma once

#include <cstddef>
#include <cstring>

#include "device/command_list.h"

namespace reprise::device {

/// Copies `bytes` bytes from the address in slot `from`, in memory of the host that device copies reach, to that in slot `to`. It starts when the steps before
/// it are done; the steps behind it that do not name slot `to` need not wait for it, and on a GPU run beside it. Its list is done when it is.
class FetchStep : public Step {
 public:
  FetchStep(int to, int from, std::size_t bytes) : to_(to), from_(from), bytes_(bytes) {}
  void run(void* const* bindings) const override { std::memcpy(bindings[to_], bindings[from_], bytes_); }
  [[nodiscard]] int to() const { return to_; }
  [[nodiscard]] int from() const { return from_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  int to_, from_;
  std::size_t bytes_;
};

}  // namespace reprise::device
