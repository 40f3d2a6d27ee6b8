// Command lists and recordings of the CPU: steps walked in order.
#pragma once

#include "device/bindable_step.h"
#include "device/device.h"

namespace reprise::device::cpu {

class CpuCommandList final : public CommandList {
 public:
  explicit CpuCommandList(StepList steps);
  void enqueue(Stream& stream, void* const* bindings) const override;
  [[nodiscard]] std::size_t size() const override { return steps_.size(); }
  [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_bytes_; }
  [[nodiscard]] const StepList& steps() const { return steps_; }

 private:
  StepList steps_;
  std::size_t scratch_bytes_ = 0;
};

/// A bare list of steps, with addresses filled in where a step can have that.
class CpuRecording final : public Recording {
 public:
  /// Throws CaptureFailed when a step refuses.
  CpuRecording(std::shared_ptr<const CommandList> list, std::span<void* const> bindings);
  void replay(Stream& stream, std::span<void* const> bindings) override;
  [[nodiscard]] std::size_t patched_slots() const override { return patched_slots_; }
  [[nodiscard]] std::size_t size_bytes() const override { return sizeof(*this) + bindings_.size() * sizeof(void*) + steps_.size() * sizeof(Entry); }

 private:
  struct Entry {
    const Step* step = nullptr;
    std::unique_ptr<BoundStep> bound;  // null: runs over the table
  };
  void run() const;

  std::shared_ptr<const CommandList> list_;
  std::vector<Entry> steps_;
  std::vector<void*> bindings_;
  std::size_t patched_slots_ = 0;
};

}  // namespace reprise::device::cpu
