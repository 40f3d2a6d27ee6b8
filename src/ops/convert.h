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
  std::vector<int> segment;              // one per program.graph.nodes
  std::vector<ir::Segment> segments;
};

/// Nodes without a converter (nested graphs included), each once per target: "aten.foo.default (model.py:12, in forward: …)".
std::vector<std::string> missing_converters(const ir::Program& program, const Registry& registry);

/// Converts everything. In-place ops become `write` nodes (functionalize removes them). Sizes of each output are checked against the exporter's and its
/// expressions adopted. Buffer and input mutations that the file declares become State::final. Throws UnsupportedOp listing all missing converters at once.
ir::Graph convert(const ir::Program& program, const Registry& registry, const Assignment& assignment);

}  // namespace reprise::ops
