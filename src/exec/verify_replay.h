// The self-check of recordings, and what it shares with warm-ups: memory put back as it was.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "device/device.h"
#include "plan/plan.h"

namespace reprise::exec {

/// Memory that commands write.
struct WrittenRange {
  plan::BufferId buffer = -1;
  void* address = nullptr;
  std::size_t bytes = 0;
};

/// The contents of memory at one time, kept on the device.
class Snapshot {
 public:
  /// Takes it in the order of `stream`. Throws OutOfMemory.
  Snapshot(const device::DevicePtr& device, device::Stream& stream, std::vector<WrittenRange> ranges);
  /// Puts it back, and waits. Throws what work before it in the stream threw, but only after that.
  void restore(device::Stream& stream) const;

 private:
  void copy_back(device::Stream& stream) const;

  device::DevicePtr device_;
  std::vector<WrittenRange> ranges_;
  std::vector<device::Allocation> copies_;  // by range
};

enum class Verdict { same, differs, not_reproducible };

/// Runs `list` and `recording` from the same contents of `kept` (what they read and may overwrite) and compares the bytes that they leave in `results`.
/// not_reproducible: so do two runs of `list` (atomic sums, random numbers without state). Afterwards `results` hold the replay's values when they are the
/// same, else those of `list`. Waits; throws what the steps throw.
[[nodiscard]] Verdict verify_replay(device::DeviceHandle& device, device::Stream& stream, const device::CommandList& list, device::Recording& recording,
                                    std::span<void* const> bindings, std::span<const WrittenRange> kept, std::span<const WrittenRange> results);

}  // namespace reprise::exec
