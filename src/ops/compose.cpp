#include "ops/compose.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "ir/shapes.h"

namespace reprise::ops {

using ir::ReduceKind;

void add_rows(Registry& r, const Convert& convert, std::initializer_list<const char*> schemas) {
  for (const char* schema : schemas) {
    Converter row;
    row.schema = schema;
    row.convert = convert;
    r.add(std::move(row));
  }
}

int dim_of(Context& c, std::string_view name, int rank) { return ir::wrap_dim(static_cast<int>(c.fixed(name)), rank, c.node().target); }

Shape expand_ints(const Shape& values, std::size_t n, std::string_view what) {
  if (values.size() == n) return values;
  REPRISE_CHECK(values.size() == 1, InvalidArgument, "[ops/{}] wrong number of values (got {}, want {})", what, values.size(), n);
  return Shape(n, values[0]);
}

Val at_least_1d(Builder& b, Val x) { return x.rank() == 0 ? b.unsqueeze(x, 0) : x; }

Val lead_to(Builder& b, Val x, int rank) {
  while (x.rank() < rank) x = b.unsqueeze(x, 0);
  return x;
}

Val along(Builder& b, Val x, int dim, int rank) {
  for (int i = 0; i < rank; ++i)
    if (i != dim) x = b.unsqueeze(x, i);
  return x;
}

Val positions(Builder& b, const Expr& n, int dim, int rank, DType dtype) {
  const core::Attr start = is_floating(dtype) ? core::Attr(0.0) : core::Attr(Expr(0)), step = is_floating(dtype) ? core::Attr(1.0) : core::Attr(Expr(1));
  return along(b, b.iota(n, start, step, dtype), dim, rank);
}

Val filled(Builder& b, const Shape& sizes, const Expr& value, DType dtype) { return b.broadcast_to(b.scalar(value, dtype), sizes); }

Val move_dim(Builder& b, Val x, int from, int to) {
  if (from == to) return x;
  std::vector<int> dims(static_cast<std::size_t>(x.rank()));
  std::iota(dims.begin(), dims.end(), 0);
  dims.erase(dims.begin() + from);
  dims.insert(dims.begin() + to, from);
  return b.permute(x, dims);
}

Val range(Builder& b, Val x, int dim, const Expr& begin, const Expr& end) { return b.slice(x, dim, begin, end - begin); }

Val sum(Builder& b, Val x, std::vector<int> axes, bool keepdim) { return b.reduce(ReduceKind::sum, x, std::move(axes), keepdim, x.dtype()); }

namespace {

Val norm_of_wide(Builder& b, Val x, double p, const std::vector<int>& axes, bool keepdim) {
  const auto reduce = [&](ReduceKind kind, Val v) { return b.reduce(kind, v, axes, keepdim, v.dtype()); };
  if (p == 0)
    return reduce(ReduceKind::sum, compute(
                                       b, [](Term a) { return (!equal(a, 0)).as(a.type()); }, x));
  if (p == 2)
    return b.unary(ScalarOp::sqrt, reduce(ReduceKind::sum, compute(
                                                               b, [](Term a) { return a * a; }, x)));
  const Val magnitude = b.unary(ScalarOp::abs, x);
  if (std::isinf(p)) return reduce(p > 0 ? ReduceKind::max : ReduceKind::min, magnitude);
  if (p == 1) return reduce(ReduceKind::sum, magnitude);
  const Val total = reduce(ReduceKind::sum, compute(
                                                b, [p](Term a) { return pow(a, p); }, magnitude));
  return compute(
      b, [p](Term a) { return pow(a, 1 / p); }, total);
}

}  // namespace

Val p_norm(Builder& b, Val x, double p, std::vector<int> axes, bool keepdim) {
  return b.cast(norm_of_wide(b, b.cast(x, compute_type(x.dtype())), p, axes, keepdim), x.dtype());
}

Shape without(const Shape& sizes, int dim) {
  Shape out = sizes;
  out.erase(out.begin() + dim);
  return out;
}

Shape replaced(Shape sizes, int dim, Expr size) {
  sizes[static_cast<std::size_t>(dim)] = std::move(size);
  return sizes;
}

Expr wrap_index(const Expr& index, const Expr& size, const sym::SymbolTable& symbols) {
  if (sym::provably_ge(index, 0, symbols)) return index;
  if (sym::provably_ge(-1, index, symbols)) return index + size;
  return sym::where(sym::compare(sym::Op::lt, index, 0), index + size, index);
}

Expr clamp_bound(const Expr& bound, const Expr& size, const sym::SymbolTable& symbols) {
  Expr at = wrap_index(bound, size, symbols);
  if (!sym::provably_ge(at, 0, symbols)) at = sym::max(at, 0);
  if (sym::provably_ge(at, size, symbols)) return size;
  return sym::provably_ge(size, at, symbols) ? at : sym::min(at, size);
}

std::pair<Val, Val> promoted(Builder& b, Val x, Val y) {
  const auto operand = [](Val v) { return Operand{v.dtype(), v.rank() == 0 ? Operand::Level::zero_dim : Operand::Level::tensor}; };
  const Operand operands[] = {operand(x), operand(y)};
  const DType t = result_type(operands);
  return {b.cast(x, t), b.cast(y, t)};
}

void set_unused(Context& c, int output) {
  if (const ir::TensorMeta* meta = c.output_meta(output)) c.set(output, c.build().copy(filled(c.build(), meta->sizes, 0, meta->dtype)));
}

void check_expression(Context& c, const Expr& condition, const std::string& message) {
  const auto& symbols = c.build().graph().symbols;
  std::vector<std::string> names;
  sym::collect_symbols(condition, names);
  // The range of a symbol that comes from data is what such checks ensure: it proves nothing.
  const bool from_data =
      std::any_of(names.begin(), names.end(), [&](const std::string& n) { return symbols.find(n) < 0 || symbols.at(symbols.find(n)).unbacked; });
  if (!from_data && sym::bounds(condition, symbols).min >= 1) return;
  c.build().check(c.build().scalar(condition, DType::boolean), message);
}

}  // namespace reprise::ops
