// Ops whose result sizes depend on data. The exporter's sizes name the symbols that they define.
#include <algorithm>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/compose.h"

namespace reprise::ops {
namespace {

/// The size along `dim` of output i, as the exporter names it.
Expr output_size(const Context& c, int i, int dim) {
  const ir::TensorMeta* meta = c.output_meta(i);
  REPRISE_CHECK(meta != nullptr && dim < static_cast<int>(meta->sizes.size()), InvalidArgument, "[ops/{}] the file does not say the output's sizes",
                c.node().target);
  return meta->sizes[static_cast<std::size_t>(dim)];
}

/// One vector of positions per dimension; a scalar counts as one-dimensional.
void convert_nonzero_numpy(Context& c, std::string_view name) {
  Builder& b = c.build();
  const Val x = at_least_1d(b, c.tensor(name));
  const Val places = b.nonzero(x, output_size(c, 0, 0));
  for (int d = 0; d < x.rank(); ++d) c.set(d, b.select(places, 1, d));
}

void convert_masked_select(Context& c) {
  Builder& b = c.build();
  const Shape sizes = Builder::broadcast_shapes(c.tensor("self").sizes(), c.tensor("mask").sizes());
  const auto flat = [&](Val v) { return b.reshape(b.broadcast_to(v, sizes), {sym::product(sizes)}); };
  const Val places = b.nonzero(flat(c.tensor("mask")), output_size(c, 0, 0));
  c.set(0, b.index_select(flat(c.tensor("self")), b.select(places, 1, 0), 0));
}

// ---- unique ----

/// Most results that were not asked for are empty: the exporter's sizes tell.
void set_or_empty(Context& c, int i, Val value, bool wanted) {
  const ir::TensorMeta* meta = c.output_meta(i);
  if (meta != nullptr) wanted = meta->sizes.size() != 1 || !ir::is_const(meta->sizes[0], 0);
  c.set(i, wanted ? value : c.build().fill({0}, Expr(0), DType::i64));
}

void set_unique(Context& c, int axis, bool consecutive, bool inverse, bool counts) {
  Builder& b = c.build();
  const Val x = axis < 0 ? c.tensor("self") : at_least_1d(b, c.tensor("self"));
  const auto u = b.unique(x, axis, consecutive, output_size(c, 0, std::max(axis, 0)));
  c.set(0, u.values);
  set_or_empty(c, 1, u.inverse, inverse);
  set_or_empty(c, 2, u.counts, counts);
}

void convert_unique_consecutive(Context& c) {
  const int axis = c.is_none("dim") ? -1 : dim_of(c, "dim", c.tensor("self").rank());
  set_unique(c, axis, true, c.flag("return_inverse"), c.flag("return_counts"));
}

void add_uniques(Registry& r) {
  add_rows(r, [](Context& c) { set_unique(c, -1, false, c.flag("return_inverse"), c.flag("return_counts")); },
           {"aten::_unique2(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)"});
  add_rows(r, [](Context& c) { set_unique(c, -1, false, c.flag("return_inverse"), false); },
           {"aten::_unique(Tensor self, bool sorted=True, bool return_inverse=False) -> (Tensor, Tensor)"});
  add_rows(r, [](Context& c) { set_unique(c, dim_of(c, "dim", c.tensor("self").rank()), false, c.flag("return_inverse"), c.flag("return_counts")); },
           {"aten::unique_dim(Tensor self, int dim, bool sorted=True, bool return_inverse=False, bool return_counts=False) -> (Tensor, Tensor, Tensor)"});
  add_rows(r, convert_unique_consecutive,
           {"aten::unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None) -> (Tensor, Tensor, Tensor)"});
}

// ---- others ----

/// One repeat count stands for all.
void convert_repeat_interleave(Context& c) {
  Builder& b = c.build();
  const bool flat = c.is_none("dim");
  const Val self = c.tensor("self"), x = flat ? b.reshape(self, {self.numel()}) : at_least_1d(b, self);
  const int dim = flat ? 0 : dim_of(c, "dim", self.rank());
  const Val repeats = b.broadcast_to(at_least_1d(b, c.tensor("repeats")), {x.size(dim)});
  c.set(0, b.index_select(x, b.repeat_interleave(repeats, output_size(c, 0, dim)), dim));
}

/// The value of a tensor of one element. A boolean's symbol stands in a relation, e.g. eq(u0, 1): its integer is what is read.
void convert_item(Context& c) {
  Builder& b = c.build();
  const Expr value = c.output_symbol(0);
  const Val x = b.reshape(c.tensor("self"), {});
  if (value.is_symbol()) return b.item(x, value);
  std::vector<std::string> symbols;
  sym::collect_symbols(value, symbols);
  if (x.dtype() == DType::boolean && symbols.size() == 1) b.item(b.cast(x, DType::i64), Expr::symbol(symbols[0]));
}

/// As many counts as the largest value plus one says, and `minlength` at least.
void convert_bincount(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self"), weights = c.tensor_or_none("weights");
  const Expr size = output_size(c, 0, 0);
  const Val with_floor[] = {x, filled(b, {1}, c.integer("minlength") - 1, x.dtype())};  // also what an empty input leaves
  const Val largest = b.reduce(ir::ReduceKind::max, b.concat(with_floor, 0), {}, false, x.dtype());
  b.item(compute(
             b, [](Term m) { return m.as(DType::i64) + 1; }, largest),
         size);
  const DType t = !weights.defined() ? DType::i64 : weights.dtype() == DType::f32 ? DType::f32 : DType::f64;
  const Val values = weights.defined() ? b.cast(weights, t) : filled(b, x.sizes(), 1, t);
  c.set(0, b.index_put(filled(b, {size}, 0, t), values, std::span(&x, 1), {0}, 0, true));
}

}  // namespace

void add_data_dependent(Registry& r) {
  add_rows(r, [](Context& c) { c.set(0, c.build().nonzero(c.tensor("self"), output_size(c, 0, 0))); },
           {"aten::nonzero(Tensor self) -> Tensor", "aten::argwhere(Tensor self) -> Tensor"});
  add_rows(r, [](Context& c) { convert_nonzero_numpy(c, "self"); }, {"aten::nonzero_numpy(Tensor self) -> Tensor[]"});
  add_rows(r, [](Context& c) { convert_nonzero_numpy(c, "condition"); }, {"aten::where(Tensor condition) -> Tensor[]"});
  add_rows(r, convert_masked_select, {"aten::masked_select(Tensor self, Tensor mask) -> Tensor"});
  add_uniques(r);
  add_rows(r, [](Context& c) { c.set(0, c.build().repeat_interleave(c.tensor("repeats"), output_size(c, 0, 0))); },
           {"aten::repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor"});
  add_rows(r, convert_repeat_interleave,
           {"aten::repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor"});
  add_rows(r, convert_item, {"aten::item(Tensor self) -> Scalar", "aten::_local_scalar_dense(Tensor self) -> Scalar"});
  add_rows(r, convert_bincount, {"aten::bincount(Tensor self, Tensor? weights=None, SymInt minlength=0) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, c.build().nms(c.tensor("dets"), c.tensor("scores"), c.real("iou_threshold"), output_size(c, 0, 0))); },
           {"torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"});
}

}  // namespace reprise::ops
