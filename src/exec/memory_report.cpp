#include "exec/memory_report.h"

#include <algorithm>
#include <map>

#include "exec/memory_planner.h"

namespace reprise::exec {

namespace {

std::size_t bytes_at_opt(const sym::Expr& size, const plan::Plan& plan) {
  const auto value = sym::evaluate(size, [&](const std::string& name) -> std::optional<sym::Number> {
    const int s = plan.symbols.find(name);
    return s < 0 ? std::nullopt : std::optional(sym::Number::of(plan.profiles.front().opt.at(static_cast<std::size_t>(s))));
  });
  return value ? static_cast<std::size_t>(std::max<std::int64_t>(value->as_int(), 0)) : 0;
}

std::size_t peak_live(const std::vector<BufferLife>& lives) {
  std::map<std::int32_t, std::int64_t> changes;
  for (const auto& life : lives) {
    changes[life.first] += static_cast<std::int64_t>(life.bytes);
    changes[life.last + 1] -= static_cast<std::int64_t>(life.bytes);
  }
  std::int64_t now = 0, most = 0;
  for (const auto& [position, change] : changes) most = std::max(most, now += change);
  return static_cast<std::size_t>(most);
}

}  // namespace

std::vector<std::size_t> buffer_bytes(const plan::Plan& plan) {
  std::vector<std::size_t> bytes;
  for (const auto& buffer : plan.buffers) bytes.push_back(buffer.dynamic ? 0 : bytes_at_opt(buffer.size_bytes, plan));
  return bytes;
}

MemoryReport report_memory(const plan::Plan& plan) {
  MemoryReport report;
  for (const auto& weight : plan.weights) report.weight_bytes += weight.data.nbytes();
  for (const auto& state : plan.states) report.state_bytes += state.initial.nbytes();
  std::vector<BufferLife> lives;
  for (const auto& buffer : plan.buffers) {
    if (buffer.dynamic) {
      ++report.dynamic_buffers;
      continue;
    }
    const auto bytes = bytes_at_opt(buffer.size_bytes, plan);
    switch (buffer.kind) {
      case plan::BufferKind::temp:
        if (buffer.last < 0) break;  // nothing touches it
        report.temp_bytes += bytes;
        lives.push_back({bytes, buffer.first, buffer.last});
        break;
      case plan::BufferKind::input:
        report.input_bytes += bytes;
        break;
      case plan::BufferKind::output:
        report.output_bytes += bytes;
        break;
      case plan::BufferKind::weight:
      case plan::BufferKind::state:
        break;
    }
  }
  report.peak_live_bytes = peak_live(lives);
  report.arena_bytes = plan_memory(lives).total_bytes;
  return report;
}

}  // namespace reprise::exec
