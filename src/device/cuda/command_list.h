// Command lists of a GPU: the operations of their steps, launched one after the other.
#pragma once

#include <optional>
#include <span>

#include "device/cuda/operations.h"
#include "device/cuda/stream.h"
#include "device/device.h"

namespace reprise::device::cuda {

/// A kernel's parameters with addresses filled in.
void fill_parameters(const KernelLaunch& launch, void* const* bindings, std::byte* parameters);
inline CUdeviceptr address(Place place, void* const* bindings) {
  return reinterpret_cast<CUdeviceptr>(static_cast<std::byte*>(bindings[place.slot]) + place.bytes);
}

/// Copies from the host run in a stream of their own, each behind the operations before it and before the first one that names where it goes.
/// Host steps run in stream order too; behind one that throws, only host steps are skipped.
class CudaCommandList final : public CommandList {
 public:
  /// Has every step describe itself.
  CudaCommandList(std::shared_ptr<Gpu> gpu, StepList steps);
  void enqueue(Stream& stream, void* const* bindings) const override;
  [[nodiscard]] std::size_t size() const override { return steps_.size(); }
  [[nodiscard]] std::size_t scratch_bytes() const override { return scratch_bytes_; }

  [[nodiscard]] std::span<const Operation> operations() const { return operations_; }
  [[nodiscard]] const StepList& steps() const { return steps_; }
  /// Null when no kernel tells of errors in the data.
  [[nodiscard]] const std::shared_ptr<const Faults>& faults() const { return faults_; }
  [[nodiscard]] const std::shared_ptr<Gpu>& gpu() const { return gpu_; }

 private:
  void describe(const Step& step, Operations& operations);
  void find_waits();

  std::shared_ptr<Gpu> gpu_;
  std::optional<CudaEvent> fence_;  // before library calls that must not start early
  StepList steps_;
  std::size_t scratch_bytes_ = 0;
  std::vector<Operation> operations_;
  int fetches_ = 0;                      // copies from the host
  std::vector<std::vector<int>> waits_;  // by operation, and at the end: which of these it waits for. Empty when there are none
  std::shared_ptr<const Faults> faults_;
};

}  // namespace reprise::device::cuda
