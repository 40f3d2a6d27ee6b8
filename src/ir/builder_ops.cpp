// Reductions, scans, softmax, norms, attention and matmul.
#include <algorithm>
#include <array>
#include <numeric>
#include <set>

#include "base/check.h"
#include "ir/builder.h"
#include "ir/shapes.h"

namespace reprise::ir {
namespace {

std::string text(ReduceKind kind) {
  constexpr std::array kNames = {"sum", "prod", "max", "min", "any", "all", "argmax", "argmin"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string text(ScanKind kind) {
  constexpr std::array kNames = {"sum", "prod", "max", "min", "logsumexp"};
  return kNames.at(static_cast<std::size_t>(kind));
}

bool finds_position(ReduceKind kind) { return kind == ReduceKind::argmax || kind == ReduceKind::argmin; }

/// Sorted, counted from the front; none means all.
std::vector<int> reduced_axes(std::vector<int> axes, int rank) {
  std::set<int> out;
  for (int axis : axes) REPRISE_CHECK(out.insert(wrap_dim(axis, rank, "reduce")).second, InvalidArgument, "[ir/reduce] axis {} is named twice", axis);
  if (axes.empty())
    for (int i = 0; i < std::max(rank, 1); ++i) out.insert(i);
  return {out.begin(), out.end()};
}

/// The dtype that `kind` works in and gives, for an input of `from` and a wanted result of `to`.
DType reduce_type(ReduceKind kind, DType from, DType to) {
  if (kind == ReduceKind::any || kind == ReduceKind::all) return DType::boolean;
  return kind == ReduceKind::sum || kind == ReduceKind::prod ? to : from;
}

/// The first `n` sizes kept, the rest 1.
sym::Shape leading(sym::Shape sizes, std::size_t n) {
  std::fill(sizes.begin() + static_cast<std::ptrdiff_t>(n), sizes.end(), sym::Expr(1));
  return sizes;
}

DType stats_type(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

sym::Shape front(const sym::Shape& sizes, int drop) { return {sizes.begin(), sizes.end() - drop}; }

sym::Shape joined(sym::Shape batch, std::initializer_list<sym::Expr> rest) {
  batch.insert(batch.end(), rest);
  return batch;
}

}  // namespace

Val Builder::reduce(ReduceKind kind, Val x, std::vector<int> axes, bool keepdim, DType dtype) {
  const bool flat = finds_position(kind) && axes.empty();
  sym::Shape kept = x.sizes(), dropped;
  const auto wrapped = reduced_axes(std::move(axes), x.rank());
  for (int i = 0; i < x.rank(); ++i) {
    if (!std::binary_search(wrapped.begin(), wrapped.end(), i)) {
      dropped.push_back(kept[static_cast<std::size_t>(i)]);
      continue;
    }
    kept[static_cast<std::size_t>(i)] = 1;
  }
  if (flat || x.rank() == 0) x = reshape(x, {x.numel()});
  const auto core_axes = flat ? std::vector<std::int64_t>{0} : std::vector<std::int64_t>(wrapped.begin(), wrapped.end());
  REPRISE_CHECK(!finds_position(kind) || core_axes.size() == 1, InvalidArgument, "[ir/reduce] {} works along one axis (got {})", text(kind), core_axes.size());

  x = cast(x, reduce_type(kind, x.dtype(), dtype));
  sym::Shape out_sizes = x.sizes();
  for (auto axis : core_axes) out_sizes[static_cast<std::size_t>(axis)] = 1;
  const Val y = emit(core::Op::reduce, std::span(&x, 1), finds_position(kind) ? DType::i64 : x.dtype(), std::move(out_sizes),
                     {{"kind", text(kind)}, {"axes", core::exprs(core_axes)}});
  return cast(reshape(y, keepdim ? std::move(kept) : std::move(dropped)), dtype);
}

Val Builder::scan(ScanKind kind, Val x, int axis, DType dtype) {
  const int a = wrap_dim(axis, x.rank(), "scan");
  const sym::Shape sizes = x.sizes();
  x = cast(x, dtype);
  if (x.rank() == 0) x = reshape(x, {1});
  const Val y = emit(core::Op::scan, std::span(&x, 1), dtype, x.sizes(), {{"kind", text(kind)}, {"axis", a}});
  return reshape(y, sizes);
}

std::pair<Val, Val> Builder::scan_with_indices(ScanKind kind, Val x, int axis) {
  REPRISE_CHECK(kind == ScanKind::max || kind == ScanKind::min, InvalidArgument, "[ir/scan] {} has no indices", text(kind));
  const int a = wrap_dim(axis, x.rank(), "scan");
  const sym::Shape sizes = x.sizes();
  if (x.rank() == 0) x = reshape(x, {1});
  const Val y = new_root(x.dtype(), x.sizes()), indices = new_root(DType::i64, x.sizes());
  append(core::Op::scan, {x.id()}, {y.id(), indices.id()}, {{"kind", text(kind)}, {"axis", a}});
  return {reshape(y, sizes), reshape(indices, sizes)};
}

Val Builder::softmax(Val x, int axis, bool log, DType dtype) {
  const int a = wrap_dim(axis, x.rank(), "softmax");
  const sym::Shape sizes = x.sizes();
  x = cast(x, dtype);
  if (x.rank() == 0) x = reshape(x, {1});
  const Val y = emit(core::Op::softmax, std::span(&x, 1), dtype, x.sizes(), {{"axis", a}, {"log", log}});
  return reshape(y, sizes);
}

// ---- norms ----

Val Builder::norm_operand(Val weight, DType dtype, sym::Shape sizes) {
  if (!weight.defined()) return weight;
  return with_sizes(cast(weight, dtype), std::move(sizes));
}

Builder::NormResult Builder::norm(core::Attrs attrs, Val x, Val weight, Val bias, sym::Shape stats_sizes, int stats) {
  attrs.set("has_weight", weight.defined());
  if (attrs.text("kind") != "rms") attrs.set("has_bias", bias.defined());
  std::vector<Val> out = {new_root(x.dtype(), x.sizes())};
  for (int i = 0; i < stats; ++i) out.push_back(new_root(stats_type(x.dtype()), stats_sizes));
  const Val operands[] = {x, weight, bias};
  append(core::Op::norm, ids(operands), ids(out), std::move(attrs));
  out.resize(3);
  return stats == 1 ? NormResult{out[0], {}, out[1]} : NormResult{out[0], out[1], out[2]};
}

Builder::NormResult Builder::layer_norm(Val x, int dims, Val weight, Val bias, double eps, bool stats) {
  REPRISE_CHECK(dims >= 1 && dims <= x.rank(), InvalidArgument, "[ir/norm] wrong number of normalized dimensions (got {}, want 1 to {})", dims, x.rank());
  const sym::Shape trailing(x.sizes().end() - dims, x.sizes().end());
  const auto stats_sizes = leading(x.sizes(), static_cast<std::size_t>(x.rank() - dims));
  return norm({{"kind", "layer"}, {"dims", dims}, {"eps", eps}}, x, norm_operand(weight, x.dtype(), trailing), norm_operand(bias, x.dtype(), trailing),
              stats_sizes, stats ? 2 : 0);
}

Builder::NormResult Builder::group_norm(Val x, std::int64_t groups, Val weight, Val bias, double eps, bool stats) {
  REPRISE_CHECK(x.rank() >= 2 && groups >= 1, ShapeError, "[ir/norm] group norm wants rank 2 and more and a group (got {} and {})", x.rank(), groups);
  const auto channels = x.size(1).as_int();
  REPRISE_CHECK(!channels || *channels % groups == 0, ShapeError, "[ir/norm] {} channels do not divide into {} groups", *channels, groups);
  const sym::Shape c = {x.size(1)};
  return norm({{"kind", "group"}, {"groups", groups}, {"eps", eps}}, x, norm_operand(weight, x.dtype(), c), norm_operand(bias, x.dtype(), c),
              {x.size(0), groups}, stats ? 2 : 0);
}

Builder::NormResult Builder::rms_norm(Val x, int dims, Val weight, double eps, bool stats) {
  REPRISE_CHECK(dims >= 1 && dims <= x.rank(), InvalidArgument, "[ir/norm] wrong number of normalized dimensions (got {}, want 1 to {})", dims, x.rank());
  const sym::Shape trailing(x.sizes().end() - dims, x.sizes().end());
  const auto stats_sizes = leading(x.sizes(), static_cast<std::size_t>(x.rank() - dims));
  return norm({{"kind", "rms"}, {"dims", dims}, {"eps", eps}}, x, norm_operand(weight, x.dtype(), trailing), {}, stats_sizes, stats ? 1 : 0);
}

Val Builder::batch_norm(Val x, Val mean, Val var, Val weight, Val bias, double eps) {
  REPRISE_CHECK(x.rank() >= 2, ShapeError, "[ir/norm] batch norm wants rank 2 and more (got {})", x.rank());
  const sym::Shape c = {x.size(1)};
  const Val operands[] = {x, norm_operand(mean, x.dtype(), c), norm_operand(var, x.dtype(), c), norm_operand(weight, x.dtype(), c),
                          norm_operand(bias, x.dtype(), c)};
  return emit(core::Op::norm, operands, x.dtype(), x.sizes(),
              {{"kind", "batch"}, {"eps", eps}, {"has_weight", weight.defined()}, {"has_bias", bias.defined()}});
}

// ---- attention and matmul ----

Val Builder::attention(Val q, Val k, Val v, Val mask, bool causal, double scale) {
  for (const Val& x : {q, k, v}) {
    REPRISE_CHECK(x.rank() >= 2, ShapeError, "[ir/attention] wants rank 2 and more (got {})", x.rank());
    REPRISE_CHECK(x.dtype() == q.dtype(), InvalidArgument, "[ir/attention] dtypes differ (got {} and {})", name(x.dtype()), name(q.dtype()));
  }
  const sym::Expr e = unify(q.size(-1), k.size(-1), "attention"), s = unify(k.size(-2), v.size(-2), "attention");
  sym::Shape batch = broadcast_shapes(broadcast_shapes(front(q.sizes(), 2), front(k.sizes(), 2)), front(v.sizes(), 2));
  const sym::Expr l = q.size(-2), ev = v.size(-1);
  if (mask.defined() && mask.dtype() != DType::boolean) mask = cast(mask, q.dtype());
  const Val operands[] = {broadcast_to(q, joined(batch, {l, e})), broadcast_to(k, joined(batch, {s, e})), broadcast_to(v, joined(batch, {s, ev})),
                          mask.defined() ? broadcast_to(mask, joined(batch, {l, s})) : mask};
  return emit(core::Op::attention, operands, q.dtype(), joined(batch, {l, ev}), {{"scale", scale}, {"causal", causal}, {"has_mask", mask.defined()}});
}

Val Builder::matmul(Val a, Val b, Val bias) {
  REPRISE_CHECK(a.rank() >= 2 && b.rank() >= 2, ShapeError, "[ir/matmul] wants ranks of 2 and more (got {} and {})", a.rank(), b.rank());
  REPRISE_CHECK(a.dtype() == b.dtype(), InvalidArgument, "[ir/matmul] dtypes differ (got {} and {})", name(a.dtype()), name(b.dtype()));
  const sym::Shape batch = broadcast_shapes(front(a.sizes(), 2), front(b.sizes(), 2));
  const sym::Expr m = a.size(-2), n = b.size(-1), k = unify(a.size(-1), b.size(-2), "matmul");
  const sym::Shape sizes = joined(batch, {m, n});
  const Val operands[] = {broadcast_to(a, joined(batch, {m, k})), broadcast_to(b, joined(batch, {k, n})),
                          bias.defined() ? broadcast_to(cast(bias, a.dtype()), sizes) : bias};
  return emit(core::Op::matmul, operands, a.dtype(), sizes, {{"has_bias", bias.defined()}});
}

}  // namespace reprise::ir
