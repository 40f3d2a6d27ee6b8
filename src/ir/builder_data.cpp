// Ops that move elements by index, order them, or make them.
#include <algorithm>

#include "base/check.h"
#include "ir/builder.h"
#include "ir/shapes.h"

namespace reprise::ir {
namespace {

/// torch.cat's leniency: tensors of sizes [0] join anything.
bool is_legacy_empty(const Val& x) { return x.rank() == 1 && is_const(x.size(0), 0); }

void check_axes(const Val& x, std::span<const Val> indices, const std::vector<int>& axes, const char* where) {
  REPRISE_CHECK(indices.size() == axes.size() && !axes.empty(), InvalidArgument, "[ir/{}] wants one axis per index (got {} and {})", where, axes.size(),
                indices.size());
  for (std::size_t i = 0; i < axes.size(); ++i)
    REPRISE_CHECK(axes[i] >= 0 && axes[i] < x.rank() && (i == 0 || axes[i] > axes[i - 1]), InvalidArgument,
                  "[ir/{}] axes must rise within the rank (got {}, rank {})", where, axes[i], x.rank());
}

/// x[…, i_j, …]: the kept dimensions with the index dimensions at `position`.
sym::Shape indexed_sizes(const sym::Shape& x, const std::vector<int>& axes, const sym::Shape& index, int position) {
  sym::Shape out;
  for (int i = 0; i < static_cast<int>(x.size()); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) out.push_back(x[static_cast<std::size_t>(i)]);
  REPRISE_CHECK(position >= 0 && position <= static_cast<int>(out.size()), InvalidArgument, "[ir/index] position is out of range (got {})", position);
  out.insert(out.begin() + position, index.begin(), index.end());
  return out;
}

core::Attrs index_attrs(const std::vector<int>& axes, int position) { return {{"axes", core::exprs({axes.begin(), axes.end()})}, {"position", position}}; }

}  // namespace

std::vector<Val> Builder::same_index_sizes(std::span<const Val> indices, sym::Shape& sizes) {
  for (const Val& i : indices) sizes = broadcast_shapes(sizes, i.sizes());
  std::vector<Val> out;
  for (const Val& i : indices) out.push_back(broadcast_to(cast(i, DType::i64), sizes));
  return out;
}

Val Builder::concat(std::span<const Val> xs, int axis) {
  std::vector<Val> parts;
  for (const Val& x : xs)
    if (!is_legacy_empty(x)) parts.push_back(x);
  if (parts.empty() && !xs.empty()) parts.push_back(xs.front());
  REPRISE_CHECK(!parts.empty(), InvalidArgument, "[ir/concat] nothing to join");
  if (parts.size() == 1) return copy(parts.front());
  const Val first = parts.front();
  const auto a = wrap_dim(axis, first.rank(), "concat");
  REPRISE_CHECK(first.rank() > 0, ShapeError, "[ir/concat] scalars cannot be joined");
  sym::Shape sizes = first.sizes();
  sizes[static_cast<std::size_t>(a)] = 0;
  for (const Val& x : parts) {
    REPRISE_CHECK(x.rank() == first.rank(), ShapeError, "[ir/concat] ranks differ (got {} and {})", x.rank(), first.rank());
    REPRISE_CHECK(x.dtype() == first.dtype(), InvalidArgument, "[ir/concat] dtypes differ (got {} and {})", name(x.dtype()), name(first.dtype()));
    for (int i = 0; i < first.rank(); ++i) {
      auto& size = sizes[static_cast<std::size_t>(i)];
      size = i == a ? size + x.size(i) : unify(size, x.size(i), "concat");
    }
  }
  return emit(core::Op::concat, parts, first.dtype(), std::move(sizes), {{"axis", a}});
}

Val Builder::gather(Val x, Val index, int axis) {
  const int a = wrap_dim(axis, x.rank(), "gather");
  const sym::Shape sizes = index.sizes();
  if (x.rank() == 0) x = reshape(x, {1});
  if (index.rank() == 0) index = reshape(index, {1});
  REPRISE_CHECK(x.rank() == index.rank(), ShapeError, "[ir/gather] ranks differ (got {} and {})", x.rank(), index.rank());
  const Val operands[] = {x, cast(index, DType::i64)};
  return reshape(emit(core::Op::gather, operands, x.dtype(), index.sizes(), {{"axis", a}}), sizes);
}

Val Builder::scatter(Val x, Val index, Val src, int axis, std::string_view reduce, bool include_self) {
  const int a = wrap_dim(axis, x.rank(), "scatter");
  const sym::Shape sizes = x.sizes();
  for (Val* v : {&x, &index, &src})
    if (v->rank() == 0) *v = reshape(*v, {1});
  REPRISE_CHECK(x.rank() == index.rank() && src.rank() == index.rank(), ShapeError, "[ir/scatter] ranks differ (got {}, {} and {})", x.rank(), index.rank(),
                src.rank());
  for (int i = 0; i < index.rank(); ++i)  // src may be larger than the index
    if (src.size(i) != index.size(i)) src = slice(src, i, 0, index.size(i));
  const Val operands[] = {x, cast(index, DType::i64), cast(src, x.dtype())};
  return reshape(emit(core::Op::scatter, operands, x.dtype(), x.sizes(), {{"axis", a}, {"reduce", std::string(reduce)}, {"include_self", include_self}}),
                 sizes);
}

Val Builder::index(Val x, std::span<const Val> indices, std::vector<int> axes, int position) {
  check_axes(x, indices, axes, "index");
  sym::Shape index_sizes;
  std::vector<Val> operands = same_index_sizes(indices, index_sizes);
  auto sizes = indexed_sizes(x.sizes(), axes, index_sizes, position);
  operands.insert(operands.begin(), x);
  return emit(core::Op::index, operands, x.dtype(), std::move(sizes), index_attrs(axes, position));
}

Val Builder::index_put(Val x, Val values, std::span<const Val> indices, std::vector<int> axes, int position, bool accumulate) {
  check_axes(x, indices, axes, "index_put");
  sym::Shape index_sizes;
  std::vector<Val> operands = same_index_sizes(indices, index_sizes);
  values = broadcast_to(cast(values, x.dtype()), indexed_sizes(x.sizes(), axes, index_sizes, position));
  operands.insert(operands.begin(), {x, values});
  auto attrs = index_attrs(axes, position);
  attrs.set("accumulate", accumulate);
  return emit(core::Op::index_put, operands, x.dtype(), x.sizes(), std::move(attrs));
}

Val Builder::index_select(Val x, Val index, int axis) {
  const int a = wrap_dim(axis, x.rank(), "index_select");
  const bool scalar = x.rank() == 0;
  if (scalar) x = reshape(x, {1});
  if (index.rank() == 0) index = reshape(index, {1});
  REPRISE_CHECK(index.rank() == 1, ShapeError, "[ir/index_select] the index must have rank 1 (got {})", index.rank());
  const Val y = this->index(x, std::span(&index, 1), {a}, a);
  return scalar ? reshape(y, {}) : y;
}

Val Builder::write_view(Val x, Val view, Val src) {
  REPRISE_CHECK(graph_->is_contiguous(x.id()) && x.value().root == view.value().root, InvalidArgument, "[ir/write_view] wants a view of a contiguous value");
  const Value v = view.value();
  const Val operands[] = {x, broadcast_to(cast(src, x.dtype()), v.sizes)};
  return emit(core::Op::write_view, operands, x.dtype(), x.sizes(), {{"sizes", v.sizes}, {"strides", v.strides}, {"offset", v.offset - x.value().offset}});
}

// ---- order ----

std::pair<Val, Val> Builder::sort(Val x, int axis, bool descending, bool stable) {
  const int a = wrap_dim(axis, x.rank(), "sort");
  const sym::Shape sizes = x.sizes();
  if (x.rank() == 0) x = reshape(x, {1});
  const Val values = new_root(x.dtype(), x.sizes()), indices = new_root(DType::i64, x.sizes());
  append(core::Op::sort, {x.id()}, {values.id(), indices.id()}, {{"axis", a}, {"descending", descending}, {"stable", stable}});
  return {reshape(values, sizes), reshape(indices, sizes)};
}

std::pair<Val, Val> Builder::topk(Val x, sym::Expr k, int axis, bool largest, bool sorted) {
  const int a = wrap_dim(axis, x.rank(), "topk");
  const bool scalar = x.rank() == 0;
  if (scalar) x = reshape(x, {1});
  const auto n = x.size(a).as_int(), wanted = k.as_int();
  REPRISE_CHECK(!n || !wanted || (*wanted >= 0 && *wanted <= *n), ShapeError, "[ir/topk] k is out of range (got {}, want 0 to {})", *wanted, *n);
  sym::Shape sizes = x.sizes();
  sizes[static_cast<std::size_t>(a)] = std::move(k);
  const Val values = new_root(x.dtype(), sizes), indices = new_root(DType::i64, sizes);
  append(core::Op::topk, {x.id()}, {values.id(), indices.id()}, {{"axis", a}, {"largest", largest}, {"sorted", sorted}});
  if (!scalar) return {values, indices};
  return {reshape(values, {}), reshape(indices, {})};
}

Val Builder::search_sorted(Val sorted, Val values, bool right, DType dtype) {
  REPRISE_CHECK(sorted.rank() >= 1, ShapeError, "[ir/search_sorted] the sequence is a scalar");
  REPRISE_CHECK(sorted.dtype() == values.dtype(), InvalidArgument, "[ir/search_sorted] dtypes differ (got {} and {})", name(sorted.dtype()),
                name(values.dtype()));
  const sym::Shape sizes = values.sizes();
  if (sorted.rank() == 1) values = reshape(values, {values.numel()});
  REPRISE_CHECK(sorted.rank() == values.rank(), ShapeError, "[ir/search_sorted] ranks differ (got {} and {})", sorted.rank(), values.rank());
  for (int i = 0; i + 1 < sorted.rank(); ++i) unify(sorted.size(i), values.size(i), "search_sorted");
  const Val operands[] = {sorted, values};
  return reshape(emit(core::Op::search_sorted, operands, dtype, values.sizes(), {{"right", right}}), sizes);
}

// ---- made from nothing ----

Val Builder::iota(sym::Expr n, core::Attr start, core::Attr step, DType dtype) {
  return emit(core::Op::iota, {}, dtype, {std::move(n)}, {{"start", std::move(start)}, {"step", std::move(step)}});
}

Val Builder::fill(sym::Shape sizes, core::Attr value, DType dtype) { return emit(core::Op::fill, {}, dtype, std::move(sizes), {{"value", std::move(value)}}); }

Val Builder::scalar(double value, DType dtype) { return fill({}, value, dtype); }

Val Builder::scalar(const sym::Expr& value, DType dtype) {
  if (value.op() == sym::Op::real) return fill({}, value.real_value(), dtype);
  return fill({}, value, dtype);
}

Val Builder::random(std::string_view kind, sym::Shape sizes, double low, double high, DType dtype) {
  // Any number that no other random node of the graph has will do as slot.
  const auto slot = static_cast<std::int64_t>(graph_->values.size());
  return emit(core::Op::random, {}, dtype, std::move(sizes), {{"kind", std::string(kind)}, {"low", low}, {"high", high}, {"seed_slot", slot}});
}

}  // namespace reprise::ir
