#include "device/cpu/cpu_command_list.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "device/cpu/cpu_stream.h"

namespace reprise::device::cpu {

CpuCommandList::CpuCommandList(StepList steps) : steps_(std::move(steps)) {
  for (const auto& step : steps_) scratch_bytes_ = std::max(scratch_bytes_, step->scratch_bytes());
}

void CpuCommandList::enqueue(Stream& stream, void* const* bindings) const {
  // Two words: std::function holds them without allocating.
  static_cast<CpuStream&>(stream).enqueue([this, bindings] {
    for (const auto& step : steps_) step->run(bindings);
  });
}

void CpuRecording::replay(Stream& stream, std::span<void* const> bindings) {
  REPRISE_CHECK(bindings.size() == bindings_.size(), InvalidArgument, "[device/replay] wrong number of binding slots (got {}, want {})", bindings.size(),
                bindings_.size());
  const bool changed = !std::equal(bindings.begin(), bindings.end(), bindings_.begin());
  if (changed) {
    // An earlier replay may still read the table.
    stream.synchronize();
    for (std::size_t i = 0; i < bindings.size(); ++i) patched_slots_ += std::exchange(bindings_[i], bindings[i]) != bindings[i];
  }
  list_->enqueue(stream, bindings_.data());
}

}  // namespace reprise::device::cpu
