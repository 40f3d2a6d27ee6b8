// The driver: an ATen program to a core graph, by the converters of a registry.
#pragma once

#include <string>
#include <vector>

#include "ir/aten.h"
#include "ir/graph.h"
#include "ops/converter.h"

namespace reprise::ops {

/// Segment of each node of the top graph, as the partitioner chose; nodes of nested graphs share their holder's.
struct Assignment {
  std::vector<int> segment;  // one per program.graph.nodes
  std::vector<ir::Segment> segments;
};

/// A node that only computes symbolic scalars (`_operator.mul`, `aten.sym_size.int`): its outputs are expressions already, so it needs no converter.
bool is_scalar_arithmetic(const ir::AtenNode& node);
/// Some tensor that the node reads or returns has symbolic sizes.
bool is_dynamic(const ir::AtenNode& node, const ir::AtenGraph& graph);

/// Nodes without a converter (nested graphs included), each once per target: "aten.foo.default (model.py:12, in forward: …)"; where
/// converters exist but refuse the node, their reason follows the target.
std::vector<std::string> missing_converters(const ir::Program& program, const Registry& registry);

/// Converts everything. In-place ops become `write` nodes (functionalize removes them). Sizes of each output are checked against the exporter's and its
/// expressions adopted. Buffer and input mutations that the file declares become State::final. Throws UnsupportedOp listing all missing converters at once.
ir::Graph convert(const ir::Program& program, const Registry& registry, const Assignment& assignment);

}  // namespace reprise::ops
