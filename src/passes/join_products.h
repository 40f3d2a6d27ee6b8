// Products of one matrix with several weights, as one product; and with an odd number of columns, as a product with a few more.
#pragma once

#include "ir/graph.h"

namespace reprise::passes {

/// Matmuls of one operand with constant matrices (the query, key and value projections of attention), each with a constant bias row or all without one, become
/// one matmul with the matrices side by side; the results are views of its columns. A matmul with so many columns that the layout counts, and no whole number
/// of 16 bytes in a row, gets columns of zeros that nobody reads.
void join_products(ir::Graph& graph);

}  // namespace reprise::passes
