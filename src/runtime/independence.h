// Whether the rows of a plan's batch are computed one by one.
#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"

namespace reprise::runtime {

struct Independence {
  int symbol = -1;                    // the batch's size; -1: no symbol is proven to be one
  std::string why_not;                // of the first candidate
  std::vector<bool> inputs, outputs;  // by place in the signature: rows of these are rows of the batch
};

/// A symbol that is the first size of inputs and of nothing else, such that item i of every output depends on items i of these inputs alone: shown by induction
/// over the commands, each of which maps item i of its operands to item i of its results. What is not known to do so refutes it.
[[nodiscard]] Independence find_independent_batch(const plan::Plan& plan);

}  // namespace reprise::runtime
