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

/// Bits of a tensor as another dtype of the same size.
void convert_view_dtype(Context& c) {
  const Val self = c.tensor("self");
  const DType dtype = *c.dtype("dtype");
  if (dtype == self.dtype()) return c.set(0, self);
  REPRISE_CHECK(item_size(dtype) == item_size(self.dtype()), UnsupportedOp, "[ops/view.dtype] element sizes differ (got {} and {}, want equal sizes)",
                name(self.dtype()), name(dtype));
  c.set(0, c.build().map(self, [dtype](ScalarBuilder& s, Sv x) { return s.bitcast(x, dtype); }));
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
