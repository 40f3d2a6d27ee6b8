// Conversions of dtype, copies and aliases. Devices and layouts are not the program's to choose here: moves between them are aliases.
#include "base/check.h"
#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

/// self in `dtype`: an alias where nothing changes, unless a copy is asked for.
void convert_to(Context& c, DType dtype, bool copy) {
  const Val self = c.tensor("self");
  if (self.dtype() != dtype) return c.set(0, c.build().cast(self, dtype));
  c.set(0, copy ? c.build().copy(self) : self);
}

DType dtype_or_own(Context& c) { return c.dtype("dtype").value_or(c.tensor("self").dtype()); }

void add_conversions(Registry& r) {
  const std::string tail = ", bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None)";
  const std::string options = "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None";
  add_rows(r,
           {"aten::to.dtype(Tensor self, ScalarType dtype" + tail, "aten::to.device(Tensor self, Device device, ScalarType dtype" + tail,
            "aten::to.dtype_layout(Tensor self, " + options + tail},
           [](Context& c) { convert_to(c, dtype_or_own(c), c.flag("copy")); });
  add_rows(r, {"aten::to.other(Tensor self, Tensor other" + tail}, [](Context& c) { convert_to(c, c.tensor("other").dtype(), c.flag("copy")); });
  add_rows(r, {"aten::_to_copy(Tensor self, " + options + ", bool non_blocking=False, MemoryFormat? memory_format=None)"},
           [](Context& c) { convert_to(c, dtype_or_own(c), true); });
  add_rows(r, {"aten::type_as(Tensor self, Tensor other)"}, [](Context& c) { convert_to(c, c.tensor("other").dtype(), false); });
  const std::pair<const char*, DType> casts[] = {{"_cast_Byte", DType::u8},   {"_cast_Char", DType::i8},   {"_cast_Short", DType::i16},
                                                 {"_cast_Int", DType::i32},   {"_cast_Long", DType::i64},  {"_cast_Half", DType::f16},
                                                 {"_cast_Float", DType::f32}, {"_cast_Double", DType::f64}};
  for (const auto& [name, dtype] : casts)
    add_rows(r, schemas({name}, {"(Tensor self, bool non_blocking=False)"}), [dtype = dtype](Context& c) { convert_to(c, dtype, false); });
}

/// A format other than row-major is a layout; what a caller can see of it is a tensor of its own.
void convert_contiguous(Context& c) {
  const auto* format = std::get_if<ir::MemoryFormat>(&c.arg("memory_format"));
  const Val self = c.tensor("self");
  c.set(0, format != nullptr && format->value > 1 ? c.build().copy(self) : c.build().contiguous(self));
}

void add_copies(Registry& r) {
  const Convert alias = [](Context& c) { c.set(0, c.tensor("self")); };
  const Convert copy = [](Context& c) { c.set(0, c.build().copy(c.tensor("self"))); };
  add_rows(r, schemas({"alias", "detach", "lift", "lift_fresh"}, {"(Tensor self)"}), alias);
  add_rows(r, schemas({"lift_fresh_copy", "alias_copy", "detach_copy"}, {"(Tensor self)"}), copy);
  add_rows(r, {"aten::clone(Tensor self, *, MemoryFormat? memory_format=None)"}, copy);
  add_rows(r, {"aten::contiguous(Tensor self, *, MemoryFormat memory_format=contiguous_format)"}, convert_contiguous);
  add_rows(r, {"aten::copy(Tensor self, Tensor src, bool non_blocking=False)"}, [](Context& c) {
    const Val self = c.tensor("self");
    c.set(0, c.build().copy(c.build().broadcast_to(c.build().cast(c.tensor("src"), self.dtype()), self.sizes())));
  });
  add_rows(r, {"aten::copy_(Tensor self, Tensor src, bool non_blocking=False)"}, [](Context& c) {
    c.build().write(c.tensor("self"), c.tensor("src"));
    c.set(0, c.tensor("self"));
  });
}

// ---- bits ----

DType integer_of(std::size_t size) { return size == 1 ? DType::u8 : size == 2 ? DType::i16 : size == 4 ? DType::i32 : DType::i64; }

Val bitcast(Builder& b, Val x, DType dtype) {
  if (x.dtype() == DType::boolean || dtype == DType::boolean) return b.cast(x, dtype);  // one byte, 0 or 1
  return b.map(x, [dtype](ScalarBuilder& s, Sv a) { return s.bitcast(a, dtype); });
}

/// Every element as `parts` smaller ones along the last dimension, low bits first.
Val split_bits(Builder& b, Val x, DType part, int parts) {
  const Val bits = bitcast(b, x, integer_of(item_size(x.dtype())));
  const double width = 8.0 * static_cast<double>(item_size(part));
  const Val pieces = compute(
      b, [&](Term a, Term i) { return a.apply(ScalarOp::shift_right, i * width).as(integer_of(item_size(part))); }, b.unsqueeze(bits, -1),
      positions(b, parts, 0, 1, bits.dtype()));
  Shape sizes = x.sizes();
  sizes.back() = sizes.back() * parts;
  return bitcast(b, b.reshape(pieces, sizes), part);
}

/// `parts` neighbours along the last dimension as one larger element each.
Val join_bits(Builder& b, Val x, DType whole, int parts) {
  const std::size_t size = item_size(x.dtype());
  const DType wide = integer_of(item_size(whole));
  Shape sizes = x.sizes();
  sizes.back() = sym::floor_div(sizes.back(), parts);
  Shape split = sizes;
  split.emplace_back(parts);
  const auto mask = static_cast<double>((std::int64_t{1} << (8 * size)) - 1);  // takes off what a negative part extends to
  const double width = 8.0 * static_cast<double>(size);
  const Val shifted = compute(
      b, [&](Term a, Term i) { return a.as(wide).apply(ScalarOp::bit_and, i.of(mask)).apply(ScalarOp::shift_left, i * width); },
      b.reshape(bitcast(b, x, integer_of(size)), split), positions(b, parts, 0, 1, wide));
  return bitcast(b, b.reduce(ir::ReduceKind::sum, shifted, {-1}, false, wide), whole);
}

/// Other bits of the same memory: a last dimension that grows or shrinks with the size of the elements.
void convert_view_dtype(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const DType dtype = *c.dtype("dtype");
  const std::size_t from = item_size(self.dtype()), to = item_size(dtype);
  if (dtype == self.dtype()) return c.set(0, self);
  if (from == to) return c.set(0, bitcast(b, self, dtype));
  REPRISE_CHECK(self.rank() > 0, ShapeError, "[ops/view.dtype] a scalar's element size is fixed (got {}, want {} bytes)", name(dtype), from);
  c.set(0, from > to ? split_bits(b, self, dtype, static_cast<int>(from / to)) : join_bits(b, self, dtype, static_cast<int>(to / from)));
}

}  // namespace

void add_casts(Registry& r) {
  add_conversions(r);
  add_copies(r);
  add_rows(r, {"aten::view.dtype(Tensor self, ScalarType dtype)"}, convert_view_dtype);
  // Said of the exporter's tensors; ours have the same dtypes and sizes, checked for every node, and layouts of their own.
  add_rows(r,
           {"aten::_assert_tensor_metadata(Tensor a, SymInt[]? size=None, SymInt[]? stride=None, ScalarType? dtype=None, *, Device? device=None, "
            "Layout? layout=None)"},
           [](Context&) {});
}

}  // namespace reprise::ops
