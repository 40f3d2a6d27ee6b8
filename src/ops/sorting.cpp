// Sorting, selection by rank and search in sorted sequences.
#include "ops/sorting.h"

#include "base/check.h"

namespace reprise::ops {
namespace {

void set_both(Context& c, const std::pair<Val, Val>& both) {
  c.set(0, both.first);
  c.set(1, both.second);
}

std::pair<Val, Val> sorted(Context& c, bool stable) {
  const Val x = c.tensor("self");
  return c.build().sort(x, dim_of(c, "dim", x.rank()), c.flag("descending"), stable);
}

bool stable_flag(Context& c) { return !c.is_none("stable") && c.flag("stable"); }

void add_sorts(Registry& r) {
  add_rows(r, [](Context& c) { set_both(c, sorted(c, false)); },
           {"aten::sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)"});
  add_rows(r, [](Context& c) { set_both(c, sorted(c, stable_flag(c))); },
           {"aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)"});
  add_rows(r, [](Context& c) { c.set(0, sorted(c, false).second); }, {"aten::argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, sorted(c, stable_flag(c)).second); },
           {"aten::argsort.stable(Tensor self, *, bool stable, int dim=-1, bool descending=False) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, c.build().sort(c.tensor("self"), 0, false, false).first); }, {"aten::msort(Tensor self) -> Tensor"});
  add_rows(r,
           [](Context& c) {
             const Val x = c.tensor("self");
             set_both(c, c.build().topk(x, c.integer("k"), dim_of(c, "dim", x.rank()), c.flag("largest"), c.flag("sorted")));
           },
           {"aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)"});
}

/// The k-th smallest, counted from 1.
void convert_kthvalue(Context& c) {
  Builder& b = c.build();
  const Val x = at_least_1d(b, c.tensor("self"));
  const int dim = dim_of(c, "dim", x.rank());
  const auto [values, indices] = b.sort(x, dim, false, true);
  set_both(c, {drop_dim(c, b.slice(values, dim, c.integer("k") - 1, 1), dim), drop_dim(c, b.slice(indices, dim, c.integer("k") - 1, 1), dim)});
}

// ---- search ----

struct Search {
  Val sequence, values;
  bool right;
};

/// Both in the dtype that they meet in; a Python number has the lowest rank.
void set_found(Context& c, const Search& s, bool number) {
  Builder& b = c.build();
  const Operand operands[] = {{s.sequence.dtype(), Operand::Level::tensor}, {s.values.dtype(), number ? Operand::Level::number : Operand::Level::tensor}};
  const DType t = result_type(operands);
  c.set(0, b.search_sorted(b.cast(s.sequence, t), b.cast(s.values, t), s.right, c.flag("out_int32") ? DType::i32 : DType::i64));
}

void convert_searchsorted(Context& c) {
  Builder& b = c.build();
  Val sequence = c.tensor("sorted_sequence");
  if (!c.is_none("sorter")) sequence = b.gather(sequence, c.tensor("sorter"), sequence.rank() - 1);
  const std::string side = c.is_none("side") ? "" : c.text("side");
  REPRISE_CHECK(side.empty() || side == "left" || side == "right", InvalidArgument, "[ops/searchsorted] side must be 'left' or 'right' (got '{}')", side);
  set_found(c, {sequence, c.tensor("self"), side.empty() ? c.flag("right") : side == "right"}, !c.is_tensor("self"));
}

void convert_bucketize(Context& c) { set_found(c, {c.tensor("boundaries"), c.tensor("self"), c.flag("right")}, !c.is_tensor("self")); }

}  // namespace

Val drop_dim(Context& c, Val x, int dim) {
  if (c.flag("keepdim") && c.tensor("self").rank() > 0) return x;
  return c.build().reshape(x, without(x.sizes(), dim));
}

void add_sorting(Registry& r) {
  add_sorts(r);
  add_rows(r, convert_kthvalue, {"aten::kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)"});
  add_rows(r, convert_searchsorted,
           {"aten::searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> "
            "Tensor",
            "aten::searchsorted.Scalar(Tensor sorted_sequence, Scalar self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> "
            "Tensor"});
  add_rows(r, convert_bucketize,
           {"aten::bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
            "aten::bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor"});
  add_quantiles(r);
}

}  // namespace reprise::ops
