// The compiler's stages behind the public `compile`, each to be had by itself: what `reprise inspect` shows and tests look at.
#pragma once

#include "ir/aten.h"
#include "ir/graph.h"
#include "ops/converter.h"
#include "plan/plan.h"
#include "reprise/compile.h"

namespace reprise::api {

/// Partitioned, converted and run through all passes.
ir::Graph build_graph(const ir::Program& program, const CompileOptions& options, const ops::Registry& registry = ops::Registry::builtin());

/// The whole way to a verified plan.
plan::Plan build_plan(const ir::Program& program, const CompileOptions& options, const ops::Registry& registry = ops::Registry::builtin());

}  // namespace reprise::api
