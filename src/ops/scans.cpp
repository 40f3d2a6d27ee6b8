// Running sums and extrema, softmax, differences.
#include <cmath>

#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using ir::ScanKind;

/// The `dim` of self; rank 0 has one.
int dim(Context& c) { return dim_of(c, "dim", c.tensor("self").rank()); }

/// Running sums and products of integers and booleans are i64.
void convert_running(Context& c, ScanKind kind) {
  const Val self = c.tensor("self");
  const DType dtype = c.dtype("dtype").value_or(is_floating(self.dtype()) ? self.dtype() : DType::i64);
  c.set(0, c.build().scan(kind, self, dim(c), dtype));
}

/// With the last position of each extremum.
void convert_running_extremum(Context& c, ScanKind kind) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const Val x = self.dtype() == DType::boolean ? b.cast(self, DType::u8) : self;
  const auto [values, indices] = b.scan_with_indices(kind, x, dim(c));
  c.set(0, b.cast(values, self.dtype()));
  c.set(1, indices);
}

void add_scans(Registry& r) {
  const char *with_dtype = "(Tensor self, int dim, *, ScalarType? dtype=None)", *plain = "(Tensor self, int dim)";
  add_rows(r, schemas({"cumsum"}, {with_dtype}), [](Context& c) { convert_running(c, ScanKind::sum); });
  add_rows(r, schemas({"cumprod"}, {with_dtype}), [](Context& c) { convert_running(c, ScanKind::prod); });
  add_rows(r, schemas({"cummax"}, {plain}), [](Context& c) { convert_running_extremum(c, ScanKind::max); });
  add_rows(r, schemas({"cummin"}, {plain}), [](Context& c) { convert_running_extremum(c, ScanKind::min); });
  add_rows(r, schemas({"logcumsumexp", "_logcumsumexp"}, {plain}),
           [](Context& c) { c.set(0, c.build().scan(ScanKind::logsumexp, c.tensor("self"), dim(c), to_float(c.tensor("self").dtype()))); });
}

DType softmax_type(Context& c) { return c.dtype("dtype").value_or(to_float(c.tensor("self").dtype())); }

/// The decomposed forms, which give f32 for f16 where they are told to.
void convert_softmax_core(Context& c, bool log) {
  const Val self = c.tensor("self");
  c.set(0, c.build().softmax(self, dim(c), log, c.flag("half_to_float") ? DType::f32 : self.dtype()));
}

/// A row of nothing but -inf is 0.
void convert_safe_softmax(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const int axis = dim(c);
  const Val y = b.softmax(self, axis, false, softmax_type(c));
  const Val nothing = b.reduce(ir::ReduceKind::all,
                               compute(
                                   b, [](Term x) { return equal(x, -INFINITY); }, self),
                               {axis}, true, DType::boolean);
  c.set(0, compute(
               b, [](Term empty, Term x) { return empty.pick(x.of(0), x); }, nothing, y));
}

void add_softmax(Registry& r) {
  for (const bool log : {false, true}) {
    const std::string name = log ? "log_softmax" : "softmax";
    const Convert convert = [log](Context& c) { c.set(0, c.build().softmax(c.tensor("self"), dim(c), log, softmax_type(c))); };
    add_rows(r,
             {"aten::" + name + ".int(Tensor self, int dim, ScalarType? dtype=None)",
              "aten::special_" + name + "(Tensor self, int dim, " + (log ? "*, " : "") + "ScalarType? dtype=None)"},
             convert);
    add_rows(r, {"aten::_" + name + "(Tensor self, int dim, bool half_to_float)"}, [log](Context& c) { convert_softmax_core(c, log); });
  }
  add_rows(r, {"aten::_safe_softmax(Tensor self, int dim, ScalarType? dtype=None)"}, convert_safe_softmax);
}

/// The n-th difference of neighbours; of booleans, whether they differ.
void convert_diff(Context& c) {
  Builder& b = c.build();
  Val x = c.tensor("self");
  if (c.fixed("n") == 0) return c.set(0, c.build().copy(x));  // whatever else is given
  const int axis = dim(c);
  std::vector<Val> parts;
  for (const Val& part : {c.tensor_or_none("prepend"), x, c.tensor_or_none("append")})
    if (part.defined()) parts.push_back(b.cast(part, x.dtype()));
  if (parts.size() > 1) x = b.concat(parts, axis);
  for (auto n = c.fixed("n"); n > 0 && x.size(axis).as_int() != 0; --n) {
    const Expr rest = x.size(axis) - 1;
    x = b.binary(x.dtype() == DType::boolean ? ScalarOp::logical_xor : ScalarOp::sub, b.slice(x, axis, 1, rest), b.slice(x, axis, 0, rest));
  }
  c.set(0, x);
}

}  // namespace

void add_scans_and_softmax(Registry& r) {
  add_scans(r);
  add_softmax(r);
  add_rows(r, {"aten::diff(Tensor self, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None)"}, convert_diff);
}

}  // namespace reprise::ops
