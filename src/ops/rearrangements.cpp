// The same elements in other places: rolls, flips, shuffles; triangles and diagonals.
#include <algorithm>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

/// Elements moved `shift` places on, those at the end back to the front.
Val roll(Builder& b, Val x, const Expr& shift, int dim) {
  const Expr n = x.size(dim);
  if (ir::is_const(n, 0) || ir::is_const(shift, 0)) return b.copy(x);
  const Expr at = sym::mod(-shift, sym::provably_ge(n, 1, b.graph().symbols) ? n : sym::max(n, 1));
  const Val parts[] = {range(b, x, dim, at, n), range(b, x, dim, 0, at)};
  return b.concat(parts, dim);
}

void convert_roll(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const Shape shifts = c.ints("shifts");
  const auto dims = c.fixed_ints("dims");
  if (dims.empty()) return c.set(0, b.reshape(roll(b, b.reshape(self, {self.numel()}), shifts.at(0), 0), self.sizes()));
  REPRISE_CHECK(shifts.size() == dims.size(), InvalidArgument, "[ops/roll] wants one shift per dimension (got {} and {})", shifts.size(), dims.size());
  Val x = self;
  for (std::size_t i = 0; i < dims.size(); ++i) x = roll(b, x, shifts[i], ir::wrap_dim(static_cast<int>(dims[i]), x.rank(), "roll"));
  c.set(0, x);
}

/// Views have no negative strides, so the elements are gathered by falling positions.
Val flip(Builder& b, Val x, int dim) {
  if (x.rank() == 0 || ir::is_const(x.size(dim), 1)) return x;
  return b.index_select(x, b.iota(x.size(dim), x.size(dim) - 1, Expr(-1), DType::i64), dim);
}

void convert_flip(Context& c, const std::vector<int>& dims) {
  Val x = c.tensor("self");
  for (const int dim : dims) x = flip(c.build(), x, dim);
  c.set(0, apart(c.build(), x, c.tensor("self")));
}

/// k quarter turns in the plane of two dimensions.
void convert_rot90(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const auto dims = axes_of(c, "dims", self.rank());
  REPRISE_CHECK(dims.size() == 2, InvalidArgument, "[ops/rot90] wants two dimensions (got {})", dims.size());
  switch (((c.fixed("k") % 4) + 4) % 4) {
    case 1:
      return c.set(0, apart(b, b.transpose(flip(b, self, dims[1]), dims[0], dims[1]), self));
    case 2:
      return c.set(0, apart(b, flip(b, flip(b, self, dims[0]), dims[1]), self));
    case 3:
      return c.set(0, apart(b, b.transpose(flip(b, self, dims[0]), dims[0], dims[1]), self));
    default:
      return c.set(0, b.copy(self));
  }
}

void add_moves(Registry& r) {
  add_rows(r, {"aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[])"}, convert_roll);
  add_rows(r, {"aten::flip(Tensor self, int[] dims)"}, [](Context& c) { convert_flip(c, axes_of(c, "dims", c.tensor("self").rank())); });
  add_rows(r, {"aten::fliplr(Tensor self)"}, [](Context& c) { convert_flip(c, {1}); });
  add_rows(r, {"aten::flipud(Tensor self)"}, [](Context& c) { convert_flip(c, {0}); });
  add_rows(r, {"aten::rot90(Tensor self, int k=1, int[] dims=[0, 1])"}, convert_rot90);
}

// ---- shuffles ----

/// Channels [g, c] as [c, g].
void convert_channel_shuffle(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const Expr groups = c.integer("groups");
  Shape split = self.sizes();
  split[1] = sym::floor_div(split[1], groups);
  split.insert(split.begin() + 1, groups);
  c.set(0, apart(b, b.reshape(b.transpose(b.reshape(self, split), 1, 2), self.sizes()), self));
}

/// Channels [c, r, r] spread over [h, r] and [w, r].
void convert_pixel_shuffle(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const int lead = self.rank() - 3;
  const auto r = c.fixed("upscale_factor");
  const Expr channels = sym::floor_div(self.size(-3), r * r), h = self.size(-2), w = self.size(-1);
  Shape split(self.sizes().begin(), self.sizes().begin() + lead), joined = split;
  split.insert(split.end(), {channels, r, r, h, w});
  joined.insert(joined.end(), {channels, h * r, w * r});
  Val x = b.reshape(self, split);
  x = move_dim(b, move_dim(b, x, lead + 1, lead + 3), lead + 1, lead + 4);  // [c, r1, r2, h, w] → [c, r2, h, r1, w] → [c, h, r1, w, r2]
  c.set(0, apart(b, b.reshape(x, joined), self));
}

/// The inverse: [h, r] and [w, r] into channels [c, r, r].
void convert_pixel_unshuffle(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const int lead = self.rank() - 3;
  const auto r = c.fixed("downscale_factor");
  const Expr channels = self.size(-3), h = sym::floor_div(self.size(-2), r), w = sym::floor_div(self.size(-1), r);
  Shape split(self.sizes().begin(), self.sizes().begin() + lead), joined = split;
  split.insert(split.end(), {channels, h, r, w, r});
  joined.insert(joined.end(), {channels * (r * r), h, w});
  Val x = b.reshape(self, split);
  x = move_dim(b, move_dim(b, x, lead + 2, lead + 1), lead + 4, lead + 2);  // [c, h, r1, w, r2] → [c, r1, h, w, r2] → [c, r1, r2, h, w]
  c.set(0, apart(b, b.reshape(x, joined), self));
}

// ---- triangles and diagonals ----

/// Keeps the elements of the last two dimensions whose column - row lies on one side of `diagonal`.
void convert_triangle(Context& c, bool lower) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  REPRISE_CHECK(self.rank() >= 2, ShapeError, "[ops/{}] wants a matrix (got rank {})", c.node().target, self.rank());
  const Expr diagonal = c.integer("diagonal");
  const auto keep = [&](Term x, Term row, Term column) {
    const Term distance = column - row, bound = row.of(diagonal);
    return (lower ? distance <= bound : distance >= bound).pick(x, x.of(0));
  };
  c.set(0, compute(b, keep, self, positions(b, self.size(-2), 0, 2), positions(b, self.size(-1), 1, 2)));
}

/// The last dimension on a diagonal of a new matrix of zeros.
Val diag_embed(Builder& b, Val x, std::int64_t offset, int dim1, int dim2) {
  const int rank = x.rank() + 1;
  const int row = ir::wrap_dim(dim1, rank, "diag_embed"), column = ir::wrap_dim(dim2, rank, "diag_embed");
  REPRISE_CHECK(row != column, InvalidArgument, "[ops/diag_embed] wants two different dimensions (got {} and {})", row, column);
  const std::int64_t extra = std::abs(offset);
  const Expr n = x.size(-1) + extra;
  if (extra > 0) {
    const Val parts[] = {x, filled(b, replaced(x.sizes(), x.rank() - 1, extra), 0, x.dtype())};
    x = b.concat(parts, -1);
  }
  // Element k stands in row k above the main diagonal, and in column k below it.
  x = b.unsqueeze(x, offset >= 0 ? -1 : -2);
  const auto place = [&](Term value, Term i, Term j) { return equal(j - i, static_cast<double>(offset)).pick(value, value.of(0)); };
  const Val y = compute(b, place, x, positions(b, n, 0, 2), positions(b, n, 1, 2));
  const Val moved = move_dim(b, y, rank - (row < column ? 2 : 1), std::min(row, column));
  return move_dim(b, moved, rank - 1, std::max(row, column));
}

void convert_diag(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const auto offset = c.fixed("diagonal");
  if (self.rank() == 1) return c.set(0, diag_embed(b, self, offset, 0, 1));
  c.set(0, b.copy(b.diagonal(self, offset, 0, 1)));
}

void add_triangles(Registry& r) {
  add_rows(r, {"aten::tril(Tensor self, SymInt diagonal=0)"}, [](Context& c) { convert_triangle(c, true); });
  add_rows(r, {"aten::triu(Tensor self, SymInt diagonal=0)"}, [](Context& c) { convert_triangle(c, false); });
  add_rows(r, {"aten::diag(Tensor self, int diagonal=0)"}, convert_diag);
  add_rows(r, {"aten::diagflat(Tensor self, int offset=0)"}, [](Context& c) {
    const Val self = c.tensor("self");
    c.set(0, diag_embed(c.build(), c.build().reshape(self, {self.numel()}), c.fixed("offset"), 0, 1));
  });
  add_rows(r, {"aten::diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1)"}, [](Context& c) {
    c.set(0, diag_embed(c.build(), c.tensor("self"), c.fixed("offset"), static_cast<int>(c.fixed("dim1")), static_cast<int>(c.fixed("dim2"))));
  });
  add_rows(r, {"aten::trace(Tensor self)"}, [](Context& c) {
    const Val diagonal = c.build().diagonal(c.tensor("self"), 0, 0, 1);
    c.set(0, c.build().reduce(ir::ReduceKind::sum, diagonal, {}, false, is_floating(diagonal.dtype()) ? diagonal.dtype() : DType::i64));
  });
}

}  // namespace

void add_rearrangements(Registry& r) {
  add_moves(r);
  add_rows(r, schemas({"channel_shuffle", "native_channel_shuffle"}, {"(Tensor self, SymInt groups)"}), convert_channel_shuffle);
  add_rows(r, {"aten::pixel_shuffle(Tensor self, int upscale_factor)"}, convert_pixel_shuffle);
  add_rows(r, {"aten::pixel_unshuffle(Tensor self, int downscale_factor)"}, convert_pixel_unshuffle);
  add_triangles(r);
}

}  // namespace reprise::ops
