// The plan's signature from the program's.
#pragma once

#include <vector>

#include "ir/aten.h"
#include "ir/graph.h"
#include "plan/plan.h"

namespace reprise::lower {

/// Flattened user inputs. `input_entry` receives, per tensor input in order, its place in the result.
std::vector<plan::InputSpec> input_specs(const ir::Program& program, const ir::Graph& graph, std::vector<int>& input_entry);
/// Flattened user outputs, one per graph.results.
std::vector<plan::OutputSpec> output_specs(const ir::Program& program, const ir::Graph& graph);

}  // namespace reprise::lower
