// How tensors lie in memory, where sizes may be symbols.
#pragma once

#include <cstddef>

#include "sym/expr.h"

namespace reprise::sym {

/// Elements of the same index are as far from the first one. A dimension of size 1 may have any stride.
inline bool same_layout(const Shape& sizes, const Shape& strides, const Shape& other_sizes, const Shape& other_strides) {
  if (!equal(sizes, other_sizes)) return false;
  for (std::size_t d = 0; d < sizes.size(); ++d)
    if (!(sizes[d] == Expr(1)) && !(strides[d] == other_strides[d])) return false;
  return true;
}

}  // namespace reprise::sym
