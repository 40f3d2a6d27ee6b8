// Small rules about sizes and dimensions that the builder, the verifier and the driver share.
#pragma once

#include <string_view>

#include "sym/expr.h"

namespace reprise::ir {

/// `dim` counted from the front; a rank of 0 counts as 1, as in PyTorch. Throws InvalidArgument when it lies outside.
int wrap_dim(int dim, int rank, std::string_view where);

/// Constant and equal to `value`.
bool is_const(const sym::Expr& e, std::int64_t value);
/// Both are constants, and they differ: the only case in which two sizes are known to disagree.
bool differ(const sym::Expr& a, const sym::Expr& b);
bool differ(std::span<const sym::Expr> a, std::span<const sym::Expr> b);  // ranks count too

/// The size that both stand for; a constant is preferred. Throws ShapeError when they differ.
sym::Expr unify(const sym::Expr& a, const sym::Expr& b, std::string_view where);

/// How many windows fit: PyTorch's pooling_output_shape; `ceil_mode` also counts a last window that does not fit whole.
sym::Expr window_count(const sym::Expr& size, const sym::Expr& kernel, const sym::Expr& stride, const sym::Expr& padding, const sym::Expr& dilation,
                       bool ceil_mode);
/// Output size of a transposed convolution.
sym::Expr transposed_size(const sym::Expr& size, const sym::Expr& kernel, const sym::Expr& stride, const sym::Expr& padding, const sym::Expr& dilation,
                          const sym::Expr& output_padding);

}  // namespace reprise::ir
