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

namespace {

/// The span of a window.
sym::Expr reach(const sym::Expr& kernel, const sym::Expr& dilation) { return dilation * (kernel - 1) + 1; }

}  // namespace

sym::Expr window_count(const sym::Expr& size, const sym::Expr& kernel, const sym::Expr& stride, const sym::Expr& padding, const sym::Expr& dilation,
                       bool ceil_mode) {
  const sym::Expr room = size + 2 * padding - reach(kernel, dilation);
  if (!ceil_mode) return sym::floor_div(room, stride) + 1;
  const sym::Expr n = sym::floor_div(room + stride - 1, stride) + 1;
  // A last window that would start beyond the input and its left padding is dropped.
  return sym::where(sym::compare(sym::Op::ge, (n - 1) * stride, size + padding), n - 1, n);
}

sym::Expr transposed_size(const sym::Expr& size, const sym::Expr& kernel, const sym::Expr& stride, const sym::Expr& padding, const sym::Expr& dilation,
                          const sym::Expr& output_padding) {
  return (size - 1) * stride - 2 * padding + reach(kernel, dilation) + output_padding;
}

}  // namespace reprise::ir
