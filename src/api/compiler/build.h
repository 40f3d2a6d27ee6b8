// The compiler's stages behind the public `compile`, each to be had by itself: what `reprise inspect` shows and tests look at.
#pragma once

#include "ir/aten.h"
#include "ir/graph.h"
#include "ops/converter.h"
#include "partition/partition.h"
#include "plan/plan.h"
#include "reprise/compile.h"

namespace reprise::api {

partition::PartitionOptions partition_options(const CompileOptions& options);

/// Partitioned, converted and run through all passes. `ours`: what stands behind the converters that users registered.
ir::Graph build_graph(const ir::Program& program, const CompileOptions& options, const ops::Registry& ours = ops::Registry::builtin());

/// The whole way to a verified plan.
plan::Plan build_plan(const ir::Program& program, const CompileOptions& options, const ops::Registry& ours = ops::Registry::builtin());

}  // namespace reprise::api
