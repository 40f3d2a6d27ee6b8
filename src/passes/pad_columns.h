// Products with many columns that are no whole number of vectors.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// The product of a language model's head: thousands of columns, an odd number of them, and a result whose rows must follow each other. Stores to such rows are
/// slow, so the product is computed with a few more columns, which weights of zeros make, and copied. The weights are lengthened where they are, for all who
/// read them.
void pad_columns(ir::Graph& graph);

}  // namespace reprise::passes
