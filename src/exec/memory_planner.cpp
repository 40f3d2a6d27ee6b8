#include "exec/memory_planner.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace reprise::exec {
namespace {

struct Placed {
  std::size_t begin, end;
  std::int32_t first, last;
};

std::size_t aligned(std::size_t bytes) {
  REPRISE_CHECK(bytes <= std::numeric_limits<std::size_t>::max() / 4, OutOfMemory, "[run/plan] a buffer exceeds the address space (got {} bytes)", bytes);
  return (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
}

/// `placed` is sorted by begin.
std::size_t lowest_gap(const std::vector<Placed>& placed, std::size_t bytes, const BufferLife& life) {
  std::size_t offset = 0;
  for (const Placed& other : placed) {
    if (other.last < life.first || life.last < other.first) continue;
    if (other.begin >= offset + bytes) break;
    offset = std::max(offset, other.end);
  }
  return offset;
}

}  // namespace

MemoryPlan plan_memory(std::span<const BufferLife> buffers) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return buffers[a].bytes > buffers[b].bytes; });

  MemoryPlan plan{std::vector<std::size_t>(buffers.size()), 0};
  std::vector<Placed> placed;
  placed.reserve(buffers.size());
  for (const std::size_t i : order) {
    const std::size_t bytes = aligned(buffers[i].bytes);
    if (bytes == 0) break;  // only empty ones follow
    const std::size_t offset = lowest_gap(placed, bytes, buffers[i]);
    const Placed entry{offset, aligned(offset + bytes), buffers[i].first, buffers[i].last};
    placed.insert(std::upper_bound(placed.begin(), placed.end(), entry, [](const Placed& a, const Placed& b) { return a.begin < b.begin; }), entry);
    plan.offsets[i] = offset;
    plan.total_bytes = std::max(plan.total_bytes, entry.end);
  }
  return plan;
}

std::size_t free_at(const MemoryPlan& plan, std::span<const BufferLife> buffers, std::int32_t at, std::size_t bytes) {
  std::vector<Placed> living;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const BufferLife& life = buffers[i];
    if (life.bytes > 0 && life.first <= at && at <= life.last) living.push_back({plan.offsets[i], plan.offsets[i] + aligned(life.bytes), at, at});
  }
  std::ranges::sort(living, {}, &Placed::begin);
  return lowest_gap(living, aligned(bytes), {bytes, at, at});
}

}  // namespace reprise::exec
