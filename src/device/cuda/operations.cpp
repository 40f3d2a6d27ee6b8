#include "device/cuda/operations.h"

#include "base/check.h"
#include "device/cuda/memory.h"

namespace reprise::device::cuda {

void Operations::add(decltype(Operation::work) work, std::vector<Access> accesses) { all_.push_back({std::move(work), std::move(accesses), step_}); }

std::uint64_t* Operations::fault(Raise raise) {
  if (words_ == nullptr) return nullptr;
  faults_.reserve(faults_.size() + 1);
  std::uint64_t* word = words_->take();
  faults_.push_back({word, std::move(raise)});
  return word;
}

std::vector<Operation> describe_offline(const CudaStep& step) {
  Operations operations(nullptr);
  step.describe(operations);
  return std::move(operations.all_);
}

void CudaStep::run(void* const*) const { REPRISE_FAIL(DeviceError, "[device/cuda] a step of the GPU was run on the host"); }

}  // namespace reprise::device::cuda
