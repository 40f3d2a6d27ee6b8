// Statistics of sorted values: median, mode, quantiles; and histograms.
#include <cmath>
#include <limits>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/sorting.h"

namespace reprise::ops {
namespace {

using ir::ReduceKind;

/// How many values along `dim` are not NaN, with `dim` kept as 1.
Val count_numbers(Builder& b, Val x, int dim) {
  return b.reduce(ReduceKind::sum,
                  compute(
                      b, [](Term v) { return !is_nan(v); }, x),
                  {dim}, true, DType::i64);
}

struct Median {
  Val value, index;  // along `dim`, kept as 1
};

/// The lower of the two middle values. NaNs either win (the first one) or are left out.
Median median(Builder& b, Val x, int dim, bool skip_nan) {
  const auto [values, indices] = b.sort(x, dim, false, true);
  const Expr size = x.size(dim);
  if (!is_floating(x.dtype())) {
    const Expr middle = sym::floor_div(size - 1, 2);
    return {b.slice(values, dim, middle, 1), b.slice(indices, dim, middle, 1)};
  }
  const auto place = [&](Term n) {
    const Term middle = max((n - 1).apply(ScalarOp::floor_div, n.of(2)), 0);
    // NaNs are sorted last: the first of them stands where the numbers end.
    return skip_nan ? middle : (n < n.of(size)).pick(n, middle);
  };
  const Val at = compute(b, place, count_numbers(b, x, dim));
  return {b.gather(values, at, dim), b.gather(indices, at, dim)};
}

void convert_median(Context& c, bool skip_nan) {
  Builder& b = c.build();
  const Val x = c.tensor("self");
  if (ir::is_const(x.numel(), 0))
    return c.set(0, b.copy(filled(b, {}, is_floating(x.dtype()) ? Expr::real(std::nan("")) : Expr(std::numeric_limits<std::int64_t>::min()), x.dtype())));
  c.set(0, b.reshape(median(b, b.reshape(x, {x.numel()}), 0, skip_nan).value, {}));
}

void convert_median_dim(Context& c, bool skip_nan) {
  Builder& b = c.build();
  const Val x = at_least_1d(b, c.tensor("self"));
  const int dim = dim_of(c, "dim", x.rank());
  const Median m = median(b, x, dim, skip_nan);
  c.set(0, drop_dim(c, m.value, dim));
  c.set(1, drop_dim(c, m.index, dim));
}

/// The most frequent value, the smallest of several; its last position. In sorted order the length of the run that ends at i is i - start + 1.
void convert_mode(Context& c) {
  Builder& b = c.build();
  const Val x = at_least_1d(b, c.tensor("self"));
  const int dim = dim_of(c, "dim", x.rank());
  const auto [values, indices] = b.sort(x, dim, false, true);
  const Val start =
      b.search_sorted(b.contiguous(move_dim(b, values, dim, x.rank() - 1)), b.contiguous(move_dim(b, values, dim, x.rank() - 1)), false, DType::i64);
  const Val run = compute(
      b, [](Term i, Term s) { return i - s; }, positions(b, x.size(dim), dim, x.rank()), move_dim(b, start, x.rank() - 1, dim));
  const Val best = b.reduce(ReduceKind::argmax, run, {dim}, true, DType::i64);
  c.set(0, drop_dim(c, b.gather(values, best, dim), dim));
  c.set(1, drop_dim(c, b.gather(indices, best, dim), dim));
}

// ---- quantiles ----

/// Where each quantile lies among the sorted values: a real position in [0, n - 1], for rows[…, n] and q[Q].
Val quantile_ranks(Builder& b, Val rows, Val q, bool skip_nan) {
  const int last = rows.rank() - 1;
  const auto place = [&](Term p, Term n) {
    const Term count = n.as(p.type());
    if (skip_nan) return max(p * (count - 1), 0);
    return (n < n.of(rows.size(last))).pick(p.of(rows.size(last) - 1), p * (count - 1));  // a NaN, sorted last, is every quantile
  };
  return compute(b, place, along(b, q, last, rows.rank()), count_numbers(b, rows, last));
}

/// The values at (or between) the ranks.
Val at_ranks(Builder& b, Val rows, Val ranks, const std::string& how) {
  const int last = rows.rank() - 1;
  const auto pick = [&](ScalarOp round) {
    const Val index = compute(
        b, [round](Term r) { return r.apply(round).as(DType::i64); }, ranks);
    return b.gather(rows, index, last);
  };
  if (how == "lower") return pick(ScalarOp::floor);
  if (how == "higher") return pick(ScalarOp::ceil);
  if (how == "nearest") return pick(ScalarOp::round);
  REPRISE_CHECK(how == "linear" || how == "midpoint", InvalidArgument, "[ops/quantile] unknown interpolation '{}'", how);
  const bool middle = how == "midpoint";
  const auto blend = [middle](Term r, Term low, Term high) {
    const Term w = middle ? (r > floor(r)).pick(r.of(0.5), r.of(0)) : r - floor(r);
    // As torch.lerp: from the nearer end.
    return (w < 0.5).pick(low + w * (high - low), high - (high - low) * (1 - w));
  };
  return compute(b, blend, ranks, pick(ScalarOp::floor), pick(ScalarOp::ceil));
}

/// Quantiles come first in the result when q has a dimension.
void convert_quantile(Context& c, bool skip_nan) {
  Builder& b = c.build();
  const Val x = c.tensor("self");
  const Val q = c.is_tensor("q") ? c.tensor("q") : b.scalar(c.real("q"), x.dtype());
  const bool flat = c.is_none("dim");
  const int dim = flat ? 0 : dim_of(c, "dim", x.rank());
  const Val source = flat ? b.reshape(x, {x.numel()}) : at_least_1d(b, x);
  const int last = source.rank() - 1;
  const Val rows = b.sort(move_dim(b, source, dim, last), last, false, false).first;
  Val y = at_ranks(b, rows, quantile_ranks(b, rows, at_least_1d(b, q), skip_nan), c.text("interpolation"));  // [kept…, Q]
  y = move_dim(b, y, last, 0);
  Shape sizes(y.sizes().begin() + 1, y.sizes().end());
  if (c.flag("keepdim")) {
    if (flat) sizes.assign(static_cast<std::size_t>(x.rank()), 1);
    if (!flat && x.rank() > 0) sizes.insert(sizes.begin() + dim, 1);
  }
  if (q.rank() > 0) sizes.insert(sizes.begin(), y.size(0));
  c.set(0, b.reshape(y, sizes));
}

// ---- histogram ----

/// Counts in `bins` equal bins over [low, high]; what lies outside is counted in a bin of its own, which is dropped.
void convert_histc(Context& c) {
  Builder& b = c.build();
  const Val x = b.reshape(c.tensor("self"), {c.tensor("self").numel()});
  const double low = c.real("min"), high = c.real("max");
  const auto bins = static_cast<double>(c.fixed("bins"));
  Val from = b.scalar(low, x.dtype()), to = b.scalar(high, x.dtype());
  if (low == high && !ir::is_const(x.numel(), 0)) {
    from = b.reduce(ReduceKind::min, x, {}, false, x.dtype());
    to = b.reduce(ReduceKind::max, x, {}, false, x.dtype());
  }
  const auto bin = [bins](Term v, Term a, Term z) {
    const Term same = equal(a, z), first = same.pick(a - 1, a), end = same.pick(z + 1, z);
    const Term from_first = (v - first).as(compute_type(v.type())).as(v.type());  // rounded, as PyTorch does
    const Term at = min(floor(from_first * bins / (end - first)), bins - 1);
    return (v >= first && v <= end).pick(at, v.of(bins)).as(DType::i64);
  };
  const Val index = compute(b, bin, x, from, to);
  const Val counted = b.index_put(filled(b, {c.fixed("bins") + 1}, 0, x.dtype()), filled(b, x.sizes(), 1, x.dtype()), std::span(&index, 1), {0}, 0, true);
  c.set(0, b.slice(counted, 0, 0, c.fixed("bins")));
}

}  // namespace

void add_quantiles(Registry& r) {
  for (const bool skip_nan : {false, true}) {
    const auto row = [&](const char* plain, const char* nan, void (*convert)(Context&, bool)) {
      add_rows(r, [=](Context& c) { convert(c, skip_nan); }, {skip_nan ? nan : plain});
    };
    row("aten::median(Tensor self) -> Tensor", "aten::nanmedian(Tensor self) -> Tensor", convert_median);
    row("aten::median.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
        "aten::nanmedian.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", convert_median_dim);
    row("aten::quantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor",
        "aten::nanquantile(Tensor self, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor", convert_quantile);
    row("aten::quantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor",
        "aten::nanquantile.scalar(Tensor self, float q, int? dim=None, bool keepdim=False, *, str interpolation=\"linear\") -> Tensor", convert_quantile);
  }
  add_rows(r, convert_mode, {"aten::mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)"});
  add_rows(r, convert_histc, {"aten::histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor"});
}

}  // namespace reprise::ops
