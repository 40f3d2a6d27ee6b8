// Tensors made from numbers: fills, ranges, grids.
#include <cmath>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using Terms = std::span<const Term>;

// What creation functions take beside their own arguments; only the dtype matters.
constexpr const char* kOptions = "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None";

std::string with_options(const std::string& head, bool memory_format = false) {
  return "aten::" + head + ", " + kOptions + (memory_format ? ", MemoryFormat? memory_format=None)" : ")");
}

DType dtype_or(Context& c, DType fallback) { return c.dtype("dtype").value_or(fallback); }

/// A number as an attribute of a fill: integers exactly, reals truncated where the dtype is integral. nullopt: a symbolic real.
std::optional<core::Attr> fill_value(const Number& n, DType dtype) {
  if (n.value.op() == sym::Op::real) {
    const double value = n.value.real_value();
    if (dtype == DType::boolean) return core::Attr(Expr(value != 0));
    return is_floating(dtype) ? core::Attr(value) : core::Attr(Expr(static_cast<std::int64_t>(value)));
  }
  if (n.value.is_real()) return std::nullopt;
  const auto fixed = n.value.as_int();
  return core::Attr(dtype == DType::boolean && fixed ? Expr(*fixed != 0) : n.value);
}

Val full(Builder& b, const Shape& sizes, const Number& n, DType dtype) {
  if (const auto value = fill_value(n, dtype)) return b.fill(sizes, *value, dtype);
  const Val scalar = b.map(std::span<const Val>(), [&](ScalarBuilder& s, std::span<const Sv>) { return s.cast(s.symbol(n.value, DType::f64), dtype); });
  return b.copy(b.broadcast_to(scalar, sizes));
}

Number integer(std::int64_t value) { return {Number::Kind::integer, value}; }

void add_fills(Registry& r) {
  const auto add = [&](const std::string& schema, const Convert& convert) { add_rows(r, {schema}, convert); };
  // Uninitialized memory is zeros here: a program's values then never depend on what memory held.
  for (const auto& [name, value] : {std::pair("zeros", 0), {"ones", 1}, {"empty", 0}}) {
    const Number n = integer(value);
    const bool empty = std::string_view(name) == "empty";
    const auto sized = [n](Context& c) { c.set(0, full(c.build(), c.ints("size"), n, dtype_or(c, DType::f32))); };
    const auto like = [n](Context& c) { c.set(0, full(c.build(), c.tensor("self").sizes(), n, dtype_or(c, c.tensor("self").dtype()))); };
    const auto of_self = [n](Context& c) { c.set(0, full(c.build(), c.ints("size"), n, dtype_or(c, c.tensor("self").dtype()))); };
    add(with_options(std::string(name) + (empty ? ".memory_format" : "") + "(SymInt[] size", empty), sized);
    add(with_options(std::string(name) + "_like(Tensor self", true), like);
    add(with_options("new_" + std::string(name) + "(Tensor self, SymInt[] size"), of_self);
    if (!empty) continue;
    add(with_options("empty_permuted(SymInt[] size, int[] physical_layout"), sized);
    add(with_options("empty_strided(SymInt[] size, SymInt[] stride"), sized);
    add(with_options("new_empty_strided(Tensor self, SymInt[] size, SymInt[] stride"), of_self);
  }
  add(with_options("full(SymInt[] size, Scalar fill_value"), [](Context& c) {
    const Number n = c.scalar("fill_value");
    c.set(0, full(c.build(), c.ints("size"), n, dtype_or(c, number_type(n))));
  });
  add(with_options("full_like(Tensor self, Scalar fill_value", true),
      [](Context& c) { c.set(0, full(c.build(), c.tensor("self").sizes(), c.scalar("fill_value"), dtype_or(c, c.tensor("self").dtype()))); });
  add(with_options("new_full(Tensor self, SymInt[] size, Scalar fill_value"),
      [](Context& c) { c.set(0, full(c.build(), c.ints("size"), c.scalar("fill_value"), dtype_or(c, c.tensor("self").dtype()))); });
  add(with_options("scalar_tensor(Scalar s"), [](Context& c) { c.set(0, full(c.build(), {}, c.scalar("s"), dtype_or(c, DType::f32))); });
  add("aten::zero(Tensor self)", [](Context& c) { c.set(0, full(c.build(), c.tensor("self").sizes(), integer(0), c.tensor("self").dtype())); });
  add("aten::fill.Scalar(Tensor self, Scalar value)",
      [](Context& c) { c.set(0, full(c.build(), c.tensor("self").sizes(), c.scalar("value"), c.tensor("self").dtype())); });
  add("aten::fill.Tensor(Tensor self, Tensor value)", [](Context& c) {
    const Val self = c.tensor("self"), value = c.build().cast(c.tensor("value"), self.dtype());
    c.set(0, c.build().copy(c.build().broadcast_to(c.build().reshape(value, {}), self.sizes())));
  });
}

// ---- ranges ----

struct Range {
  Number start = integer(0), end, step = integer(1);
  [[nodiscard]] bool all(bool (*test)(const Number&)) const { return test(start) && test(end) && test(step); }
};

bool is_exact(const Number& n) { return !n.value.is_real(); }
bool is_known(const Number& n) { return constant(n).has_value(); }

/// How many elements; the exporter's word where it has one.
Expr length(Context& c, const Range& range) {
  if (const ir::TensorMeta* meta = c.output_meta(0); meta != nullptr && meta->sizes.size() == 1) return meta->sizes[0];
  if (range.all(is_exact)) return sym::max(sym::ceil_div(range.end.value - range.start.value, range.step.value), 0);
  REPRISE_CHECK(range.all(is_known), UnsupportedOp, "[ops/arange] the size of a range between symbolic reals is not known (got end {}, want an exported size)",
                range.end.value.str());
  return static_cast<std::int64_t>(std::ceil((*constant(range.end) - *constant(range.start)) / *constant(range.step)));
}

void convert_arange(Context& c, const Range& range) {
  Builder& b = c.build();
  const DType dtype = dtype_or(c, range.all(is_exact) ? DType::i64 : DType::f32);
  const Expr n = length(c, range);
  if (!is_floating(dtype) && (range.all(is_exact) || range.all(is_known)))
    return c.set(0, b.iota(n, *fill_value(range.start, dtype), *fill_value(range.step, dtype), dtype));
  if (range.all(is_known)) return c.set(0, b.iota(n, *constant(range.start), *constant(range.step), dtype));
  const Input inputs[] = {{.tensor = positions(b, n, 0, 1)}, {.tensor = {}, .number = range.start}, {.tensor = {}, .number = range.step}};
  c.set(0, pointwise(c, inputs, DType::f64, dtype, [](Context&, Terms x) { return x[1] + x[0] * x[2]; }));
}

/// Evenly spaced from both ends towards the middle, as PyTorch does it; integers in f64.
Val spaced(Context& c, const std::function<Term(Term)>& finish) {
  Builder& b = c.build();
  const DType dtype = dtype_or(c, DType::f32), work = is_floating(dtype) ? compute_type(dtype) : DType::f64;
  const std::int64_t steps = c.fixed("steps");
  const Input inputs[] = {{.tensor = b.iota(steps, Expr(0), Expr(1), DType::i64)}, input(c, "start"), input(c, "end")};
  return pointwise(c, inputs, work, dtype, [&](Context&, Terms x) {
    const Term i = x[0], start = x[1].as(dtype).as(work), end = x[2].as(dtype).as(work);
    if (steps < 2) return finish(start + i * 0);
    const auto last = static_cast<double>(steps - 1);
    const Term step = (end - start) / last;
    const std::int64_t middle = steps / 2;
    return finish((i < static_cast<double>(middle)).pick(start + step * i, end - step * (last - i)));
  });
}

void convert_logspace(Context& c) {
  const double base = c.real("base");
  c.set(0, spaced(c, [base](Term t) { return t.of(base).apply(ScalarOp::pow, t); }));
}

void add_ranges(Registry& r) {
  add_rows(r, {with_options("arange(Scalar end")}, [](Context& c) { convert_arange(c, {.end = c.scalar("end")}); });
  add_rows(r, {with_options("arange.start(Scalar start, Scalar end")}, [](Context& c) { convert_arange(c, {c.scalar("start"), c.scalar("end")}); });
  add_rows(r, {with_options("arange.start_step(Scalar start, Scalar end, Scalar step=1")}, [](Context& c) {
    convert_arange(c, {c.scalar("start"), c.scalar("end"), c.scalar("step")});
  });
  for (const char* form : {"(Scalar start, Scalar end", ".Tensor_Tensor(Tensor start, Tensor end", ".Tensor_Scalar(Tensor start, Scalar end",
                           ".Scalar_Tensor(Scalar start, Tensor end"}) {
    const std::string head(form);
    add_rows(r, {with_options("linspace" + head + ", int steps")}, [](Context& c) { c.set(0, spaced(c, [](Term t) { return t; })); });
    add_rows(r, {with_options("logspace" + head + ", int steps, float base=10.0")}, convert_logspace);
  }
}

// ---- grids ----

void convert_eye(Context& c, const Expr& rows, const Expr& columns) {
  Builder& b = c.build();
  const DType dtype = dtype_or(c, DType::f32);
  c.set(0, compute(
               b, [dtype](Term i, Term j) { return equal(i, j).as(dtype); }, positions(b, rows, 0, 2), positions(b, columns, 1, 2)));
}

/// Row and column numbers of a triangle, as a constant.
void convert_triangle_indices(Context& c, bool lower) {
  const std::int64_t rows = c.fixed("row"), columns = c.fixed("col"), offset = c.fixed("offset");
  REPRISE_CHECK(rows >= 0 && columns >= 0 && rows <= 1 << 13 && columns <= 1 << 13, InvalidArgument,
                "[ops/{}] the triangle is too large (got {} x {}, want {})", c.node().target, rows, columns, 1 << 13);
  std::vector<std::int64_t> at[2];
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      if (lower ? j - i > offset : j - i < offset) continue;
      at[0].push_back(i);
      at[1].push_back(j);
    }
  const std::int64_t sizes[] = {2, static_cast<std::int64_t>(at[0].size())};
  const Tensor indices = Tensor::empty(sizes, DType::i64);
  std::copy(at[1].begin(), at[1].end(), std::copy(at[0].begin(), at[0].end(), indices.data_as<std::int64_t>()));
  ir::Graph& graph = c.build().graph();
  c.set(0, Val(&graph, graph.add_constant(c.node().source.name, indices.to(dtype_or(c, DType::i64)))));
}

/// Each tensor along a dimension of its own, expanded over the others.
std::vector<Val> meshgrid(Builder& b, std::vector<Val> axes, bool swap_first_two) {
  swap_first_two = swap_first_two && axes.size() >= 2;  // "xy" indexing
  if (swap_first_two) std::swap(axes[0], axes[1]);
  Shape sizes;
  for (Val& axis : axes) sizes.push_back((axis = at_least_1d(b, axis)).size(0));
  const int rank = static_cast<int>(axes.size());
  for (int i = 0; i < rank; ++i) {
    Val& axis = axes[static_cast<std::size_t>(i)];
    axis = b.broadcast_to(along(b, axis, i, rank), sizes);
  }
  if (swap_first_two) std::swap(axes[0], axes[1]);
  return axes;
}

void convert_cartesian_product(Context& c) {
  Builder& b = c.build();
  auto axes = c.tensors("tensors");
  if (axes.size() == 1) return c.set(0, axes[0]);
  axes = meshgrid(b, std::move(axes), false);
  for (Val& axis : axes) axis = b.unsqueeze(b.reshape(axis, {axis.numel()}), 1);
  c.set(0, b.concat(axes, 1));
}

/// Powers as running products, so that integers wrap as PyTorch's do.
Val vander(Builder& b, Val x, const Expr& n) {
  const DType dtype = promote(x.dtype(), DType::i64);
  Shape sizes = x.sizes();
  sizes.emplace_back(1);
  const Val ones = full(b, sizes, integer(1), dtype);
  if (ir::is_const(n, 1)) return ones;
  sizes.back() = n - 1;
  const Val parts[] = {ones, b.cast(b.expand(b.unsqueeze(x, -1), sizes), dtype)};
  return b.scan(ir::ScanKind::prod, b.concat(parts, -1), -1, dtype);
}

void convert_vander(Context& c) {
  Builder& b = c.build();
  const Val x = at_least_1d(b, c.tensor("x"));
  const Expr n = c.is_none("N") ? x.size(-1) : c.integer("N");
  if (ir::is_const(n, 0)) return c.set(0, b.fill({x.size(0), 0}, Expr(0), promote(x.dtype(), DType::i64)));
  const Val powers = vander(b, x, n);
  const bool falling = c.node().target == "aten.vander.default" && !c.flag("increasing");
  c.set(0, falling ? b.index_select(powers, b.iota(n, n - 1, Expr(-1), DType::i64), -1) : powers);
}

void add_grids(Registry& r) {
  add_rows(r, {with_options("eye(SymInt n")}, [](Context& c) { convert_eye(c, c.integer("n"), c.integer("n")); });
  add_rows(r, {with_options("eye.m(SymInt n, SymInt m")}, [](Context& c) { convert_eye(c, c.integer("n"), c.integer("m")); });
  add_rows(r, {with_options("tril_indices(int row, int col, int offset=0")}, [](Context& c) { convert_triangle_indices(c, true); });
  add_rows(r, {with_options("triu_indices(int row, int col, int offset=0")}, [](Context& c) { convert_triangle_indices(c, false); });
  add_rows(r, {"aten::meshgrid(Tensor[] tensors)"}, [](Context& c) { c.set_all(meshgrid(c.build(), c.tensors("tensors"), false)); });
  add_rows(r, {"aten::meshgrid.indexing(Tensor[] tensors, *, str indexing)"},
           [](Context& c) { c.set_all(meshgrid(c.build(), c.tensors("tensors"), c.text("indexing") == "xy")); });
  add_rows(r, {"aten::cartesian_prod(Tensor[] tensors)"}, convert_cartesian_product);
  add_rows(r, {"aten::vander(Tensor x, int? N=None, bool increasing=False)", "aten::linalg_vander(Tensor x, *, SymInt? N=None)"}, convert_vander);
}

}  // namespace

void add_creation(Registry& r) {
  add_fills(r);
  add_ranges(r);
  add_grids(r);
  add_windows(r);
}

}  // namespace reprise::ops
