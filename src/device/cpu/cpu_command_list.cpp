#include "device/cpu/cpu_command_list.h"

#include <algorithm>
#include <cstring>
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

CpuRecording::CpuRecording(std::shared_ptr<const CommandList> list, std::span<void* const> bindings)
    : list_(std::move(list)), bindings_(bindings.begin(), bindings.end()) {
  const auto& steps = static_cast<const CpuCommandList&>(*list_).steps();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& step = steps[i];
    try {
      step->prepare_recording(bindings_.data());
    } catch (const std::exception& error) {
      throw CaptureFailed(error.what(), i);
    }
    const auto* bindable = dynamic_cast<const BindableStep*>(step.get());
    Entry& entry = steps_.emplace_back(Entry{step.get(), bindable != nullptr ? bindable->make_bound() : nullptr});
    if (entry.bound != nullptr) entry.bound->bind(bindings_.data());
  }
}

void CpuRecording::run() const {
  for (const Entry& entry : steps_) {
    if (entry.bound != nullptr)
      entry.bound->run();
    else
      entry.step->run(bindings_.data());
  }
}

void CpuRecording::replay(Stream& stream, std::span<void* const> bindings) {
  REPRISE_CHECK(bindings.size() == bindings_.size(), InvalidArgument, "[device/replay] wrong number of binding slots (got {}, want {})", bindings.size(),
                bindings_.size());
  if (std::memcmp(bindings.data(), bindings_.data(), bindings.size_bytes()) != 0) {
    // An earlier replay may still read the table.
    stream.synchronize();
    for (std::size_t i = 0; i < bindings.size(); ++i) patched_slots_ += std::exchange(bindings_[i], bindings[i]) != bindings[i];
    for (const Entry& entry : steps_)
      if (entry.bound != nullptr) entry.bound->bind(bindings_.data());
  }
  if (stream.is_default()) return run();
  static_cast<CpuStream&>(stream).enqueue([this] { run(); });
}

}  // namespace reprise::device::cpu
