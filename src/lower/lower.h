// The core graph to a plan: buffers, lifetimes, commands.
#pragma once

#include <memory>
#include <vector>

#include "ir/aten.h"
#include "ir/graph.h"
#include "plan/plan.h"

namespace reprise::lower {

/// `graph` is functional (no `write` nodes) and verified. The signature comes from `program`. `profiles` holds at least one entry in graph.symbols order.
///
/// - A root that a result reads whole is computed in the output's own memory; other results are copied at the end.
/// - `index_put`, `scatter`, `write_view` and elementwise steps work in place on a value that nobody reads afterwards, so that updating a cache copies nothing.
/// - Every state's final value ends in the state's memory; a copy only where it could not be computed there.
plan::Plan lower(const ir::Graph& graph, const ir::Program& program, plan::Settings settings, std::vector<plan::Profile> profiles);

}  // namespace reprise::lower
