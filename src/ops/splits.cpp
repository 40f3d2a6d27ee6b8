// One tensor as several along a dimension: splits, chunks, rows.
#include "base/check.h"
#include "ir/shapes.h"
#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

/// The dimension at hand; a scalar has none to split.
int split_dim(Context& c, Val self) {
  REPRISE_CHECK(self.rank() > 0, ShapeError, "[ops/{}] a scalar has no dimension to split", c.node().target);
  return dim_of(c, "dim", self.rank());
}

/// Consecutive parts of the given sizes.
void set_parts(Context& c, Val self, int dim, const Shape& sizes) {
  std::vector<Val> out;
  Expr start = 0;
  for (const Expr& size : sizes) {
    out.push_back(c.build().slice(self, dim, start, size));
    start = start + size;
  }
  c.set_all(out);
}

/// `count` parts of `size`, the last one as much as is left.
void set_equal_parts(Context& c, Val self, int dim, const Expr& size, int count) {
  Shape sizes(static_cast<std::size_t>(count), size);
  if (count > 0) sizes.back() = self.size(dim) - size * (count - 1);
  set_parts(c, self, dim, sizes);
}

/// How many parts: constant sizes say it, otherwise the exporter does.
int parts(Context& c, const Expr& total, const Expr& size) {
  const auto n = sym::ceil_div(total, size).as_int();
  return n ? static_cast<int>(std::max<std::int64_t>(*n, 1)) : output_count(c);
}

void convert_split(Context& c) {
  const Val self = c.tensor("self");
  const int dim = split_dim(c, self);
  const Expr size = c.integer("split_size");
  if (ir::is_const(size, 0)) return set_parts(c, self, dim, {self.size(dim)});
  set_equal_parts(c, self, dim, size, parts(c, self.size(dim), size));
}

void convert_split_sizes(Context& c, std::string_view sizes) {
  const Val self = c.tensor("self");
  set_parts(c, self, split_dim(c, self), c.ints(sizes));
}

/// At most `chunks` parts of one size; an empty dimension gives them all.
void convert_chunk(Context& c) {
  const Val self = c.tensor("self");
  const int dim = split_dim(c, self);
  const auto chunks = c.fixed("chunks");
  REPRISE_CHECK(chunks > 0, InvalidArgument, "[ops/chunk] the number of chunks must be positive (got {})", chunks);
  if (ir::is_const(self.size(dim), 0)) return set_parts(c, self, dim, Shape(static_cast<std::size_t>(chunks), Expr(0)));
  const Expr size = sym::ceil_div(self.size(dim), chunks);
  set_equal_parts(c, self, dim, size, parts(c, self.size(dim), size));
}

/// `sections` parts whose sizes differ by one at most, the larger ones first.
void set_sections(Context& c, Val self, int dim, std::int64_t sections) {
  Shape sizes;
  for (std::int64_t i = 0; i < sections; ++i) sizes.push_back(sym::floor_div(self.size(dim) + (sections - 1 - i), sections));
  set_parts(c, self, dim, sizes);
}

/// Parts between clamped bounds, which may cross: such a part is empty.
void set_between(Context& c, Val self, int dim, const Shape& bounds) {
  const auto& symbols = c.build().graph().symbols;
  std::vector<Val> out;
  Expr start = 0;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    const Expr end = i < bounds.size() ? clamp_bound(bounds[i], self.size(dim), symbols) : self.size(dim);
    Expr length = end - start;
    if (!sym::provably_ge(length, 0, symbols)) length = sym::max(length, 0);
    out.push_back(c.build().slice(self, dim, ir::is_const(length, 0) ? Expr(0) : start, length));
    start = end;
  }
  c.set_all(out);
}

/// Bounds that only the data tells, each read as a symbol; of a number of sections the exporter's outputs are the count.
void convert_split_by_tensor(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self"), by = b.cast(c.tensor("tensor_indices_or_sections"), DType::i64);
  const int dim = split_dim(c, self), count = output_count(c);
  if (by.rank() == 0) return set_sections(c, self, dim, count);
  Shape bounds;
  for (int i = 0; i + 1 < count; ++i) {
    bounds.push_back(Expr::symbol(c.node().source.name + "_bound_" + std::to_string(i)));
    b.item(b.select(by, 0, i), bounds.back());
  }
  set_between(c, self, dim, bounds);
}

/// hsplit, vsplit and dsplit: tensor_split along a fixed dimension (0 of a vector for hsplit).
void add_directed_split(Registry& r, const std::string& name, int (*dim)(Val)) {
  add_rows(r, {"aten::" + name + ".int(Tensor self, int sections)"},
           [dim](Context& c) { set_sections(c, c.tensor("self"), dim(c.tensor("self")), c.fixed("sections")); });
  add_rows(r, {"aten::" + name + ".array(Tensor self, int[] indices)"},
           [dim](Context& c) { set_between(c, c.tensor("self"), dim(c.tensor("self")), c.ints("indices")); });
}

void convert_unbind(Context& c) {
  const Val self = c.tensor("self");
  const int dim = split_dim(c, self);
  const auto size = self.size(dim).as_int();
  const int count = size ? static_cast<int>(*size) : output_count(c);
  std::vector<Val> out;
  for (int i = 0; i < count; ++i) out.push_back(c.build().select(self, dim, i));
  c.set_all(out);
}

}  // namespace

void add_splits(Registry& r) {
  add_rows(r, {"aten::split.Tensor(Tensor self, SymInt split_size, int dim=0)"}, convert_split);
  add_rows(r, {"aten::split.sizes(Tensor self, SymInt[] split_size, int dim=0)"}, [](Context& c) { convert_split_sizes(c, "split_size"); });
  add_rows(r, {"aten::split_with_sizes(Tensor self, SymInt[] split_sizes, int dim=0)"}, [](Context& c) { convert_split_sizes(c, "split_sizes"); });
  add_rows(r, {"aten::chunk(Tensor self, int chunks, int dim=0)"}, convert_chunk);
  add_rows(r, {"aten::tensor_split.sections(Tensor self, SymInt sections, int dim=0)"},
           [](Context& c) { set_sections(c, c.tensor("self"), split_dim(c, c.tensor("self")), c.fixed("sections")); });
  add_rows(r, {"aten::tensor_split.indices(Tensor self, SymInt[] indices, int dim=0)"},
           [](Context& c) { set_between(c, c.tensor("self"), split_dim(c, c.tensor("self")), c.ints("indices")); });
  add_rows(r, {"aten::tensor_split.tensor_indices_or_sections(Tensor self, Tensor tensor_indices_or_sections, int dim=0)"}, convert_split_by_tensor);
  add_directed_split(r, "hsplit", [](Val x) { return x.rank() == 1 ? 0 : 1; });
  add_directed_split(r, "vsplit", [](Val) { return 0; });
  add_directed_split(r, "dsplit", [](Val) { return 2; });
  add_rows(r, {"aten::unbind.int(Tensor self, int dim=0)"}, convert_unbind);
}

}  // namespace reprise::ops
