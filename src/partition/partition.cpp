#include "partition/partition.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::partition {

bool names_target(std::string_view op, std::string_view target) {
  constexpr std::string_view kPrefix = "torch.ops.";
  if (op.starts_with(kPrefix)) op.remove_prefix(kPrefix.size());
  return target == op || (target.size() > op.size() && target.starts_with(op) && target[op.size()] == '.');
}

ops::Assignment partition(const ir::Program& program, const PartitionOptions& options) {
  for (const auto& op : options.fallback_ops) REPRISE_CHECK(!op.empty(), InvalidArgument, "[partition/fallback_ops] an op name is empty");
  ops::Assignment assignment;
  for (const auto& node : program.graph.nodes) {
    const auto named = std::find_if(options.fallback_ops.begin(), options.fallback_ops.end(), [&](const auto& op) { return names_target(op, node.target); });
    const bool engine = named == options.fallback_ops.end();
    if (assignment.segments.empty() || assignment.segments.back().engine != engine) {
      assignment.segments.push_back({engine, engine ? "" : fmt::format("{} is in fallback_ops", node.target)});
    }
    assignment.segment.push_back(static_cast<int>(assignment.segments.size()) - 1);
  }
  if (assignment.segments.empty()) assignment.segments.push_back({true, ""});
  return assignment;
}

}  // namespace reprise::partition
