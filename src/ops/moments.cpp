// Mean, variance, deviation and norms.
#include <cmath>

#include "base/check.h"
#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using ir::ReduceKind;

/// The sum over `axes` divided by a count, in the type of x.
Val average(Builder& b, Val x, const std::vector<int>& axes, bool keepdim, const Expr& count) {
  return compute(
      b, [&](Term total) { return total / total.of(count); }, b.reduce(ReduceKind::sum, x, axes, keepdim, x.dtype()));
}

Val mean(Builder& b, Val x, const std::vector<int>& axes, bool keepdim) { return average(b, x, axes, keepdim, count_along(x, axes)); }

void convert_mean(Context& c, const std::vector<int>& axes, bool keepdim) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const DType dtype = c.dtype("dtype").value_or(self.dtype());
  REPRISE_CHECK(is_floating(dtype), InvalidArgument, "[ops/mean] the mean of integers needs a dtype (got {}, want a floating one)", name(dtype));
  c.set(0, b.cast(mean(b, b.cast(self, compute_type(dtype)), axes, keepdim), dtype));
}

struct Moments {
  Val var, mean;
};

/// In two passes. `correction` is taken off the count of elements, which never gets below 0.
Moments moments(Builder& b, Val x, const std::vector<int>& axes, bool keepdim, const Number& correction) {
  const Val center = mean(b, x, axes, true);
  const Val squares = compute(
      b, [](Term a, Term m) { return (a - m) * (a - m); }, x, center);
  const Val total = b.reduce(ReduceKind::sum, squares, axes, keepdim, x.dtype());
  const Expr n = count_along(x, axes);
  const Val var = compute(
      b, [&](Term s) { return s / max(s.of(n) - s.of(correction.value), 0); }, total);
  return {var, b.reshape(center, var.sizes())};
}

/// Outputs var or std, then the mean where the op has it.
void convert_moments(Context& c, const std::vector<int>& axes, bool keepdim, const Number& correction, bool root, bool with_mean) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  REPRISE_CHECK(is_floating(self.dtype()), InvalidArgument, "[ops/var] wants a floating tensor (got {})", name(self.dtype()));
  const Moments m = moments(b, b.cast(self, compute_type(self.dtype())), axes, keepdim, correction);
  c.set(0, b.cast(root ? b.unary(ScalarOp::sqrt, m.var) : m.var, self.dtype()));
  if (with_mean) c.set(1, b.cast(m.mean, self.dtype()));
}

Number unbiased(Context& c) { return {Number::Kind::integer, c.flag("unbiased") ? 1 : 0}; }

void add_variances(Registry& r) {
  for (const bool root : {false, true})
    for (const bool with_mean : {false, true}) {
      const std::string name = std::string("aten::") + (root ? "std" : "var") + (with_mean ? "_mean" : "");
      add_rows(r, {name + "(Tensor self, bool unbiased=True)"}, [=](Context& c) { convert_moments(c, {}, false, unbiased(c), root, with_mean); });
      add_rows(r, {name + ".dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False)"},
               [=](Context& c) { convert_moments(c, axes_of(c, "dim", c.tensor("self").rank()), c.flag("keepdim"), unbiased(c), root, with_mean); });
      add_rows(r, {name + ".correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False)"}, [=](Context& c) {
        const Number correction = c.is_none("correction") ? Number{Number::Kind::integer, 1} : c.scalar("correction");
        convert_moments(c, axes_of(c, "dim", c.tensor("self").rank()), c.flag("keepdim"), correction, root, with_mean);
      });
    }
}

// ---- norms ----

double order(Context& c, std::string_view name, double fallback) { return c.is_none(name) ? fallback : c.real(name); }

/// `f` of self in the dtype that is asked for, computed in f32 or better.
void convert_norm(Context& c, bool has_dtype, const std::function<Val(Builder&, Val)>& f) {
  const Val self = c.tensor("self");
  const DType dtype = to_float(has_dtype ? c.dtype("dtype").value_or(self.dtype()) : self.dtype());
  c.set(0, c.build().cast(f(c.build(), c.build().cast(self, compute_type(dtype))), dtype));
}

void convert_vector_norm(Context& c, double p, bool has_dim, bool has_dtype) {
  const auto axes = has_dim ? axes_of(c, "dim", c.tensor("self").rank()) : std::vector<int>{};
  convert_norm(c, has_dtype, [&](Builder& b, Val x) { return p_norm(b, x, p, axes, has_dim && c.flag("keepdim")); });
}

/// Norms of matrices that are sums and extrema; the others need singular values.
Val matrix_norm(Context& c, Val x, double p, int row, int column, bool keepdim) {
  Builder& b = c.build();
  REPRISE_CHECK(std::abs(p) == 1 || std::isinf(p), UnsupportedOp, "[ops/{}] the matrix norm of order {} needs singular values", c.node().target, p);
  if (std::isinf(p)) std::swap(row, column);
  const Val totals = b.reduce(ReduceKind::sum, b.unary(ScalarOp::abs, x), {row}, true, x.dtype());
  const Val top = b.reduce(p > 0 ? ReduceKind::max : ReduceKind::min, totals, {column}, true, x.dtype());
  if (keepdim) return top;
  return b.reshape(top, without(without(x.sizes(), std::max(row, column)), std::min(row, column)));
}

/// linalg.norm: a vector's over one dimension or all, a matrix's over two.
void convert_linalg_norm(Context& c) {
  const Val self = c.tensor("self");
  auto axes = axes_of(c, "dim", self.rank());
  const bool keepdim = c.flag("keepdim");
  if (axes.empty() && !c.is_none("ord") && self.rank() == 2) axes = {0, 1};
  convert_norm(c, true, [&](Builder& b, Val x) {
    if (c.is_none("ord") || axes.size() != 2) return p_norm(b, x, order(c, "ord", 2), axes, keepdim);
    return matrix_norm(c, x, c.real("ord"), axes[0], axes[1], keepdim);
  });
}

void convert_matrix_norm(Context& c) {
  const auto axes = axes_of(c, "dim", c.tensor("self").rank());
  convert_norm(c, true, [&](Builder&, Val x) { return matrix_norm(c, x, c.real("ord"), axes.at(0), axes.at(1), c.flag("keepdim")); });
}

/// The name of a matrix norm: Frobenius is the vector's 2-norm over both dimensions.
void convert_named_norm(Context& c) {
  REPRISE_CHECK(c.text("ord") == "fro", UnsupportedOp, "[ops/{}] the norm '{}' needs singular values", c.node().target, c.text("ord"));
  convert_vector_norm(c, 2, true, true);
}

/// Slices along `dim` whose norm is above `maxnorm` are scaled down to it.
void convert_renorm(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self"), x = b.cast(self, compute_type(self.dtype()));
  const int dim = dim_of(c, "dim", self.rank());
  std::vector<int> axes;
  for (int i = 0; i < x.rank(); ++i)
    if (i != dim) axes.push_back(i);
  const Val norm = p_norm(b, x, c.real("p"), axes, true);
  const double bound = c.real("maxnorm");
  c.set(0, compute(
               b, [&](Term a, Term n) { return (a * (n > bound).pick(bound / (n + 1e-7), n.of(1))).as(self.dtype()); }, x, norm));
}

void add_norms_of_tensors(Registry& r) {
  const std::string dim = ", int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None)",
                    dims = ", int[] dim=[-2, -1], bool keepdim=False, *, ScalarType? dtype=None)";
  add_rows(r, {"aten::linalg_vector_norm(Tensor self, Scalar ord=2" + dim}, [](Context& c) { convert_vector_norm(c, c.real("ord"), true, true); });
  add_rows(r, {"aten::norm.Scalar(Tensor self, Scalar p=2)"}, [](Context& c) { convert_vector_norm(c, c.real("p"), false, false); });
  add_rows(r, {"aten::norm.ScalarOpt_dim(Tensor self, Scalar? p, int[1] dim, bool keepdim=False)"},
           [](Context& c) { convert_vector_norm(c, order(c, "p", 2), true, false); });
  add_rows(r, {"aten::norm.ScalarOpt_dim_dtype(Tensor self, Scalar? p, int[1] dim, bool keepdim, *, ScalarType dtype)"},
           [](Context& c) { convert_vector_norm(c, order(c, "p", 2), true, true); });
  add_rows(r, {"aten::norm.ScalarOpt_dtype(Tensor self, Scalar? p, *, ScalarType dtype)"},
           [](Context& c) { convert_vector_norm(c, order(c, "p", 2), false, true); });
  add_rows(r, {"aten::frobenius_norm.dim(Tensor self, int[1] dim, bool keepdim=False)"}, [](Context& c) { convert_vector_norm(c, 2, true, false); });
  add_rows(r, {"aten::linalg_norm(Tensor self, Scalar? ord=None" + dim}, convert_linalg_norm);
  add_rows(r, {"aten::linalg_norm.ord_str(Tensor self, str ord" + dim, "aten::linalg_matrix_norm.str_ord(Tensor self, str ord='fro'" + dims},
           convert_named_norm);
  add_rows(r, {"aten::linalg_matrix_norm(Tensor self, Scalar ord" + dims}, convert_matrix_norm);
  add_rows(r, {"aten::renorm(Tensor self, Scalar p, int dim, Scalar maxnorm)"}, convert_renorm);
  add_rows(r, {"aten::dist(Tensor self, Tensor other, Scalar p=2)"}, [](Context& c) {
    const Val difference = pointwise(c, {"self", "other"}, Typing::real, [](Context&, std::span<const Term> x) { return x[0] - x[1]; });
    c.set(0, c.build().cast(p_norm(c.build(), c.build().cast(difference, compute_type(difference.dtype())), c.real("p"), {}, false), difference.dtype()));
  });
}

}  // namespace

void add_moments(Registry& r) {
  add_rows(r, {"aten::mean(Tensor self, *, ScalarType? dtype=None)"}, [](Context& c) { convert_mean(c, {}, false); });
  add_rows(r, {"aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None)"},
           [](Context& c) { convert_mean(c, axes_of(c, "dim", c.tensor("self").rank()), c.flag("keepdim")); });
  add_variances(r);
  add_norms_of_tensors(r);
}

}  // namespace reprise::ops
