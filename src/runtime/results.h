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

/// Memory for a call's outputs: new tensors, or what the call's modes say. Where a size depends on data the bound is asked for first, if there is one.
class Results {
 public:
  /// Gets memory, places the call's inputs and attaches to its context. Throws what an OutputAllocator throws, InvalidArgument when that breaks its contract.
  Results(const plan::Plan& plan, const device::DevicePtr& device, Call& call);
  /// After the run: one entry per signature output, tensors exact and contiguous.
  [[nodiscard]] std::vector<Argument> take();

 private:
  [[nodiscard]] bool is_fresh() const { return source_.preallocated == nullptr && source_.allocator == nullptr; }
  [[nodiscard]] Tensor memory_for(std::size_t index);
  /// Bytes from the call's source; undefined when an allocator refuses.
  [[nodiscard]] Tensor ask(std::size_t index, std::size_t bytes, bool is_bound);
  [[nodiscard]] Tensor preallocated(std::size_t index, bool is_bound, std::span<const std::int64_t> sizes, DType dtype);
  [[nodiscard]] Tensor allocated(std::size_t index, std::size_t bytes, bool is_bound);
  [[nodiscard]] Tensor fresh(std::span<const std::int64_t> sizes, DType dtype);
  [[nodiscard]] Tensor exact_memory(std::size_t index, std::span<const std::int64_t> sizes);
  /// `memory` as output `index`.
  [[nodiscard]] Tensor as_output(std::size_t index, Tensor memory, std::span<const std::int64_t> sizes) const;
  [[nodiscard]] Argument take(std::size_t index);
  [[nodiscard]] Tensor take_tensor(std::size_t index);
  [[nodiscard]] Tensor take_counted(std::size_t index, std::span<const std::int64_t> sizes);

  const plan::Plan& plan_;
  const device::DevicePtr& device_;
  Call& call_;
  exec::ExecutionContext& context_;
  const OutputSource& source_;
  std::vector<Tensor> memory_;       // per output; undefined for those that are not tensors or have no bound
  std::vector<bool> bound_refused_;  // per output: memory_ is ours
};

/// Attaches tensors of the caller, one per tensor output, to the bound context. Throws InvalidArgument (count, dtype, device, contiguity, overlap, sizes that
/// depend on data), ShapeError (sizes).
void attach_outputs(const plan::Plan& plan, Device device, const Call& call, std::span<const Tensor> outputs);

}  // namespace reprise::runtime
