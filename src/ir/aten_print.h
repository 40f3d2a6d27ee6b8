// ATen graphs and programs as text that a person reads.
#pragma once

#include <string>

#include "ir/aten.h"

namespace reprise::ir {

/// `x`, `[a, None]`, `2*s0`, `f32`, `"text"`, `graph(…)`.
std::string str(const Arg& arg);
/// "f32[s77, 3]"
std::string str(const TensorMeta& meta);

/// One line per node: `add: f32[s0, 4] = aten.add.Tensor(self=x, other=1)    # model.py:12, in forward: x + 1`. Subgraphs are indented below their node.
std::string print(const AtenGraph& graph, int indent = 0);
/// Signature, symbols, then the graph.
std::string print(const Program& program);

}  // namespace reprise::ir
