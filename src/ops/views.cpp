// Views: aliases with other sizes, strides and offset; and the sizes that programs ask for.
#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using View = std::function<Val(Context&, Builder&, Val self)>;

void add_view(Registry& r, const std::vector<std::string>& schemas, const View& view) {
  add_rows(r, schemas, [view](Context& c) { c.set(0, view(c, c.build(), c.tensor("self"))); });
}

// ---- new sizes ----

/// `sizes` with the one -1 in it, at `unknown`, computed; the exporter's form of that size is preferred.
Shape complete(Context& c, Shape sizes, const Expr& numel, std::size_t unknown) {
  sizes[unknown] = 1;
  const ir::TensorMeta* meta = c.output_meta(0);
  const Expr rest = sym::product(sizes);
  if (meta != nullptr && meta->sizes.size() == sizes.size())
    sizes[unknown] = meta->sizes[unknown];
  else
    sizes[unknown] = rest.as_int() == 0 ? Expr(0) : sym::floor_div(numel, rest);
  return sizes;
}

Val reshape(Context& c, Builder& b, Val self, Shape sizes) {
  const auto unknown = std::find_if(sizes.begin(), sizes.end(), [](const Expr& e) { return ir::is_const(e, -1); });
  if (unknown != sizes.end()) sizes = complete(c, sizes, self.numel(), static_cast<std::size_t>(unknown - sizes.begin()));
  return b.reshape(self, std::move(sizes));
}

/// One dimension as several.
Val unflatten(Context& c, Builder& b, Val self) {
  const int dim = dim_of(c, "dim", self.rank());
  Shape parts = c.ints("sizes"), sizes = self.sizes();
  for (Expr& part : parts)
    if (ir::is_const(part, -1)) part = sym::floor_div(self.size(dim), -sym::product(parts));  // the -1 is one of the factors
  sizes.erase(sizes.begin() + dim);
  sizes.insert(sizes.begin() + dim, parts.begin(), parts.end());
  return b.reshape(self, std::move(sizes));
}

void add_reshapes(Registry& r) {
  add_view(r, schemas({"view", "_unsafe_view"}, {"(Tensor self, SymInt[] size)"}),
           [](Context& c, Builder& b, Val self) { return reshape(c, b, self, c.ints("size")); });
  add_view(r, schemas({"reshape"}, {"(Tensor self, SymInt[] shape)"}), [](Context& c, Builder& b, Val self) { return reshape(c, b, self, c.ints("shape")); });
  add_view(r, schemas({"_reshape_alias"}, {"(Tensor self, SymInt[] size, SymInt[] stride)"}),
           [](Context& c, Builder& b, Val self) { return reshape(c, b, self, c.ints("size")); });
  add_view(r, schemas({"reshape_as", "view_as"}, {"(Tensor self, Tensor other)"}),
           [](Context& c, Builder& b, Val self) { return b.reshape(self, c.tensor("other").sizes()); });
  add_view(r, schemas({"flatten"}, {".using_ints(Tensor self, int start_dim=0, int end_dim=-1)"}),
           [](Context& c, Builder& b, Val self) { return b.flatten(self, static_cast<int>(c.fixed("start_dim")), static_cast<int>(c.fixed("end_dim"))); });
  add_view(r, schemas({"ravel"}, {"(Tensor self)"}), [](Context&, Builder& b, Val self) { return b.reshape(self, {self.numel()}); });
  add_view(r, schemas({"unflatten"}, {".int(Tensor self, int dim, SymInt[] sizes)"}), unflatten);
}

// ---- order of dimensions ----

/// Dimensions `from` at the places `to`, the others in order around them.
Val move_dims(Context& c, Builder& b, Val self) {
  const int rank = self.rank();
  const auto from = c.fixed_ints("source"), to = c.fixed_ints("destination");
  REPRISE_CHECK(from.size() == to.size(), InvalidArgument, "[ops/movedim] source and destination differ in length (got {} and {})", from.size(), to.size());
  if (rank == 0) return self;
  std::vector<int> order(static_cast<std::size_t>(rank), -1);
  std::vector<bool> moved(static_cast<std::size_t>(rank));
  for (std::size_t i = 0; i < from.size(); ++i) {
    const int source = ir::wrap_dim(static_cast<int>(from[i]), rank, "movedim");
    order[static_cast<std::size_t>(ir::wrap_dim(static_cast<int>(to[i]), rank, "movedim"))] = source;
    moved[static_cast<std::size_t>(source)] = true;
  }
  int next = 0;
  for (int& dim : order) {
    if (dim >= 0) continue;
    while (moved[static_cast<std::size_t>(next)]) ++next;
    dim = next++;
  }
  return b.permute(self, order);
}

Val permute(Context& c, Builder& b, Val self) {
  const auto dims = c.fixed_ints("dims");
  return b.permute(self, std::vector<int>(dims.begin(), dims.end()));
}

/// All dimensions backwards.
Val reversed(Builder& b, Val self) {
  std::vector<int> dims(static_cast<std::size_t>(self.rank()));
  std::iota(dims.rbegin(), dims.rend(), 0);
  return b.permute(self, dims);
}

void add_permutations(Registry& r) {
  const auto swap = [](const char* first, const char* second) {
    return [=](Context& c, Builder& b, Val self) { return b.transpose(self, static_cast<int>(c.fixed(first)), static_cast<int>(c.fixed(second))); };
  };
  add_view(r, schemas({"permute"}, {"(Tensor self, int[] dims)"}), permute);
  add_view(r, {"aten::transpose.int(Tensor self, int dim0, int dim1)", "aten::swapdims(Tensor self, int dim0, int dim1)"}, swap("dim0", "dim1"));
  add_view(r, schemas({"swapaxes"}, {"(Tensor self, int axis0, int axis1)"}), swap("axis0", "axis1"));
  add_view(r, schemas({"movedim", "moveaxis"}, {".int(Tensor self, int source, int destination)", ".intlist(Tensor self, int[] source, int[] destination)"}),
           move_dims);
  add_view(r, schemas({"t", "numpy_T"}, {"(Tensor self)"}), [](Context&, Builder& b, Val self) { return reversed(b, self); });
  add_view(r, schemas({"mT", "mH", "adjoint", "matrix_H"}, {"(Tensor self)"}), [](Context&, Builder& b, Val self) { return b.transpose(self, -2, -1); });
}

// ---- sizes of 1 ----

/// Drops those of `dims` that are provably 1.
Val squeeze(Builder& b, Val self, std::vector<int> dims) {
  std::sort(dims.rbegin(), dims.rend());
  for (const int dim : dims) self = b.squeeze(self, dim);
  return self;
}

Val squeeze_all(Builder& b, Val self) {
  std::vector<int> dims(static_cast<std::size_t>(self.rank()));
  std::iota(dims.begin(), dims.end(), 0);
  return squeeze(b, self, std::move(dims));
}

/// NumPy's atleast_2d and atleast_3d put single dimensions around a vector.
Val at_least(Builder& b, Val x, int rank) {
  x = at_least_1d(b, x);
  if (rank >= 2 && x.rank() == 1) x = b.unsqueeze(x, 0);
  if (rank >= 3 && x.rank() == 2) x = b.unsqueeze(x, -1);
  return x;
}

void add_unit_dims(Registry& r) {
  add_view(r, schemas({"unsqueeze"}, {"(Tensor self, int dim)"}),
           [](Context& c, Builder& b, Val self) { return b.unsqueeze(self, static_cast<int>(c.fixed("dim"))); });
  add_view(r, schemas({"squeeze"}, {"(Tensor self)"}), [](Context&, Builder& b, Val self) { return squeeze_all(b, self); });
  add_view(r, schemas({"squeeze"}, {".dim(Tensor self, int dim)", ".dims(Tensor self, int[] dim)"}),
           [](Context& c, Builder& b, Val self) { return self.rank() == 0 ? self : squeeze(b, self, axes_of(c, "dim", self.rank())); });
  for (const int rank : {1, 2, 3}) {
    const std::string name = "aten::atleast_" + std::to_string(rank) + "d";
    add_view(r, {name + "(Tensor self)"}, [rank](Context&, Builder& b, Val self) { return at_least(b, self, rank); });
    add_rows(r, {name + ".Sequence(Tensor[] tensors)"}, [rank](Context& c) {
      auto tensors = c.tensors("tensors");
      for (Val& x : tensors) x = at_least(c.build(), x, rank);
      c.set_all(tensors);
    });
  }
  add_view(r, schemas({"expand"}, {"(Tensor self, SymInt[] size, *, bool implicit=False)"}),
           [](Context& c, Builder& b, Val self) { return b.expand(self, c.ints("size")); });
  add_view(r, schemas({"broadcast_to"}, {"(Tensor self, SymInt[] size)"}), [](Context& c, Builder& b, Val self) { return b.expand(self, c.ints("size")); });
  add_view(r, schemas({"expand_as"}, {"(Tensor self, Tensor other)"}),
           [](Context& c, Builder& b, Val self) { return b.expand(self, c.tensor("other").sizes()); });
}

// ---- parts ----

/// Python's slice: bounds count from the end where negative, and are clamped.
Val slice(Context& c, Builder& b, Val self) {
  const int dim = dim_of(c, "dim", self.rank());
  const auto& symbols = b.graph().symbols;
  const Expr& size = self.size(dim);
  const Expr start = c.is_none("start") ? Expr(0) : clamp_bound(c.integer("start"), size, symbols);
  const Expr end = c.is_none("end") ? size : clamp_bound(c.integer("end"), size, symbols);
  const auto step = c.fixed("step");
  REPRISE_CHECK(step > 0, InvalidArgument, "[ops/slice] the step must be positive (got {})", step);
  Expr span = end - start;
  if (!sym::provably_ge(span, 0, symbols)) span = sym::max(span, 0);
  // An empty slice may start behind the last element; from the front it stays inside.
  return b.slice(self, dim, ir::is_const(span, 0) ? Expr(0) : start, sym::ceil_div(span, step), step);
}

/// narrow(dim, start, length), with a start that counts from the end where negative.
Val narrow(Context& c, Builder& b, Val self) {
  const int dim = dim_of(c, "dim", self.rank());
  const Expr start = wrap_index(c.integer("start"), self.size(dim), b.graph().symbols);
  return b.slice(self, dim, start, c.integer("length"));
}

/// The same with a start that only the data tells: a copy.
Val narrow_at(Context& c, Builder& b, Val self) {
  const int dim = dim_of(c, "dim", self.rank());
  const Expr& size = self.size(dim);
  const Val start = b.reshape(b.cast(c.tensor("start"), DType::i64), {1});
  const Val index = compute(
      b, [&](Term i, Term s) { return i + (s < 0).pick(s + s.of(size), s); }, positions(b, c.integer("length"), 0, 1), start);
  return b.index_select(self, index, dim);
}

/// Windows of `size` elements, `step` apart, in a new last dimension.
Val unfold(Context& c, Builder& b, Val self) {
  const Val x = at_least_1d(b, self);
  const auto dim = static_cast<std::size_t>(dim_of(c, "dimension", self.rank()));
  const auto size = c.fixed("size"), step = c.fixed("step");
  REPRISE_CHECK(size >= 0 && step > 0, InvalidArgument, "[ops/unfold] wrong window (got size {} and step {}, want >= 0 and > 0)", size, step);
  ir::Value v = x.value();
  v.sizes.push_back(size);
  v.strides.push_back(v.strides[dim]);
  v.sizes[dim] = sym::floor_div(v.sizes[dim] - size, step) + 1;
  v.strides[dim] = v.strides[dim] * step;
  if (self.rank() == 0) {  // a scalar is one window of itself
    v.sizes.erase(v.sizes.begin());
    v.strides.erase(v.strides.begin());
  }
  return b.as_strided(x, v.sizes, v.strides, v.offset);
}

/// Counted in the root's elements, which stand in row-major order.
Val as_strided(Context& c, Builder& b, Val self) {
  return b.as_strided(self, c.ints("size"), c.ints("stride"), c.is_none("storage_offset") ? self.value().offset : c.integer("storage_offset"));
}

void add_parts(Registry& r) {
  add_view(r, {"aten::slice.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1)"}, slice);
  add_view(r, {"aten::select.int(Tensor self, int dim, SymInt index)"}, [](Context& c, Builder& b, Val self) {
    const int dim = dim_of(c, "dim", self.rank());
    return b.select(self, dim, wrap_index(c.integer("index"), self.size(dim), b.graph().symbols));
  });
  add_view(r, {"aten::narrow(Tensor self, int dim, SymInt start, SymInt length)"}, narrow);
  add_view(r, {"aten::narrow.Tensor(Tensor self, int dim, Tensor start, SymInt length)"}, narrow_at);
  add_view(r, {"aten::narrow_copy(Tensor self, int dim, SymInt start, SymInt length)"},
           [](Context& c, Builder& b, Val self) { return b.copy(narrow(c, b, self)); });
  add_view(r, {"aten::diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1)"}, [](Context& c, Builder& b, Val self) {
    return b.diagonal(self, c.fixed("offset"), static_cast<int>(c.fixed("dim1")), static_cast<int>(c.fixed("dim2")));
  });
  add_rows(r, {"aten::linalg_diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1)"}, [](Context& c) {
    c.set(0, c.build().diagonal(c.tensor("A"), c.fixed("offset"), static_cast<int>(c.fixed("dim1")), static_cast<int>(c.fixed("dim2"))));
  });
  add_view(r, {"aten::unfold(Tensor self, int dimension, int size, int step)"}, unfold);
  add_view(r, {"aten::as_strided(Tensor self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None)"}, as_strided);
}

/// Sizes asked for by a program are expressions already.
void add_sizes(Registry& r) {
  add_rows(r, schemas({"sym_size", "sym_stride"}, {".int(Tensor self, int dim)"}), [](Context&) {});
  add_rows(r, schemas({"sym_numel", "sym_storage_offset"}, {"(Tensor self)"}), [](Context&) {});
}

}  // namespace

void add_views(Registry& r) {
  add_reshapes(r);
  add_permutations(r);
  add_unit_dims(r);
  add_parts(r);
  add_splits(r);
  add_sizes(r);
}

}  // namespace reprise::ops
