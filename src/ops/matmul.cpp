// Products of vectors and matrices, and what is made of them.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/contract.h"

namespace reprise::ops {
namespace {

bool is_number(const Expr& e, double value) {
  return (e.as_int() && static_cast<double>(*e.as_int()) == value) || (e.op() == sym::Op::real && e.real_value() == value);
}

/// beta * self + alpha * product. A beta of 0 leaves self out, NaNs and all.
Val add_scaled(Context& c, Val product) {
  Builder& b = c.build();
  const Expr alpha = c.scalar("alpha").value, beta = c.scalar("beta").value;
  const DType t = compute_type(product.dtype());
  const auto scaled = [&](Term x, const Expr& by) { return is_number(by, 1) ? x.as(t) : x.as(t) * x.as(t).of(by); };
  if (is_number(beta, 0))
    return is_number(alpha, 1) ? product
                               : compute(
                                     b, [&](Term x) { return scaled(x, alpha).as(product.dtype()); }, product);
  const Val self = b.cast(c.tensor("self"), product.dtype());
  return compute(
      b, [&](Term x, Term y) { return (scaled(x, beta) + scaled(y, alpha)).as(product.dtype()); }, self, product);
}

/// self + x · y with both factors; fused into the product when they are 1.
void convert_add_product(Context& c, Val x, Val y) {
  if (is_number(c.scalar("alpha").value, 1) && is_number(c.scalar("beta").value, 1) && c.tensor("self").dtype() == x.dtype())
    return c.set(0, c.build().matmul(x, y, c.tensor("self")));
  c.set(0, add_scaled(c, c.build().matmul(x, y)));
}

/// Operands in the dtype that an `out_dtype` overload asks for: the product is then exact in it.
Val in_out_dtype(Context& c, std::string_view name, bool has_dtype) {
  const Val x = c.tensor(name);
  return has_dtype ? c.build().cast(x, c.dtype("out_dtype").value_or(x.dtype())) : x;
}

void add_plain_products(Registry& r) {
  add_rows(r, [](Context& c) { c.set(0, linear(c.build(), c.tensor("input"), c.tensor("weight"), c.tensor_or_none("bias"))); },
           {"aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, matmul(c.build(), c.tensor("self"), c.tensor("other"))); },
           {"aten::matmul(Tensor self, Tensor other) -> Tensor", "aten::linalg_matmul(Tensor self, Tensor other) -> Tensor"});
  for (const bool typed : {false, true}) {
    const auto product = [typed](Context& c) { c.set(0, c.build().matmul(in_out_dtype(c, "self", typed), in_out_dtype(c, "mat2", typed))); };
    const auto addmm = [typed](Context& c) { convert_add_product(c, in_out_dtype(c, "mat1", typed), in_out_dtype(c, "mat2", typed)); };
    const auto baddbmm = [typed](Context& c) { convert_add_product(c, in_out_dtype(c, "batch1", typed), in_out_dtype(c, "batch2", typed)); };
    if (typed) {
      add_rows(r, product,
               {"aten::mm.dtype(Tensor self, Tensor mat2, ScalarType out_dtype) -> Tensor",
                "aten::bmm.dtype(Tensor self, Tensor mat2, ScalarType out_dtype) -> Tensor"});
      add_rows(r, addmm, {"aten::addmm.dtype(Tensor self, Tensor mat1, Tensor mat2, ScalarType out_dtype, *, Scalar beta=1, Scalar alpha=1) -> Tensor"});
      add_rows(r, baddbmm,
               {"aten::baddbmm.dtype(Tensor self, Tensor batch1, Tensor batch2, ScalarType out_dtype, *, Scalar beta=1, Scalar alpha=1) -> Tensor"});
    } else {
      add_rows(r, product, {"aten::mm(Tensor self, Tensor mat2) -> Tensor", "aten::bmm(Tensor self, Tensor mat2) -> Tensor"});
      add_rows(r, addmm, {"aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"});
      add_rows(r, baddbmm, {"aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"});
    }
  }
}

Val outer(Builder& b, Val x, Val y) {
  std::tie(x, y) = promoted(b, x, y);
  return b.binary(ScalarOp::mul, b.unsqueeze(x, 1), b.unsqueeze(y, 0));
}

void convert_inner(Context& c) {
  Builder& b = c.build();
  auto [x, y] = promoted(b, c.tensor("self"), c.tensor("other"));
  if (x.rank() == 0 || y.rank() == 0) return c.set(0, b.binary(ScalarOp::mul, x, y));
  std::vector<int> left(static_cast<std::size_t>(x.rank())), right(static_cast<std::size_t>(y.rank()));
  std::iota(left.begin(), left.end(), 0);
  std::iota(right.begin(), right.end(), x.rank());
  std::vector<int> out(left.begin(), left.end() - 1);
  out.insert(out.end(), right.begin(), right.end() - 1);
  right.back() = left.back();
  c.set(0, contract(b, {{x, left}, {y, right}}, out));
}

void convert_vecdot(Context& c) {
  Builder& b = c.build();
  const auto [x, y] = promoted(b, c.tensor("x"), c.tensor("y"));
  const Val product = b.binary(ScalarOp::mul, x, y);
  c.set(0, sum(b, product, {dim_of(c, "dim", product.rank())}));
}

void add_vector_products(Registry& r) {
  add_rows(r, [](Context& c) { c.set(0, matmul(c.build(), c.tensor("self"), c.tensor("vec"))); }, {"aten::mv(Tensor self, Tensor vec) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, matmul(c.build(), c.tensor("self"), c.tensor("tensor"))); }, {"aten::dot(Tensor self, Tensor tensor) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, matmul(c.build(), c.tensor("self"), c.tensor("other"))); }, {"aten::vdot(Tensor self, Tensor other) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, outer(c.build(), c.tensor("self"), c.tensor("vec2"))); },
           {"aten::outer(Tensor self, Tensor vec2) -> Tensor", "aten::ger(Tensor self, Tensor vec2) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, add_scaled(c, matmul(c.build(), c.tensor("mat"), c.tensor("vec")))); },
           {"aten::addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, add_scaled(c, outer(c.build(), c.tensor("vec1"), c.tensor("vec2")))); },
           {"aten::addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, add_scaled(c, sum(c.build(), c.build().matmul(c.tensor("batch1"), c.tensor("batch2")), {0}))); },
           {"aten::addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"});
  add_rows(r, convert_inner, {"aten::inner(Tensor self, Tensor other) -> Tensor"});
  add_rows(r, convert_vecdot, {"aten::linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor"});
}

// ---- chains and other products ----

void convert_multi_dot(Context& c, std::string_view name) {
  const std::vector<Val> factors = c.tensors(name);
  Val product = factors.at(0);
  for (std::size_t i = 1; i < factors.size(); ++i) product = matmul(c.build(), product, factors[i]);
  c.set(0, product);
}

void convert_matrix_power(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self");
  const std::int64_t n = c.fixed("n");
  REPRISE_CHECK(n >= 0, UnsupportedOp, "[ops/matrix_power] needs a matrix inverse (power {})", n);
  if (n == 0) {
    const Val same = compute(
        b, [&](Term i, Term j) { return equal(i, j).as(x.dtype()); }, positions(b, x.size(-2), 0, 2), positions(b, x.size(-1), 1, 2));
    return c.set(0, b.copy(b.broadcast_to(same, x.sizes())));
  }
  Val square = x, product;
  for (std::int64_t left = n; left > 0; left /= 2) {
    if (left % 2 != 0) product = product.defined() ? b.matmul(product, square) : square;
    if (left > 1) square = b.matmul(square, square);
  }
  c.set(0, n == 1 ? b.copy(product) : product);
}

void convert_kron(Context& c) {
  Builder& b = c.build();
  auto [x, y] = promoted(b, c.tensor("self"), c.tensor("other"));
  const int rank = std::max(x.rank(), y.rank());
  x = lead_to(b, x, rank);
  y = lead_to(b, y, rank);
  Shape sizes;
  for (int d = 0; d < rank; ++d) sizes.push_back(x.size(d) * y.size(d));
  for (int d = rank - 1; d >= 0; --d) {
    x = b.unsqueeze(x, d + 1);
    y = b.unsqueeze(y, d);
  }
  c.set(0, b.reshape(b.binary(ScalarOp::mul, x, y), sizes));
}

Val cross(Builder& b, Val x, Val y, int dim) {
  const auto part = [&](Val v, int i) { return b.slice(v, dim, i % 3, 1); };
  std::vector<Val> rows;
  for (int i = 0; i < 3; ++i)
    rows.push_back(compute(
        b, [](Term p, Term q, Term s, Term t) { return p * q - s * t; }, part(x, i + 1), part(y, i + 2), part(x, i + 2), part(y, i + 1)));
  return b.concat(rows, dim);
}

/// `dim` or, when there is none, the first dimension of size 3.
void convert_cross(Context& c) {
  Builder& b = c.build();
  auto [x, y] = promoted(b, c.tensor("self"), c.tensor("other"));
  const Shape sizes = Builder::broadcast_shapes(x.sizes(), y.sizes());
  x = b.broadcast_to(x, sizes);
  y = b.broadcast_to(y, sizes);
  if (!c.is_none("dim")) return c.set(0, cross(b, x, y, dim_of(c, "dim", x.rank())));
  int dim = 0;
  while (dim < x.rank() && !ir::is_const(x.size(dim), 3)) ++dim;
  REPRISE_CHECK(dim < x.rank(), ShapeError, "[ops/cross] no dimension has the size 3 (got {})", sym::str(x.sizes()));
  c.set(0, cross(b, x, y, dim));
}

void add_chains(Registry& r) {
  add_rows(r, [](Context& c) { convert_multi_dot(c, "tensors"); }, {"aten::linalg_multi_dot(Tensor[] tensors) -> Tensor"});
  add_rows(r, [](Context& c) { convert_multi_dot(c, "matrices"); }, {"aten::chain_matmul(Tensor[] matrices) -> Tensor"});
  add_rows(r, convert_matrix_power, {"aten::matrix_power(Tensor self, int n) -> Tensor", "aten::linalg_matrix_power(Tensor self, int n) -> Tensor"});
  add_rows(r, convert_kron, {"aten::kron(Tensor self, Tensor other) -> Tensor"});
  add_rows(r, convert_cross,
           {"aten::cross(Tensor self, Tensor other, int? dim=None) -> Tensor", "aten::linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor"});
}

// ---- distances ----

/// |x - y|² = |x|² - 2 x·y + |y|² as one product; negative rounding errors are cut off. What PyTorch does for more than 25 points, rounding included.
Val euclidean_by_product(Builder& b, Val x, Val y) {
  const auto squares = [&](Val v) {
    return sum(b,
               compute(
                   b, [](Term a) { return a * a; }, v),
               {v.rank() - 1}, true);
  };
  const auto ones = [&](Val v) { return filled(b, replaced(v.sizes(), v.rank() - 1, 1), 1, v.dtype()); };
  const Val left[] = {compute(
                          b, [](Term a) { return a * -2.0; }, x),
                      squares(x), ones(x)},
            right[] = {y, ones(y), squares(y)};
  const Val product = b.matmul(b.concat(left, x.rank() - 1), b.transpose(b.concat(right, y.rank() - 1), -2, -1));
  return compute(
      b, [](Term a) { return sqrt(max(a, 0)); }, product);
}

void convert_cdist(Context& c) {
  Builder& b = c.build();
  Val x = c.tensor("x1"), y = c.tensor("x2");
  const int rank = std::max(x.rank(), y.rank());
  const double p = c.real("p");
  const std::int64_t mode = c.is_none("compute_mode") ? 0 : c.fixed("compute_mode");
  const auto large = [](const Expr& e) { return e.as_int().value_or(0) > 25; };
  if (p == 2 && (mode == 1 || (mode == 0 && (large(x.size(-2)) || large(y.size(-2)))))) {
    const Shape batch = Builder::broadcast_shapes({x.sizes().begin(), x.sizes().end() - 2}, {y.sizes().begin(), y.sizes().end() - 2});
    const auto spread = [&](Val v) {
      Shape sizes = batch;
      sizes.insert(sizes.end(), v.sizes().end() - 2, v.sizes().end());
      return b.broadcast_to(v, sizes);
    };
    return c.set(0, euclidean_by_product(b, spread(x), spread(y)));
  }
  x = b.unsqueeze(lead_to(b, x, rank), rank - 1);
  y = b.unsqueeze(lead_to(b, y, rank), rank - 2);
  c.set(0, p_norm(b, b.binary(ScalarOp::sub, x, y), p, {rank}, false));
}

void convert_cosine_similarity(Context& c) {
  Builder& b = c.build();
  const auto [x, y] = promoted(b, c.tensor("x1"), c.tensor("x2"));
  const Shape sizes = Builder::broadcast_shapes(x.sizes(), y.sizes());
  const int dim = dim_of(c, "dim", static_cast<int>(sizes.size()));
  const double eps = c.real("eps");
  // Norms and quotients are rounded as PyTorch rounds them: nearly orthogonal vectors leave little else of the sum.
  const auto divide = [eps, narrow = x.dtype(), wide = compute_type(x.dtype())](Term a, Term n) {
    const Term length = max(n.as(wide), eps).as(narrow);
    return (a.as(wide) / length.as(wide)).as(narrow);
  };
  const auto normalized = [&](Val v) { return compute(b, divide, v, p_norm(b, v, 2, {dim}, true)); };
  c.set(0, sum(b, b.binary(ScalarOp::mul, normalized(b.broadcast_to(x, sizes)), normalized(b.broadcast_to(y, sizes))), {dim}));
}

void add_distances(Registry& r) {
  add_rows(r, convert_cdist,
           {"aten::cdist(Tensor x1, Tensor x2, float p=2., int? compute_mode=None) -> Tensor",
            "aten::_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor"});
  add_rows(r, convert_cosine_similarity, {"aten::cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor"});
}

}  // namespace

void add_matmul(Registry& r) {
  add_einsum(r);
  add_plain_products(r);
  add_vector_products(r);
  add_chains(r);
  add_distances(r);
}

}  // namespace reprise::ops
