// Several tensors as one, and one tensor many times.
#include <algorithm>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

/// In the dtype that all promote to.
std::vector<Val> in_common_type(Context& c, std::vector<Val> tensors) {
  std::vector<Input> inputs;
  for (const Val& x : tensors) inputs.push_back({.tensor = x});
  const DType dtype = promoted_type(inputs);
  for (Val& x : tensors) x = c.build().cast(x, dtype);
  return tensors;
}

std::vector<Val> tensors(Context& c) { return in_common_type(c, c.tensors("tensors")); }

/// torch.cat joins tensors of sizes [0] with anything, so the rank is that of the others.
Val cat(Context& c, const std::vector<Val>& parts, std::int64_t dim) {
  int rank = 1;
  for (const Val& x : parts) rank = std::max(rank, x.rank());
  return c.build().concat(parts, ir::wrap_dim(static_cast<int>(dim), rank, "cat"));
}

Val stack(Context& c, std::vector<Val> parts, std::int64_t dim) {
  REPRISE_CHECK(!parts.empty(), InvalidArgument, "[ops/stack] nothing to join");
  const int at = ir::wrap_dim(static_cast<int>(dim), parts[0].rank() + 1, "stack");
  for (Val& x : parts) x = c.build().unsqueeze(x, at);
  return c.build().concat(parts, at);
}

/// hstack and its like: tensors brought to a rank, then joined along a dimension.
void add_directed_join(Registry& r, std::initializer_list<const char*> names, Val (*prepare)(Builder&, Val), int (*dim)(Val)) {
  add_rows(r, schemas(names, {"(Tensor[] tensors)"}), [=](Context& c) {
    auto parts = tensors(c);
    for (Val& x : parts) x = prepare(c.build(), x);
    c.set(0, c.build().concat(parts, dim(parts.at(0))));
  });
}

/// A matrix for each tensor, on the diagonal of zeros.
void convert_block_diag(Context& c) {
  Builder& b = c.build();
  auto blocks = tensors(c);
  Expr columns = 0, left = 0;
  for (Val& x : blocks) {
    x = lead_to(b, x, 2);
    columns = columns + x.size(1);
  }
  std::vector<Val> rows;
  for (const Val& x : blocks) {
    const Expr right = columns - left - x.size(1);
    const auto zeros = [&](const Expr& n) { return filled(b, {x.size(0), n}, 0, x.dtype()); };
    const Val parts[] = {zeros(left), x, zeros(right)};
    rows.push_back(b.concat(parts, 1));
    left = left + x.size(1);
  }
  c.set(0, b.concat(rows, 0));
}

void add_concatenations(Registry& r) {
  add_rows(r, schemas({"cat", "concat", "concatenate"}, {"(Tensor[] tensors, int dim=0)"}), [](Context& c) { c.set(0, cat(c, tensors(c), c.fixed("dim"))); });
  add_rows(r, schemas({"stack", "_stack"}, {"(Tensor[] tensors, int dim=0)"}), [](Context& c) { c.set(0, stack(c, tensors(c), c.fixed("dim"))); });
  const auto first = [](Val) { return 0; };
  const auto column = [](Builder& b, Val x) { return x.rank() < 2 ? b.reshape(x, {x.numel(), 1}) : x; };
  add_directed_join(r, {"hstack"}, at_least_1d, [](Val x) { return x.rank() == 1 ? 0 : 1; });
  add_directed_join(
      r, {"vstack", "row_stack"}, [](Builder& b, Val x) { return lead_to(b, x, 2); }, first);
  add_directed_join(
      r, {"dstack"}, [](Builder& b, Val x) { return x.rank() < 3 ? b.unsqueeze(lead_to(b, x, 2), 2) : x; }, [](Val) { return 2; });
  add_directed_join(r, {"column_stack"}, column, [](Val) { return 1; });
  add_rows(r, {"aten::block_diag(Tensor[] tensors)"}, convert_block_diag);
  add_rows(r, {"aten::broadcast_tensors(Tensor[] tensors)"}, [](Context& c) {
    auto all = c.tensors("tensors");
    Shape sizes;
    for (const Val& x : all) sizes = Builder::broadcast_shapes(sizes, x.sizes());
    for (Val& x : all) x = c.build().broadcast_to(x, sizes);
    c.set_all(all);
  });
}

// ---- repeats ----

/// Every dimension d as [times[d], size[d]], flattened. Missing times are 1.
Val repeat(Builder& b, Val x, Shape times) {
  while (std::ssize(times) < x.rank()) times.insert(times.begin(), Expr(1));
  x = lead_to(b, x, static_cast<int>(times.size()));
  Shape pairs, sizes;
  Val spread = x;
  for (int d = 0; d < x.rank(); ++d) {
    const Expr& n = times[static_cast<std::size_t>(d)];
    spread = b.unsqueeze(spread, 2 * d);
    pairs.insert(pairs.end(), {n, x.size(d)});
    sizes.push_back(n * x.size(d));
  }
  return apart(b, b.reshape(b.expand(spread, pairs), sizes), x);
}

/// Every element `repeats` times in a row, along a dimension or flat.
void convert_repeat_each(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const bool flat = c.is_none("dim");
  const Val x = flat ? b.reshape(self, {self.numel()}) : at_least_1d(b, self);
  const int dim = flat ? 0 : dim_of(c, "dim", x.rank());
  const Expr n = c.integer("repeats");
  Shape spread = x.sizes();
  spread.insert(spread.begin() + dim + 1, n);
  c.set(0, apart(b, b.reshape(b.expand(b.unsqueeze(x, dim + 1), spread), replaced(x.sizes(), dim, x.size(dim) * n)), self));
}

void add_repeats(Registry& r) {
  add_rows(r, {"aten::repeat(Tensor self, SymInt[] repeats)"}, [](Context& c) { c.set(0, repeat(c.build(), c.tensor("self"), c.ints("repeats"))); });
  add_rows(r, {"aten::tile(Tensor self, SymInt[] dims)"}, [](Context& c) { c.set(0, repeat(c.build(), c.tensor("self"), c.ints("dims"))); });
  add_rows(r, {"aten::repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None)"}, convert_repeat_each);
}

}  // namespace

void add_joins(Registry& r) {
  add_concatenations(r);
  add_repeats(r);
  add_rearrangements(r);
}

}  // namespace reprise::ops
