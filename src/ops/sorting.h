// What the ops that rank elements share.
#pragma once

#include "ops/compose.h"

namespace reprise::ops {

/// x without `dim` (of size 1), unless the node's `keepdim` keeps it.
Val drop_dim(Context& c, Val x, int dim);

/// Rows: median, mode, quantiles and histograms.
void add_quantiles(Registry& r);

}  // namespace reprise::ops
