// Capability-based partitioning: which nodes of the ATen graph an engine takes, and which fall back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/aten.h"
#include "ops/convert.h"

namespace reprise::partition {

struct PartitionOptions {
  /// "aten.mul.Tensor", "torch.ops.aten.mul.Tensor" or "aten.mul" (all overloads).
  std::vector<std::string> fallback_ops;
};

/// True when `target` is named by `op` in one of the forms above.
bool names_target(std::string_view op, std::string_view target);

/// Segments are maximal runs of nodes, in execution order, with one executor. Throws InvalidArgument for a fallback op that no node of any graph could match
/// (an empty name). A program without nodes has one engine segment.
ops::Assignment partition(const ir::Program& program, const PartitionOptions& options);

}  // namespace reprise::partition
