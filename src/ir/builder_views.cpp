// Views: aliases of a root, made by arithmetic on sizes, strides and offset.
#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "ir/builder.h"
#include "ir/shapes.h"

namespace reprise::ir {
namespace {

/// A run of dimensions that one stride walks: `count` elements, `stride` apart.
struct Chunk {
  sym::Expr count, stride;
};

/// Merges dimensions from the right where memory runs on; sizes of 1 do not matter.
std::vector<Chunk> chunks_from_right(const Value& v) {
  std::vector<Chunk> out;
  for (std::size_t i = v.sizes.size(); i-- > 0;) {
    if (is_const(v.sizes[i], 1)) continue;
    if (!out.empty() && v.strides[i] == out.back().count * out.back().stride)
      out.back().count = out.back().count * v.sizes[i];
    else
      out.push_back({v.sizes[i], v.strides[i]});
  }
  return out;
}

/// Strides of `sizes` over the same elements, when each chunk is provably a product of whole new dimensions.
std::optional<sym::Shape> view_strides(const Value& v, const sym::Shape& sizes) {
  sym::Shape strides(sizes.size(), sym::Expr(1));
  auto d = sizes.size();
  sym::Expr next = 1;  // what a size-1 dimension left of everything gets
  for (const Chunk& chunk : chunks_from_right(v)) {
    sym::Expr covered = 1;
    while (covered != chunk.count && d > 0) {
      --d;
      strides[d] = chunk.stride * covered;
      covered = covered * sizes[d];
    }
    if (covered != chunk.count) return std::nullopt;
    next = chunk.stride * covered;
  }
  while (d > 0) {
    if (!is_const(sizes[--d], 1)) return std::nullopt;
    strides[d] = next;
  }
  return strides;
}

}  // namespace

Val Builder::make_view(Val x, sym::Shape sizes, sym::Shape strides, sym::Expr offset) {
  return {graph_, graph_->add_view(x.id(), std::move(sizes), std::move(strides), std::move(offset))};
}

Val Builder::as_strided(Val x, sym::Shape sizes, sym::Shape strides, sym::Expr offset) {
  return make_view(x, std::move(sizes), std::move(strides), std::move(offset));
}

Val Builder::permute(Val x, std::span<const int> dims) {
  const Value v = x.value();
  REPRISE_CHECK(dims.size() == v.sizes.size(), InvalidArgument, "[ir/permute] wrong number of dimensions (got {}, want {})", dims.size(), v.sizes.size());
  sym::Shape sizes, strides;
  std::vector<bool> seen(dims.size());
  for (int dim : dims) {
    const auto d = static_cast<std::size_t>(wrap_dim(dim, x.rank(), "permute"));
    REPRISE_CHECK(!seen[d], InvalidArgument, "[ir/permute] dimension {} is named twice", d);
    seen[d] = true;
    sizes.push_back(v.sizes[d]);
    strides.push_back(v.strides[d]);
  }
  return make_view(x, std::move(sizes), std::move(strides), v.offset);
}

Val Builder::transpose(Val x, int a, int b) {
  if (x.rank() == 0) return x;
  std::vector<int> dims(static_cast<std::size_t>(x.rank()));
  std::iota(dims.begin(), dims.end(), 0);
  std::swap(dims[static_cast<std::size_t>(wrap_dim(a, x.rank(), "transpose"))], dims[static_cast<std::size_t>(wrap_dim(b, x.rank(), "transpose"))]);
  return permute(x, dims);
}

Val Builder::expand(Val x, sym::Shape sizes) {
  const Value v = x.value();
  REPRISE_CHECK(sizes.size() >= v.sizes.size(), ShapeError, "[ir/expand] rank shrinks (got {}, want at least {})", sizes.size(), v.sizes.size());
  const auto lead = sizes.size() - v.sizes.size();
  sym::Shape strides(sizes.size(), sym::Expr(0));
  for (std::size_t i = lead; i < sizes.size(); ++i) {
    const sym::Expr& have = v.sizes[i - lead];
    if (is_const(sizes[i], -1)) sizes[i] = have;
    if (is_const(have, 1) && !is_const(sizes[i], 1)) continue;
    sizes[i] = unify(sizes[i], have, "expand");
    strides[i] = v.strides[i - lead];
  }
  for (std::size_t i = 0; i < lead; ++i) REPRISE_CHECK(!is_const(sizes[i], -1), ShapeError, "[ir/expand] a new dimension cannot be -1");
  return make_view(x, std::move(sizes), std::move(strides), v.offset);
}

Val Builder::unsqueeze(Val x, int dim) {
  Value v = x.value();
  const auto d = wrap_dim(dim, x.rank() + 1, "unsqueeze");
  v.strides.insert(v.strides.begin() + d, d < x.rank() ? v.sizes[static_cast<std::size_t>(d)] * v.strides[static_cast<std::size_t>(d)] : sym::Expr(1));
  v.sizes.insert(v.sizes.begin() + d, 1);
  return make_view(x, std::move(v.sizes), std::move(v.strides), std::move(v.offset));
}

Val Builder::squeeze(Val x, int dim) {
  const auto d = wrap_dim(dim, x.rank(), "squeeze");
  if (x.rank() == 0 || !is_const(x.size(d), 1)) return x;
  Value v = x.value();
  v.sizes.erase(v.sizes.begin() + d);
  v.strides.erase(v.strides.begin() + d);
  return make_view(x, std::move(v.sizes), std::move(v.strides), std::move(v.offset));
}

Val Builder::slice(Val x, int dim, sym::Expr start, sym::Expr length, std::int64_t step) {
  REPRISE_CHECK(x.rank() > 0, ShapeError, "[ir/slice] a scalar has no dimension to slice");
  const auto d = static_cast<std::size_t>(wrap_dim(dim, x.rank(), "slice"));
  Value v = x.value();
  v.offset = v.offset + start * v.strides[d];
  v.sizes[d] = std::move(length);
  v.strides[d] = v.strides[d] * step;
  return make_view(x, std::move(v.sizes), std::move(v.strides), std::move(v.offset));
}

Val Builder::select(Val x, int dim, sym::Expr index) {
  const int d = wrap_dim(dim, x.rank(), "select");
  const auto at = index.as_int(), size = x.rank() > 0 ? x.size(d).as_int() : 0;
  REPRISE_CHECK(!at || !size || (*at >= 0 && *at < *size), ShapeError, "[ir/select] index is out of range (got {}, want below {})", *at, *size);
  const Val row = slice(x, d, std::move(index), 1);
  return squeeze(row, d);
}

Val Builder::diagonal(Val x, std::int64_t offset, int dim1, int dim2) {
  const auto a = wrap_dim(dim1, x.rank(), "diagonal"), b = wrap_dim(dim2, x.rank(), "diagonal");
  REPRISE_CHECK(x.rank() >= 2 && a != b, InvalidArgument, "[ir/diagonal] needs two different dimensions (got {} and {})", a, b);
  Value v = x.value();
  const auto row = static_cast<std::size_t>(a), column = static_cast<std::size_t>(b);
  const sym::Expr rows = v.sizes[row] - (offset < 0 ? -offset : 0), columns = v.sizes[column] - (offset > 0 ? offset : 0);
  const sym::Expr length = sym::max(sym::min(rows, columns), 0);
  const sym::Expr stride = v.strides[row] + v.strides[column];
  if (!is_const(length, 0)) v.offset = v.offset + (offset < 0 ? v.strides[row] * -offset : v.strides[column] * offset);
  for (const int d : {std::max(a, b), std::min(a, b)}) {
    v.sizes.erase(v.sizes.begin() + d);
    v.strides.erase(v.strides.begin() + d);
  }
  v.sizes.push_back(length);
  v.strides.push_back(stride);
  return make_view(x, std::move(v.sizes), std::move(v.strides), std::move(v.offset));
}

std::optional<Val> Builder::try_view(Val x, sym::Shape sizes) {
  REPRISE_CHECK(!differ(x.numel(), sym::product(sizes)), ShapeError, "[ir/view] {} does not have the elements of {}", sym::str(sizes), sym::str(x.sizes()));
  if (sym::equal(sizes, x.sizes())) return x;
  const Value v = x.value();
  if (graph_->is_contiguous(x.id())) {
    auto strides = sym::contiguous_strides(sizes);
    return make_view(x, std::move(sizes), std::move(strides), v.offset);
  }
  auto strides = view_strides(v, sizes);
  if (!strides) return std::nullopt;
  return make_view(x, std::move(sizes), std::move(*strides), v.offset);
}

Val Builder::reshape(Val x, sym::Shape sizes) {
  if (auto view = try_view(x, sizes)) return *view;
  return *try_view(copy(x), std::move(sizes));
}

Val Builder::flatten(Val x, int first, int last) {
  if (x.rank() == 0) return reshape(x, {1});
  const auto a = wrap_dim(first, x.rank(), "flatten"), b = wrap_dim(last, x.rank(), "flatten");
  REPRISE_CHECK(a <= b, InvalidArgument, "[ir/flatten] the first dimension comes after the last (got {} and {})", a, b);
  sym::Shape sizes = x.sizes();
  const auto from = sizes.begin() + a, to = sizes.begin() + b + 1;
  *from = sym::product(std::span<const sym::Expr>(from, to));
  sizes.erase(from + 1, to);
  return reshape(x, std::move(sizes));
}

Val Builder::with_sizes(Val x, sym::Shape sizes) {
  REPRISE_CHECK(!differ(x.sizes(), sizes), ShapeError, "[ir/with_sizes] sizes differ (got {}, want {})", sym::str(x.sizes()), sym::str(sizes));
  if (sym::equal(sizes, x.sizes())) return x;
  const Value v = x.value();
  auto strides = graph_->is_contiguous(x.id()) ? sym::contiguous_strides(sizes) : v.strides;
  return make_view(x, std::move(sizes), std::move(strides), v.offset);
}

Val Builder::broadcast_to(Val x, const sym::Shape& sizes) { return sym::equal(sizes, x.sizes()) ? x : expand(x, sizes); }

sym::Shape Builder::broadcast_shapes(const sym::Shape& a, const sym::Shape& b) {
  const auto& longer = a.size() >= b.size() ? a : b;
  const auto& shorter = a.size() >= b.size() ? b : a;
  sym::Shape out = longer;
  const auto lead = longer.size() - shorter.size();
  for (std::size_t i = lead; i < out.size(); ++i) {
    const sym::Expr& other = shorter[i - lead];
    if (is_const(out[i], 1))
      out[i] = other;
    else if (!is_const(other, 1))
      out[i] = unify(out[i], other, "broadcast");
  }
  return out;
}

}  // namespace reprise::ir
