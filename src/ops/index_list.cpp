#include "ops/index_list.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::ops {

bool is_mask(Val index) { return index.dtype() == DType::boolean || index.dtype() == DType::u8; }

IndexList read_indices(Builder& b, const std::vector<Val>& given, const std::function<Expr(std::size_t)>& count) {
  IndexList out;
  int rank = 0, next = 0;  // of the index dimensions; the next dimension of x
  for (const Val& i : given) {
    if (!i.defined()) {
      ++next;
      continue;
    }
    const int covers = is_mask(i) ? i.rank() : 1;
    REPRISE_CHECK(covers > 0, UnsupportedOp, "[ops/index] a mask without dimensions is not an index here");
    rank = std::max(rank, is_mask(i) ? 1 : i.rank());
    for (int d = 0; d < covers; ++d) out.axes.push_back(next++);
  }
  const bool together = out.axes.empty() || out.axes.back() - out.axes.front() + 1 == static_cast<int>(out.axes.size());
  out.position = together && !out.axes.empty() ? out.axes.front() : 0;
  for (const Val& i : given) {
    if (!i.defined()) continue;
    if (!is_mask(i)) {
      out.indices.push_back(i);
      continue;
    }
    const Val places = b.nonzero(b.cast(i, DType::boolean), count(static_cast<std::size_t>(out.position + rank - 1)));
    for (int d = 0; d < i.rank(); ++d) out.indices.push_back(b.select(places, 1, d));
  }
  return out;
}

Expr fresh_symbol(Builder& b, const Expr& most) {
  auto& symbols = b.graph().symbols;
  std::string name;
  for (int i = 0; symbols.find(name = "n" + std::to_string(i)) >= 0;) ++i;
  symbols.add({.name = name, .range = {0, sym::bounds(most, symbols).max}, .unbacked = true, .hint = std::nullopt});
  return Expr::symbol(name);
}

}  // namespace reprise::ops
