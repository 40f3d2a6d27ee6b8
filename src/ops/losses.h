// What the families of losses share.
#pragma once

#include "ops/row_helpers.h"

namespace reprise::ops {

/// The node's `reduction`: 0 none, 1 mean, 2 sum of all elements.
Val reduce_loss(Context& c, Val loss);

/// Rows: nll_loss in its forms, cross entropy, margins between classes.
void add_classification_losses(Registry& r);

}  // namespace reprise::ops
