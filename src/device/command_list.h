// Command lists: the steps of a plan's stage with every size, offset and kernel chosen for one shape key, over a binding table.
//
// A binding table is an array of addresses, one per slot (buffers of the plan first, scratch last): a list refers to slots, never to addresses, so that
// one list serves every call with its shapes. The CPU walks a list; a GPU enqueues it or builds a graph from it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "reprise/error.h"

namespace reprise::device {

class Stream;

/// A recording failed because of one step: recorded without it, the rest may succeed.
class CaptureFailed : public Error {
 public:
  CaptureFailed(const std::string& what, std::size_t step) : Error(what), step_(step) {}
  [[nodiscard]] std::size_t step() const { return step_; }  // in the command list

 private:
  std::size_t step_;
};

/// One unit of work. Immutable after it is made.
class Step {
 public:
  virtual ~Step() = default;
  /// Runs on the calling thread (host steps). Reads and writes only what its operands say. Throws Error for errors in the data (an index out of range).
  virtual void run(void* const* bindings) const = 0;
  /// Scratch memory that `run` needs at bindings[scratch_slot()], 64-byte aligned; contents undefined before and after.
  [[nodiscard]] virtual std::size_t scratch_bytes() const { return 0; }
  [[nodiscard]] int scratch_slot() const { return scratch_slot_; }
  virtual void set_scratch_slot(int slot) { scratch_slot_ = slot; }
  /// Called when a list with the step is recorded over `bindings`, where data lie. What it throws makes the recording fail.
  virtual void prepare_recording(void* const* bindings) const { (void)bindings; }

 private:
  int scratch_slot_ = -1;
};

using StepList = std::vector<std::unique_ptr<Step>>;

/// Ordered steps. Immutable; may be enqueued from several threads at once with different binding tables (scratch included).
class CommandList {
 public:
  virtual ~CommandList() = default;
  /// Runs the steps in order behind what `stream` already holds. The list and `bindings` must stay as they are until the stream has passed. Allocates nothing
  /// on the default stream. A step that throws: at once on the CPU's default stream, else from the stream's `synchronize`; the steps after it do not run.
  virtual void enqueue(Stream& stream, void* const* bindings) const = 0;
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// The most that any step needs: steps run one after the other, so one scratch block serves all.
  [[nodiscard]] virtual std::size_t scratch_bytes() const = 0;
};

/// A command list made replayable over a binding table of its own. Keeps the list alive, but not the memory behind the addresses. One replay at a time.
class Recording {
 public:
  virtual ~Recording() = default;
  /// As CommandList::enqueue. `bindings` has as many slots as the table that was recorded and is read during the call only; a slot whose address
  /// differs from the previous replay's is patched. Throws InvalidArgument when the number of slots differs.
  virtual void replay(Stream& stream, std::span<void* const> bindings) = 0;
  /// Slots patched by all replays so far.
  [[nodiscard]] virtual std::size_t patched_slots() const = 0;
  /// Memory that the recording holds, for bounded caches.
  [[nodiscard]] virtual std::size_t size_bytes() const = 0;
};

}  // namespace reprise::device
