// A plan on a device, with everything that does not depend on shapes worked out once. Immutable and shared by all execution contexts of a module.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "exec/input_binder.h"
#include "exec/memory_planner.h"
#include "exec/schedule.h"
#include "exec/weights.h"
#include "kernels/foreign.h"
#include "kernels/kernel.h"
#include "kernels/stored_forms.h"
#include "plan/plan.h"

namespace reprise::exec {

class Executable {
 public:
  /// `states[i]`: memory of Plan::states[i] on `device`, which must outlive this.
  /// Throws FormatError when plan and signature do not fit together, OutOfMemory.
  /// `foreign`: where foreign commands find their kernels; those that are missing are left to who makes their steps.
  Executable(plan::PlanPtr plan, device::DevicePtr device, std::span<void* const> states, kernels::StepMaker step_maker,
             const kernels::ForeignKernels& foreign = {});

  [[nodiscard]] const plan::Plan& plan() const { return *plan_; }
  [[nodiscard]] const device::DevicePtr& device() const { return device_; }
  [[nodiscard]] const Schedule& schedule() const { return schedule_; }
  [[nodiscard]] const InputBinder& binder() const { return binder_; }
  [[nodiscard]] const kernels::StepMaker& make_step() const { return make_step_; }
  [[nodiscard]] int threads() const { return threads_; }
  /// Of a foreign command; null: it is not there.
  [[nodiscard]] kernels::ForeignKernelPtr foreign(const plan::Command& command) const;
  /// Why a command cannot be part of a recording: its foreign kernel says so. Empty: it can.
  [[nodiscard]] std::string why_live(const plan::Command& command) const;

  /// Binding slots: one per buffer, scratch that steps share, then, on the host, scratch of each command in the arena.
  [[nodiscard]] std::size_t scratch_slot() const { return plan_->buffers.size(); }
  [[nodiscard]] std::size_t scratch_slot(std::size_t position) const { return scratch_slot() + 1 + position; }
  [[nodiscard]] std::size_t slot_count() const { return scratch_slot(scratch_slots_); }
  /// Of commands: one for each position.
  [[nodiscard]] std::size_t scratch_slots() const { return scratch_slots_; }
  /// States; null elsewhere.
  [[nodiscard]] std::span<void* const> fixed_bindings() const { return fixed_bindings_; }
  /// Weights that the host can read; null elsewhere. Empty when there are none.
  [[nodiscard]] std::span<void* const> weight_bindings() const { return weight_bindings_; }
  /// Weights as kernels want them, in the module's file.
  [[nodiscard]] const kernels::StoredForms& stored() const { return stored_; }
  /// They change under a budget.
  [[nodiscard]] WeightStore& weights() const { return *weights_; }
  /// Buffers of a signature input (none when no command reads it).
  [[nodiscard]] const std::vector<plan::BufferId>& input_buffers(std::size_t input) const { return input_buffers_[input]; }
  /// The buffer of a tensor output; -1 for other outputs.
  [[nodiscard]] plan::BufferId output_buffer(std::size_t output) const { return output_buffers_[output]; }
  /// Temps that the arena holds.
  [[nodiscard]] const std::vector<plan::BufferId>& arena_buffers() const { return arena_buffers_; }
  /// The plan of the arena for the largest shapes that any profile admits: it serves every shape. nullopt when sizes have no bound.
  [[nodiscard]] const std::optional<MemoryPlan>& largest_memory() const { return largest_memory_; }

 private:
  void bind_buffers(std::span<void* const> states);
  [[nodiscard]] std::optional<MemoryPlan> plan_largest() const;

  plan::PlanPtr plan_;
  device::DevicePtr device_;
  Schedule schedule_;
  InputBinder binder_;
  kernels::StepMaker make_step_;
  kernels::StoredForms stored_;
  std::map<std::string, kernels::ForeignKernelPtr, std::less<>> foreign_;  // by name
  int threads_;
  std::size_t scratch_slots_;
  std::vector<void*> fixed_bindings_, weight_bindings_;
  std::vector<std::vector<plan::BufferId>> input_buffers_;
  std::vector<plan::BufferId> output_buffers_, arena_buffers_;
  std::optional<MemoryPlan> largest_memory_;
  std::unique_ptr<WeightStore> weights_;
};

using ExecutablePtr = std::shared_ptr<const Executable>;

}  // namespace reprise::exec
