// What stands behind a Module: a plan, opened on a device.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "device/device.h"
#include "exec/context_pool.h"
#include "exec/executable.h"
#include "exec/sums_in_place.h"
#include "kernels/foreign.h"
#include "kernels/kernel.h"
#include "plan/plan.h"
#include "reprise/module.h"
#include "runtime/buckets.h"
#include "runtime/module_modes.h"
#include "runtime/state_store.h"
#include "runtime/weight_budget.h"

namespace reprise {

struct Module::Impl {
  Impl(plan::PlanPtr plan, device::DevicePtr on, kernels::StepMaker step_maker, const LoadOptions& options);

  [[nodiscard]] std::vector<Argument> call(std::span<const Argument> inputs);
  [[nodiscard]] std::vector<Argument> call(std::span<const Tensor> inputs);
  void run(std::span<const Tensor> inputs, std::span<const Tensor> outputs);
  [[nodiscard]] std::vector<std::int64_t> output_sizes(std::span<const Tensor> inputs, std::size_t index) const;
  [[nodiscard]] MemoryUse memory() const;
  /// The plan with what its device knows by now: compiled kernels, measured choices, packed weights.
  [[nodiscard]] plan::Plan to_save() const;
  /// For a replica.
  [[nodiscard]] plan::PlanPtr original_plan() const;
  [[nodiscard]] LoadOptions load_options() const;
  void enqueue(std::span<const Tensor> inputs, std::span<const Tensor> outputs, const Stream& stream);

  void set_weight_budget(std::size_t bytes);
  [[nodiscard]] std::size_t automatic_weight_budget() const;
  /// What a call's context is bound to: sizes, and what else recordings freeze.
  [[nodiscard]] exec::ShapeKey shape_key(std::span<const std::int64_t> symbols, int profile) const {
    return exec::ShapeKey::of(symbols, static_cast<std::uint64_t>(profile));
  }

  /// Of all contexts. Failures of the device are left to the next call.
  void drop_recordings() noexcept;

  // State, if there is any: calls take it one after the other.
  /// Held by a call until its work is given out. Not owned when there is no state.
  [[nodiscard]] std::unique_lock<std::mutex> lock_calls();
  /// As lock_calls, for whoever looks from outside: waits for calls whose work goes on.
  [[nodiscard]] std::unique_lock<std::mutex> lock_state();
  /// Orders `stream` behind the call before. With the lock held.
  void wait_for_state(device::Stream& stream);
  /// The call's work goes on in `stream`. With the lock held.
  void leave_state(device::Stream& stream);

  exec::PlacedSums sums;  // of the plan, on the host
  const plan::PlanPtr plan;
  const kernels::StepMaker given_step_maker;  // empty: the device's own kernels
  const kernels::ForeignKernels foreign;      // as they were when the module was made
  const device::DevicePtr device;
  runtime::StateStore states;
  const exec::ExecutablePtr executable;
  exec::ContextPool pool;
  runtime::ModuleModes modes;
  runtime::WeightBudget weight_budget;
  runtime::Buckets buckets;

 private:
  void pack_weights(plan::Plan& saved) const;
  /// `stream`: null: waits.
  void run_in(std::span<const Tensor> inputs, std::span<const Tensor> outputs, device::Stream* stream);

  std::mutex state_mutex_;
  std::unique_ptr<device::Event> state_event_;  // at the end of the last call that did not wait
};

namespace runtime {

/// The module of a plan, on the device that the plan was made for. Throws DeviceError, FormatError, OutOfMemory.
Module make_module(plan::PlanPtr plan, const LoadOptions& options = {});
/// On another device; with other kernels than the device's own, if any are given.
Module make_module(plan::PlanPtr plan, Device device, kernels::StepMaker step_maker = {}, const LoadOptions& options = {});
Module make_module(plan::PlanPtr plan, device::DevicePtr device, kernels::StepMaker step_maker = {}, const LoadOptions& options = {});
/// Throws UnsupportedOp, naming it, where the plan needs a foreign kernel that is neither given nor the process's.
void require_foreign_kernels(const plan::Plan& plan, const LoadOptions& options);

}  // namespace runtime
}  // namespace reprise
