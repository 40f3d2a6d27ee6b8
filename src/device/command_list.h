// Command lists: the steps of a plan's stage with every size, offset and kernel chosen for one shape key, over a binding table.
//
// A binding table is an array of addresses, one per slot (buffers of the plan first, scratch last): a list refers to slots, never to addresses, so that
// one list serves every call with its shapes. The CPU walks a list; a GPU enqueues it or builds a graph from it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace reprise::device {

/// One unit of work. Immutable after it is made.
class Step {
 public:
  virtual ~Step() = default;
  /// Runs on the calling thread (host steps). Reads and writes only what its operands say. Throws Error for errors in the data (an index out of range).
  virtual void run(void* const* bindings) const = 0;
  /// Scratch memory that `run` needs at bindings[scratch_slot()], 64-byte aligned; contents undefined before and after.
  [[nodiscard]] virtual std::size_t scratch_bytes() const { return 0; }
  [[nodiscard]] int scratch_slot() const { return scratch_slot_; }
  void set_scratch_slot(int slot) { scratch_slot_ = slot; }

 private:
  int scratch_slot_ = -1;
};

}  // namespace reprise::device
