// Counted loops: unrolled when they are short and of constant length, a while node otherwise.
#pragma once

#include <functional>
#include <vector>

#include "ops/compose.h"

namespace reprise::ops {

/// Carries tensors through steps, each of which also yields one slice per stacked result.
struct Loop {
  Expr steps;
  std::vector<Val> carry;
  /// Sizes and dtypes of the slices that a step yields. Their stacks have `steps` in front.
  std::vector<ir::TensorMeta> slices;
  bool reverse = false;  // from the last step to the first; stacks stay in order
};
struct Step {
  std::vector<Val> carry, slices;
};
struct LoopResult {
  std::vector<Val> carry, stacks;
};

/// `body(row, carry)`: `row(x)` is x[t], the slice of step t along the first dimension of x.
using Row = std::function<Val(Val x)>;
using LoopBody = std::function<Step(const Row& row, std::span<const Val> carry)>;
LoopResult run_loop(Builder& b, const Loop& loop, const LoopBody& body);

}  // namespace reprise::ops
