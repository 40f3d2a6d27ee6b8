// Results of a call: memory for them before it, tensors and numbers after it.
#pragma once

#include <span>
#include <vector>

#include "device/device.h"
#include "exec/context.h"
#include "plan/plan.h"
#include "reprise/module.h"
#include "runtime/call.h"

namespace reprise::runtime {

/// New tensors for a call's outputs. Where a size depends on data the bound is allocated first, if there is one.
class Results {
 public:
  /// Allocates and attaches to the bound context.
  Results(const plan::Plan& plan, const device::DevicePtr& device, exec::ExecutionContext& context);
  /// After the run: one entry per signature output, tensors exact and contiguous.
  [[nodiscard]] std::vector<Argument> take();

 private:
  void attach(std::size_t index);
  [[nodiscard]] Argument take(std::size_t index);
  [[nodiscard]] Tensor take_tensor(std::size_t index);
  [[nodiscard]] Tensor take_counted(std::size_t index, std::span<const std::int64_t> sizes);

  const plan::Plan& plan_;
  const device::DevicePtr& device_;
  exec::ExecutionContext& context_;
  std::vector<Tensor> memory_;  // per output; undefined for those that are not tensors or have no bound
};

/// Attaches tensors of the caller, one per tensor output, to the bound context. Throws InvalidArgument (count, dtype, device, contiguity, overlap, sizes that
/// depend on data), ShapeError (sizes).
void attach_outputs(const plan::Plan& plan, Device device, const Call& call, std::span<const Tensor> outputs);

}  // namespace reprise::runtime
