// Products of vectors and matrices, and what is made of them.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/contract.h"

namespace reprise::ops {
namespace {

using ir::ReduceKind;

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

// ---- einsum ----

constexpr int kEllipsis = -1;           // stands for "..." in a parsed term
constexpr int kFirstEllipsisDim = 256;  // labels of the dimensions that "..." covers, after all letters

std::vector<int> parse_term(std::string_view text) {
  std::vector<int> labels;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text.substr(i, 3) == "...") {
      labels.push_back(kEllipsis);
      i += 2;
    } else {
      REPRISE_CHECK(std::isalpha(static_cast<unsigned char>(text[i])), InvalidArgument, "[ops/einsum] '{}' is not a label", text[i]);
      labels.push_back(text[i]);
    }
  }
  return labels;
}

std::vector<std::vector<int>> parse_terms(std::string_view text) {
  std::vector<std::vector<int>> out;
  for (std::size_t at = 0; at != std::string_view::npos;) {
    const auto comma = text.find(',', at);
    out.push_back(parse_term(text.substr(at, comma - at)));
    at = comma == std::string_view::npos ? comma : comma + 1;
  }
  return out;
}

/// "..." replaced by the last `count` of `total` labels: ellipses align at their right end.
std::vector<int> expand_ellipsis(const std::vector<int>& labels, int count, int total) {
  std::vector<int> out;
  for (int l : labels) {
    if (l != kEllipsis) out.push_back(l);
    if (l == kEllipsis)
      for (int i = total - count; i < total; ++i) out.push_back(kFirstEllipsisDim + i);
  }
  return out;
}

/// Letters that stand once in all the terms, in alphabetical order, after the ellipsis.
std::vector<int> implicit_output(const std::vector<std::vector<int>>& terms) {
  std::map<int, int> times;
  for (const auto& term : terms)
    for (int l : term) ++times[l];
  std::vector<int> out;
  for (const auto& [label, n] : times)
    if (n == 1 || label == kEllipsis) out.push_back(label);
  return out;
}

/// Takes the diagonal of dimensions that share a label.
Labelled with_diagonals(Builder& b, Val x, std::vector<int> labels) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::size_t j = i + 1; j < labels.size();) {
      if (labels[j] != labels[i]) {
        ++j;
        continue;
      }
      const int label = labels[i];
      x = move_dim(b, b.diagonal(x, 0, static_cast<int>(i), static_cast<int>(j)), x.rank() - 2, static_cast<int>(i));
      labels.erase(labels.begin() + static_cast<std::ptrdiff_t>(j));
      labels[i] = label;
    }
  return {x, labels};
}

void convert_einsum(Context& c) {
  Builder& b = c.build();
  const std::string equation = c.text("equation");
  const auto arrow = equation.find("->");
  const auto terms = parse_terms(std::string_view(equation).substr(0, arrow));
  const std::vector<Val> tensors = c.tensors("tensors");
  REPRISE_CHECK(terms.size() == tensors.size(), InvalidArgument, "[ops/einsum] wrong number of operands (got {}, want {})", tensors.size(), terms.size());

  std::vector<int> covered;  // how many dimensions each "..." stands for
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const bool has = std::count(terms[i].begin(), terms[i].end(), kEllipsis) > 0;
    covered.push_back(has ? tensors[i].rank() - static_cast<int>(terms[i].size()) + 1 : 0);
  }
  const int total = *std::max_element(covered.begin(), covered.end());
  std::vector<Labelled> operands;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const auto labels = expand_ellipsis(terms[i], covered[i], total);
    REPRISE_CHECK(static_cast<int>(labels.size()) == tensors[i].rank(), ShapeError, "[ops/einsum] operand {} has another rank than '{}' says (got {})", i,
                  equation, tensors[i].rank());
    operands.push_back(with_diagonals(b, tensors[i], labels));
  }
  const auto output = arrow == std::string::npos ? implicit_output(terms) : parse_term(std::string_view(equation).substr(arrow + 2));
  c.set(0, contract(b, std::move(operands), expand_ellipsis(output, total, total)));
}

// ---- other contractions ----

void convert_tensordot(Context& c) {
  const Val x = c.tensor("self"), y = c.tensor("other");
  const auto dims_x = c.fixed_ints("dims_self"), dims_y = c.fixed_ints("dims_other");
  std::vector<int> left(static_cast<std::size_t>(x.rank())), right(static_cast<std::size_t>(y.rank()));
  std::iota(left.begin(), left.end(), 0);
  std::iota(right.begin(), right.end(), x.rank());
  std::vector<int> out = left;
  out.insert(out.end(), right.begin(), right.end());
  for (std::size_t i = 0; i < dims_x.size(); ++i) {
    const int dx = ir::wrap_dim(static_cast<int>(dims_x[i]), x.rank(), "tensordot"), dy = ir::wrap_dim(static_cast<int>(dims_y[i]), y.rank(), "tensordot");
    std::erase(out, right[static_cast<std::size_t>(dy)]);
    std::erase(out, dx);
    right[static_cast<std::size_t>(dy)] = dx;
  }
  c.set(0, contract(c.build(), {{x, left}, {y, right}}, out));
}

void convert_bilinear(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("input1"), y = c.tensor("input2"), w = c.tensor("weight"), bias = c.tensor_or_none("bias");
  const int batch = x.rank() - 1, i = batch, j = batch + 1, o = batch + 2;
  std::vector<int> left(static_cast<std::size_t>(batch));
  std::iota(left.begin(), left.end(), 0);
  std::vector<int> right = left, out = left;
  left.push_back(i);
  right.push_back(j);
  out.push_back(o);
  const Val product = contract(b, {{x, left}, {w, {o, i, j}}, {y, right}}, out);
  c.set(0, bias.defined() ? b.binary(ScalarOp::add, product, bias) : product);
}

/// The dimensions of x among those of the common space: `absent` are the ones that x lacks.
Labelled placed(Val x, const std::vector<std::int64_t>& absent) {
  Labelled out{x, {}};
  for (int d = 0; static_cast<int>(out.labels.size()) < x.rank(); ++d)
    if (std::find(absent.begin(), absent.end(), d) == absent.end()) out.labels.push_back(d);
  return out;
}

void convert_trilinear(Context& c) {
  const auto summed = c.fixed_ints("sumdim"), absent = c.fixed_ints("expand1");
  const int rank = c.tensor("i1").rank() + static_cast<int>(absent.size());
  std::vector<int> out;
  for (int d = 0; d < rank; ++d)
    if (std::find(summed.begin(), summed.end(), d) == summed.end()) out.push_back(d);
  c.set(0, contract(c.build(),
                    {placed(c.tensor("i1"), absent), placed(c.tensor("i2"), c.fixed_ints("expand2")), placed(c.tensor("i3"), c.fixed_ints("expand3"))}, out));
}

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

void add_contractions(Registry& r) {
  add_rows(r, convert_einsum, {"aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor"});
  add_rows(r, convert_tensordot, {"aten::tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor"});
  add_rows(r, convert_bilinear, {"aten::bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor"});
  add_rows(r, convert_trilinear,
           {"aten::_trilinear(Tensor i1, Tensor i2, Tensor i3, int[] expand1, int[] expand2, int[] expand3, int[] sumdim, int unroll_dim=1) -> Tensor"});
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
  const auto normalized = [&](Val v) {
    return compute(
        b, [eps](Term a, Term n) { return a / max(n, eps); }, v, p_norm(b, v, 2, {dim}, true));
  };
  c.set(0, sum(b, b.binary(ScalarOp::mul, normalized(b.broadcast_to(x, sizes)), normalized(b.broadcast_to(y, sizes))), {dim}));
}

void convert_pairwise_distance(Context& c) {
  Builder& b = c.build();
  const auto [x, y] = promoted(b, c.tensor("x1"), c.tensor("x2"));
  const double eps = c.real("eps");
  const Val apart = compute(
      b, [eps](Term p, Term q) { return p - q + eps; }, x, y);
  c.set(0, p_norm(b, apart, c.real("p"), {apart.rank() - 1}, c.flag("keepdim")));
}

void add_distances(Registry& r) {
  add_rows(r, convert_cdist,
           {"aten::cdist(Tensor x1, Tensor x2, float p=2., int? compute_mode=None) -> Tensor",
            "aten::_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor"});
  add_rows(r, convert_cosine_similarity, {"aten::cosine_similarity(Tensor x1, Tensor x2, int dim=1, float eps=1e-08) -> Tensor"});
  add_rows(r, convert_pairwise_distance,
           {"aten::pairwise_distance(Tensor x1, Tensor x2, float p=2., float eps=9.9999999999999995e-07, bool keepdim=False) -> Tensor"});
}

}  // namespace

void add_matmul(Registry& r) {
  add_plain_products(r);
  add_vector_products(r);
  add_contractions(r);
  add_distances(r);
}

}  // namespace reprise::ops
