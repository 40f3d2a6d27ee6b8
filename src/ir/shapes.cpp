#include "ir/shapes.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::ir {

int wrap_dim(int dim, int rank, std::string_view where) {
  const int n = std::max(rank, 1);
  REPRISE_CHECK(dim >= -n && dim < n, InvalidArgument, "[ir/{}] dimension is out of range (got {}, want {} to {})", where, dim, -n, n - 1);
  return dim < 0 ? dim + n : dim;
}

bool is_const(const sym::Expr& e, std::int64_t value) { return e.as_int() == value; }

bool differ(const sym::Expr& a, const sym::Expr& b) { return a.as_int() && b.as_int() && *a.as_int() != *b.as_int(); }

bool differ(std::span<const sym::Expr> a, std::span<const sym::Expr> b) {
  return !std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) { return !differ(x, y); });
}

sym::Expr unify(const sym::Expr& a, const sym::Expr& b, std::string_view where) {
  REPRISE_CHECK(!differ(a, b), ShapeError, "[ir/{}] sizes differ (got {} and {})", where, a.str(), b.str());
  return b.as_int() ? b : a;
}

}  // namespace reprise::ir
