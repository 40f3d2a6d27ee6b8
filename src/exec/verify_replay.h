// The self-check of recordings.
#pragma once

#include <cstddef>
#include <span>

#include "device/device.h"

namespace reprise::exec {

/// Memory that a stage writes.
struct WrittenRange {
  void* address = nullptr;
  std::size_t bytes = 0;
};

enum class Verdict { same, differs, not_reproducible };

/// Runs `list` and `recording` from the same contents of `written` and compares the bytes that they leave there. not_reproducible: so do two runs of `list`
/// (atomic sums, random numbers without state). Afterwards `written` holds the replay's values when they are the same, else those of `list`. Waits; throws what
/// the steps throw.
[[nodiscard]] Verdict verify_replay(device::DeviceHandle& device, device::Stream& stream, const device::CommandList& list, device::Recording& recording,
                                    std::span<void* const> bindings, std::span<const WrittenRange> written);

}  // namespace reprise::exec
