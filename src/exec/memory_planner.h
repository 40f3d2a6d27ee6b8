// Where buffers stand in an arena: buffers whose lives overlap never share a byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace reprise::exec {

inline constexpr std::size_t kBufferAlignment = 64;

struct BufferLife {
  std::size_t bytes = 0;
  std::int32_t first = 0, last = 0;  // inclusive
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  // multiples of kBufferAlignment; 0 for buffers of no bytes
  std::size_t total_bytes = 0;
};

/// Largest first, each at the lowest offset that is free for its whole life. Throws OutOfMemory when the total exceeds what an address can hold.
MemoryPlan plan_memory(std::span<const BufferLife> buffers);

/// The lowest offset where `bytes` bytes are free at time `at`: beside the `buffers` that live then, where `plan` put them; they may end behind all of these.
std::size_t free_at(const MemoryPlan& plan, std::span<const BufferLife> buffers, std::int32_t at, std::size_t bytes);

}  // namespace reprise::exec
