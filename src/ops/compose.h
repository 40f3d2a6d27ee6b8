// Compositions over the builder that several op families share.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "ops/converter.h"
#include "ops/term.h"

namespace reprise::ops {

using sym::Expr;
using sym::Shape;

/// Adds one row per schema, all with the same converter.
void add_rows(Registry& r, const Convert& convert, std::initializer_list<const char*> schemas);

/// A `dim` argument from the front; rank 0 counts as 1.
int dim_of(Context& c, std::string_view name, int rank);
/// Every value of an int[] argument, one value repeated for all `n` (as `int[2] kernel` accepts 3).
Shape expand_ints(const Shape& values, std::size_t n, std::string_view what);

/// A rank-0 tensor seen as [1]; others as they are.
Val at_least_1d(Builder& b, Val x);
/// Leading dimensions of 1 until the rank is `rank`.
Val lead_to(Builder& b, Val x, int rank);
/// x[n] (rank 1) as [1, …, n, …, 1] with n at `dim` of `rank`.
Val along(Builder& b, Val x, int dim, int rank);
/// 0, 1, … n-1 along `dim` of a shape of ones.
Val positions(Builder& b, const Expr& n, int dim, int rank, DType dtype = DType::i64);
/// A tensor of one value without memory of its own: a scalar expanded.
Val filled(Builder& b, const Shape& sizes, const Expr& value, DType dtype);
/// The dimension moved to another place.
Val move_dim(Builder& b, Val x, int from, int to);
/// x[…, a:b, …] for 0 <= a <= b <= size.
Val range(Builder& b, Val x, int dim, const Expr& begin, const Expr& end);

Val sum(Builder& b, Val x, std::vector<int> axes, bool keepdim = false);
/// The p-norm along `axes` (p: 0 counts, infinities take the extremum).
Val p_norm(Builder& b, Val x, double p, std::vector<int> axes, bool keepdim);
/// The sizes of x without `dim` / with another size there.
Shape without(const Shape& sizes, int dim);
Shape replaced(Shape sizes, int dim, Expr size);

/// Python's slice bounds on a dimension of `size`: negative counts from the end, then clamped to [0, size].
Expr clamp_bound(const Expr& bound, const Expr& size, const sym::SymbolTable& symbols);
/// A (maybe negative) position made non-negative.
Expr wrap_index(const Expr& index, const Expr& size, const sym::SymbolTable& symbols);

/// Both in the dtype that PyTorch's promotion gives them.
std::pair<Val, Val> promoted(Builder& b, Val x, Val y);
/// An exporter's output that only training reads: zeros of the size and dtype that it says. Nothing when it says nothing.
void set_unused(Context& c, int output);

/// A condition that calls must fulfil, as a tensor check. Nothing when the sizes of inputs prove it.
void check_expression(Context& c, const Expr& condition, const std::string& message);

}  // namespace reprise::ops
