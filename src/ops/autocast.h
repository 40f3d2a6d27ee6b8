// Regions that the exporter ran under torch.autocast.
#pragma once

#include "ir/aten.h"

namespace reprise::ops {

/// A copy of the graph in which the casts that autocast makes are nodes: where an op's floating operands differ from its result's dtype, as the exporter
/// recorded it, they are cast to it.
ir::AtenGraph with_casts(const ir::AtenGraph& graph);

}  // namespace reprise::ops
