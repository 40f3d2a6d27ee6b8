// Capability-based partitioning: which nodes of the ATen graph an engine takes, and which fall back.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/aten.h"
#include "ops/convert.h"

namespace reprise::partition {

struct PartitionOptions {
  /// "aten.mul.Tensor", "torch.ops.aten.mul.Tensor" or "aten.mul" (all overloads).
  std::vector<std::string> fallback_ops = {};
  /// Engine segments of fewer nodes become part of the fallback around them.
  int min_block_size = 1;
  /// Any node that falls back is an error; min_block_size does not count then.
  bool require_full_compilation = false;
  /// Nodes that fall back whatever takes them, and why.
  std::map<const ir::AtenNode*, std::string> failed = {};
};

/// True when `target` is named by `op` in one of the forms above.
bool names_target(std::string_view op, std::string_view target);

struct Partition {
  ops::Assignment assignment;
  std::vector<std::string> reasons;  // one per node: why it falls back; empty: it does not. Arithmetic on symbols has none and goes where its neighbours go
};

/// Segments are maximal runs of nodes, in execution order, with one executor, so no cycle can arise between them. A node falls back when it or a node of its
/// nested graphs has no converter that takes it, or is named in `fallback_ops`. A program without nodes has one engine segment. Throws InvalidArgument for an
/// empty name in `fallback_ops` and for min_block_size < 1, UnsupportedOp where `require_full_compilation` is broken, naming the ops.
Partition partition(const ir::Program& program, const ops::Registry& registry, const PartitionOptions& options = {});

}  // namespace reprise::partition
