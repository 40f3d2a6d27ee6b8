// Writing by index, by mask and through views: each gives a new tensor.
#include <algorithm>
#include <map>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/index_list.h"

namespace reprise::ops {
namespace {

/// PyTorch's names of reductions, and scatter's older ones, as the core op calls them.
std::string reduction(const std::string& name) {
  static const std::map<std::string, std::string> kNames = {{"sum", "sum"},   {"add", "sum"},  {"prod", "prod"}, {"multiply", "prod"},
                                                            {"mean", "mean"}, {"amax", "max"}, {"amin", "min"}};
  const auto at = kNames.find(name);
  REPRISE_CHECK(at != kNames.end(), InvalidArgument, "[ops/scatter] unknown reduction '{}'", name);
  return at->second;
}

// ---- scatter ----

void set_scattered(Context& c, Val src, const std::string& reduce, bool include_self = true) {
  const Val x = c.tensor("self");
  if (ir::is_const(c.tensor("index").numel(), 0)) return c.set(0, c.build().copy(x));  // such an index may have any rank
  c.set(0, c.build().scatter(x, c.tensor("index"), src, dim_of(c, "dim", x.rank()), reduce, include_self));
}

Val value_like_index(Context& c) { return filled(c.build(), c.tensor("index").sizes(), c.scalar("value").value, c.tensor("self").dtype()); }

void add_scatters(Registry& r) {
  add_rows(r, [](Context& c) { set_scattered(c, c.tensor("src"), "none"); }, {"aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor"});
  add_rows(r, [](Context& c) { set_scattered(c, value_like_index(c), "none"); },
           {"aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor"});
  add_rows(r, [](Context& c) { set_scattered(c, c.tensor("src"), reduction(c.text("reduce"))); },
           {"aten::scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor"});
  add_rows(r, [](Context& c) { set_scattered(c, value_like_index(c), reduction(c.text("reduce"))); },
           {"aten::scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor"});
  add_rows(r, [](Context& c) { set_scattered(c, c.tensor("src"), "sum"); }, {"aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor"});
  add_rows(r, [](Context& c) { set_scattered(c, c.tensor("src"), reduction(c.text("reduce")), c.flag("include_self")); },
           {"aten::scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor"});
}

// ---- one index along one dimension ----

/// self with the rows that `index` names along `dim` replaced by (or increased by) `rows`.
void set_rows(Context& c, Val rows, bool accumulate) {
  Builder& b = c.build();
  const Val x = c.tensor("self"), index = at_least_1d(b, c.tensor("index"));
  const int dim = dim_of(c, "dim", x.rank());
  const Val y = b.index_put(at_least_1d(b, x), rows, std::span(&index, 1), {dim}, dim, accumulate);
  c.set(0, b.reshape(y, x.sizes()));
}

Val source_rows(Context& c) { return at_least_1d(c.build(), c.tensor("source")); }

void convert_index_add(Context& c) {
  const Expr alpha = c.scalar("alpha").value;
  const Val rows = source_rows(c);
  set_rows(c,
           alpha == Expr(1) ? rows
                            : compute(
                                  c.build(), [&](Term x) { return x * x.of(alpha); }, rows),
           true);
}

void convert_index_fill(Context& c) {
  Builder& b = c.build();
  const DType t = c.tensor("self").dtype();
  set_rows(c, c.is_tensor("value") ? b.cast(b.reshape(c.tensor("value"), {}), t) : b.scalar(c.scalar("value").value, t), false);
}

void convert_index_reduce(Context& c) {
  Builder& b = c.build();
  const Val x = at_least_1d(b, c.tensor("self")), rows = source_rows(c);
  const int dim = dim_of(c, "dim", x.rank());
  const Val index = b.broadcast_to(along(b, at_least_1d(b, c.tensor("index")), dim, x.rank()), rows.sizes());
  c.set(0, b.reshape(b.scatter(x, index, rows, dim, reduction(c.text("reduce")), c.flag("include_self")), c.tensor("self").sizes()));
}

void add_row_writes(Registry& r) {
  add_rows(r, [](Context& c) { set_rows(c, source_rows(c), false); }, {"aten::index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor"});
  add_rows(r, convert_index_add, {"aten::index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor"});
  add_rows(r, convert_index_fill,
           {"aten::index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
            "aten::index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor"});
  add_rows(r, convert_index_reduce, {"aten::index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> Tensor"});
}

// ---- masks ----

/// For each true element of `mask` (in row-major order) the position of its value among `count` values; anything within [0, count] elsewhere.
Val ranks_of_true(Builder& b, Val mask, const Expr& count) {
  const Val flat = b.reshape(mask, {mask.numel()});
  const Val running = b.scan(ir::ScanKind::sum, flat, 0, DType::i64);
  return b.reshape(compute(
                       b, [&](Term n) { return max(min(n - 1, n.of(count)), 0); }, running),
                   mask.sizes());
}

/// x with one more element of zeros behind the others along `dim`: what masks without true elements may point at.
Val with_spare(Builder& b, Val x, int dim) {
  const Val parts[] = {x, filled(b, replaced(x.sizes(), dim, 1), 0, x.dtype())};
  return b.concat(parts, dim);
}

void convert_masked_scatter(Context& c) {
  Builder& b = c.build();
  const Val source = b.cast(c.tensor("source"), c.tensor("self").dtype());
  const Shape sizes = Builder::broadcast_shapes(c.tensor("self").sizes(), c.tensor("mask").sizes());
  const Val mask = b.broadcast_to(c.tensor("mask"), sizes), flat = b.reshape(source, {source.numel()});
  const Val index = ranks_of_true(b, mask, source.numel());
  c.set(0, b.where(mask, b.index(with_spare(b, flat, 0), std::span(&index, 1), {0}, 0), b.broadcast_to(c.tensor("self"), sizes)));
}

/// x[…, mask, …] = values without a size that depends on data: every element of x looks up the value that is its own by rank.
Val put_by_mask(Builder& b, Val x, Val mask, int axis, Val values, bool accumulate) {
  const int after = x.rank() - axis - mask.rank();  // dimensions behind the mask
  values = lead_to(b, b.cast(values, x.dtype()), axis + 1 + after);
  const Expr count = values.size(axis);
  if (ir::is_const(count, 1)) {
    for (int d = 1; d < mask.rank(); ++d) values = b.unsqueeze(values, axis);
    if (mask.rank() == 0) values = b.squeeze(values, axis);
  } else {
    const Val index = ranks_of_true(b, mask, count);
    values = b.index(with_spare(b, values, axis), std::span(&index, 1), {axis}, axis);
  }
  for (int d = 0; d < after; ++d) mask = b.unsqueeze(mask, mask.rank());
  if (accumulate) values = b.binary(ScalarOp::add, x, values);
  return b.broadcast_to(b.where(mask, values, x), x.sizes());
}

// ---- index_put ----

void convert_index_put(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self"), values = c.tensor("values");
  const std::vector<Val> given = c.tensors("indices");
  const bool accumulate = c.flag("accumulate");
  const auto is_index = [](const Val& i) { return i.defined(); };
  const auto first = std::find_if(given.begin(), given.end(), is_index);
  if (first == given.end()) {
    const Val spread = b.broadcast_to(b.cast(values, x.dtype()), x.sizes());
    return c.set(0, accumulate ? b.binary(ScalarOp::add, x, spread) : b.copy(spread));
  }
  if (is_mask(*first) && std::count_if(given.begin(), given.end(), is_index) == 1)
    return c.set(0, put_by_mask(b, x, b.cast(*first, DType::boolean), static_cast<int>(first - given.begin()), values, accumulate));
  const IndexList list = read_indices(b, given, [&](std::size_t) { return fresh_symbol(b, x.numel()); });
  c.set(0, b.index_put(x, values, list.indices, list.axes, list.position, accumulate));
}

void convert_put(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self"), index[] = {b.reshape(c.tensor("index"), {c.tensor("index").numel()})};
  const Val y = b.index_put(b.reshape(x, {x.numel()}), b.reshape(c.tensor("source"), {index[0].size(0)}), index, {0}, 0, c.flag("accumulate"));
  c.set(0, b.reshape(y, x.sizes()));
}

// ---- through views ----

/// self with the elements under a view of it replaced.
void set_through_view(Context& c, const std::function<Val(Builder&, Val)>& view) {
  const Val x = c.build().contiguous(c.tensor("self"));
  c.set(0, c.build().write_view(x, view(c.build(), x), c.tensor("src")));
}

void convert_slice_scatter(Context& c) {
  set_through_view(c, [&](Builder& b, Val x) {
    const int dim = dim_of(c, "dim", x.rank());
    const Expr size = x.size(dim);
    const auto& symbols = b.graph().symbols;
    const Expr start = c.is_none("start") ? Expr(0) : clamp_bound(c.integer("start"), size, symbols);
    const Expr end = c.is_none("end") ? size : clamp_bound(c.integer("end"), size, symbols);
    const Expr span = sym::provably_ge(end, start, symbols) ? end - start : sym::max(end - start, 0);
    return b.slice(x, dim, start, sym::ceil_div(span, c.fixed("step")), c.fixed("step"));
  });
}

void convert_select_scatter(Context& c) {
  set_through_view(c, [&](Builder& b, Val x) {
    const int dim = dim_of(c, "dim", x.rank());
    return b.select(x, dim, wrap_index(c.integer("index"), x.size(dim), b.graph().symbols));
  });
}

void convert_diagonal_scatter(Context& c) {
  set_through_view(c, [&](Builder& b, Val x) { return b.diagonal(x, c.fixed("offset"), dim_of(c, "dim1", x.rank()), dim_of(c, "dim2", x.rank())); });
}

void convert_as_strided_scatter(Context& c) {
  set_through_view(c, [&](Builder& b, Val x) {
    const Expr offset = c.is_none("storage_offset") ? Expr(0) : c.integer("storage_offset");
    return b.as_strided(x, c.ints("size"), c.ints("stride"), x.value().offset + offset);
  });
}

void add_view_writes(Registry& r) {
  add_rows(r, convert_slice_scatter,
           {"aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor"});
  add_rows(r, convert_select_scatter, {"aten::select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor"});
  add_rows(r, convert_diagonal_scatter, {"aten::diagonal_scatter(Tensor self, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor"});
  add_rows(r, convert_as_strided_scatter,
           {"aten::as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor"});
}

}  // namespace

void add_scatter(Registry& r) {
  add_scatters(r);
  add_row_writes(r);
  add_view_writes(r);
  add_rows(r, convert_masked_scatter, {"aten::masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor"});
  add_rows(r, convert_index_put,
           {"aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
            "aten::_unsafe_index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
            "aten::_index_put_impl(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False, bool unsafe=False) -> Tensor"});
  add_rows(r, convert_put, {"aten::put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor"});
}

}  // namespace reprise::ops
