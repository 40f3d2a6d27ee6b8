// The index list of x[…]: which dimensions it covers and where its own dimensions stand in the result.
#pragma once

#include <vector>

#include "ops/compose.h"

namespace reprise::ops {

/// `indices[i]` covers `axes[i]`, a rising list; the dimensions that they broadcast to stand at `position` among those that are kept.
struct IndexList {
  std::vector<Val> indices;
  std::vector<int> axes;
  int position = 0;
};

/// Boolean (and, of old, u8) tensors are masks.
bool is_mask(Val index);

/// `given` as PyTorch passes it: undefined where a dimension is not indexed, masks as wide as their rank. Each mask becomes the positions of its true
/// elements, `count(place)` of them; `place` is where that size would stand in the result.
IndexList read_indices(Builder& b, const std::vector<Val>& given, const std::function<Expr(std::size_t place)>& count);

/// A new symbol for a size that only data gives, at most `most`.
Expr fresh_symbol(Builder& b, const Expr& most);

}  // namespace reprise::ops
