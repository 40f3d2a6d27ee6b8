// Sums, products, truth, extrema and what is made of them directly. Moments have a file of their own.
#include <algorithm>

#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using ir::ReduceKind;

constexpr const char* kDType = ", *, ScalarType? dtype=None)";

/// What a reduction takes: all of self when the schema has no `dim`.
struct Reduction {
  Val self;
  std::vector<int> axes;  // empty: all
  bool keepdim = false;
};
using Reduce = std::function<void(Context&, const Reduction&)>;

void add_reduction(Registry& r, const std::vector<std::string>& schemas, const Reduce& reduce) {
  for (const auto& schema : schemas) {
    const bool has_dim = schema.find(" dim") != std::string::npos, has_keepdim = schema.find("keepdim") != std::string::npos;
    add_rows(r, {schema}, [=](Context& c) {
      const Val self = c.tensor("self");
      reduce(c, {self, has_dim ? axes_of(c, "dim", self.rank()) : std::vector<int>{}, has_keepdim && c.flag("keepdim")});
    });
  }
}

Val run(Context& c, ReduceKind kind, const Reduction& x, Val self, DType dtype) { return c.build().reduce(kind, self, x.axes, x.keepdim, dtype); }

/// Sums and products of integers and booleans are i64.
DType wide(Context& c, DType self) { return c.dtype("dtype").value_or(is_floating(self) ? self : DType::i64); }

Val without_nan(Builder& b, Val x) {
  if (!is_floating(x.dtype())) return x;
  return compute(
      b, [](Term a) { return is_nan(a).pick(a.of(0), a); }, x);
}

void add_sum_reductions(Registry& r) {
  const std::string dims = "(Tensor self, int[1]? dim";
  add_reduction(r, {std::string("aten::sum(Tensor self") + kDType, "aten::sum.dim_IntList" + dims + ", bool keepdim=False" + kDType},
                [](Context& c, const Reduction& x) { c.set(0, run(c, ReduceKind::sum, x, x.self, wide(c, x.self.dtype()))); });
  add_reduction(r, {std::string("aten::prod(Tensor self") + kDType, std::string("aten::prod.dim_int(Tensor self, int dim, bool keepdim=False") + kDType},
                [](Context& c, const Reduction& x) { c.set(0, run(c, ReduceKind::prod, x, x.self, wide(c, x.self.dtype()))); });
  add_reduction(r, {"aten::nansum" + dims + "=None, bool keepdim=False" + kDType},
                [](Context& c, const Reduction& x) { c.set(0, run(c, ReduceKind::sum, x, without_nan(c.build(), x.self), wide(c, x.self.dtype()))); });
  add_reduction(r, {"aten::nanmean" + dims + "=None, bool keepdim=False" + kDType}, [](Context& c, const Reduction& x) {
    Builder& b = c.build();
    const DType dtype = c.dtype("dtype").value_or(x.self.dtype()), work = compute_type(dtype);
    const Val total = run(c, ReduceKind::sum, x, without_nan(b, x.self), work);
    const Val count = run(c, ReduceKind::sum, x,
                          compute(
                              b, [](Term a) { return !is_nan(a); }, x.self),
                          work);
    c.set(0, compute(
                 b, [dtype](Term a, Term n) { return (a / n).as(dtype); }, total, count));
  });
  add_reduction(r, {"aten::count_nonzero(Tensor self, int? dim=None)", "aten::count_nonzero.dim_IntList(Tensor self, int[] dim)"},
                [](Context& c, const Reduction& x) { c.set(0, run(c, ReduceKind::sum, x, c.build().cast(x.self, DType::boolean), DType::i64)); });
}

/// The result of u8 is u8. An empty list of dimensions, unlike None, reduces nothing.
void add_truth(Registry& r) {
  for (const auto& [name, kind] : {std::pair("any", ReduceKind::any), {"all", ReduceKind::all}}) {
    const auto reduce = [kind = kind](Context& c, const Reduction& x) {
      const DType dtype = x.self.dtype() == DType::u8 ? DType::u8 : DType::boolean;
      const bool nothing = c.node().target.ends_with(".dims") && !c.is_none("dim") && x.axes.empty();
      c.set(0, nothing ? c.build().cast(c.build().cast(x.self, DType::boolean), dtype) : run(c, kind, x, x.self, dtype));
    };
    add_reduction(
        r, schemas({name}, {"(Tensor self)", ".dim(Tensor self, int dim, bool keepdim=False)", ".dims(Tensor self, int[]? dim=None, bool keepdim=False)"}),
        reduce);
  }
}

enum class Extremum : std::uint8_t { max, min };

/// Of booleans an extremum is a truth.
Val extremum(Context& c, Extremum which, const Reduction& x) {
  if (x.self.dtype() == DType::boolean) return run(c, which == Extremum::max ? ReduceKind::any : ReduceKind::all, x, x.self, DType::boolean);
  return run(c, which == Extremum::max ? ReduceKind::max : ReduceKind::min, x, x.self, x.self.dtype());
}

Val extremum_position(Context& c, Extremum which, const Reduction& x) {
  const Val self = x.self.dtype() == DType::boolean ? c.build().cast(x.self, DType::u8) : x.self;
  return run(c, which == Extremum::max ? ReduceKind::argmax : ReduceKind::argmin, x, self, DType::i64);
}

void add_extrema(Registry& r) {
  for (const Extremum which : {Extremum::max, Extremum::min}) {
    const std::string name = which == Extremum::max ? "max" : "min";
    const Reduce value = [which](Context& c, const Reduction& x) { c.set(0, extremum(c, which, x)); };
    add_reduction(r, {"aten::" + name + "(Tensor self)", "aten::a" + name + "(Tensor self, int[1] dim=[], bool keepdim=False)"}, value);
    add_reduction(r, {"aten::" + name + ".dim(Tensor self, int dim, bool keepdim=False)"}, [which](Context& c, const Reduction& x) {
      c.set(0, extremum(c, which, x));
      c.set(1, extremum_position(c, which, x));
    });
    add_reduction(r, {"aten::arg" + name + "(Tensor self, int? dim=None, bool keepdim=False)"},
                  [which](Context& c, const Reduction& x) { c.set(0, extremum_position(c, which, x)); });
  }
  add_reduction(r,
                {"aten::aminmax(Tensor self, *, int? dim=None, bool keepdim=False)", "aten::_aminmax(Tensor self)",
                 "aten::_aminmax.dim(Tensor self, int dim, bool keepdim=False)"},
                [](Context& c, const Reduction& x) {
                  c.set(0, extremum(c, Extremum::min, x));
                  c.set(1, extremum(c, Extremum::max, x));
                });
}

/// log(sum(exp(x - m))) + m, with 0 for an infinite m.
void convert_logsumexp(Context& c, const Reduction& x) {
  Builder& b = c.build();
  const DType dtype = to_float(x.self.dtype()), work = compute_type(dtype);
  const Val self = b.cast(x.self, work);
  const Val top = compute(
      b, [](Term m) { return m.apply(ScalarOp::is_inf).pick(m.of(0), m); }, b.reduce(ReduceKind::max, self, x.axes, true, work));
  const Val total = b.reduce(ReduceKind::sum,
                             compute(
                                 b, [](Term a, Term m) { return exp(a - m); }, self, top),
                             x.axes, true, work);
  const Val result = compute(
      b, [dtype](Term s, Term m) { return (log(s) + m).as(dtype); }, total, top);
  if (x.keepdim) return c.set(0, result);
  Shape sizes;
  for (int i = 0; i < self.rank(); ++i)
    if (!x.axes.empty() && std::find(x.axes.begin(), x.axes.end(), i) == x.axes.end()) sizes.push_back(self.size(i));
  c.set(0, b.reshape(result, sizes));
}

}  // namespace

void add_reductions(Registry& r) {
  add_sum_reductions(r);
  add_truth(r);
  add_extrema(r);
  add_reduction(r, schemas({"logsumexp", "special_logsumexp"}, {"(Tensor self, int[1] dim, bool keepdim=False)"}), convert_logsumexp);
  add_moments(r);
}

}  // namespace reprise::ops
