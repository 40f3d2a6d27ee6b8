// Reading by index.
#include "base/check.h"
#include "ir/shapes.h"
#include "ops/index_list.h"

namespace reprise::ops {
namespace {

void convert_index(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self");
  const IndexList list = read_indices(b, c.tensors("indices"), [&](std::size_t place) {
    const ir::TensorMeta* meta = c.output_meta(0);
    REPRISE_CHECK(meta != nullptr && place < meta->sizes.size(), InvalidArgument, "[ops/index] the file does not say the output's sizes");
    return meta->sizes[place];
  });
  c.set(0, list.axes.empty() ? b.copy(x) : b.index(x, list.indices, list.axes, list.position));
}

void set_rows(Context& c, Val table, Val index) { c.set(0, c.build().index(table, std::span(&index, 1), {0}, 0)); }

/// torch.gather, where an index without elements may have any rank.
void convert_gather(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self"), index = c.tensor("index");
  if (ir::is_const(index.numel(), 0)) return c.set(0, b.copy(filled(b, index.sizes(), 0, x.dtype())));
  c.set(0, b.gather(x, index, dim_of(c, "dim", x.rank())));
}

/// Negative indices count from the end.
Val gather_wrapped(Builder& b, Val x, Val index, int dim) {
  return b.gather(x,
                  compute(
                      b, [&](Term i) { return (i < 0).pick(i + i.of(x.size(dim)), i); }, index),
                  dim);
}

void convert_take_along(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self"), index = c.tensor("indices");
  if (c.is_none("dim")) return c.set(0, gather_wrapped(b, b.reshape(x, {x.numel()}), b.reshape(index, {index.numel()}), 0));
  const int dim = dim_of(c, "dim", x.rank());
  const Shape all = Builder::broadcast_shapes(replaced(x.sizes(), dim, 1), replaced(index.sizes(), dim, 1));
  c.set(0, gather_wrapped(b, b.broadcast_to(x, replaced(all, dim, x.size(dim))), b.broadcast_to(index, replaced(all, dim, index.size(dim))), dim));
}

void convert_masked_fill(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self");
  const Val value = c.is_tensor("value") ? b.cast(c.tensor("value"), x.dtype()) : b.scalar(c.scalar("value").value, x.dtype());
  c.set(0, b.where(c.tensor("mask"), value, x));
}

/// A class count of -1 is the largest class plus one, which only data tells.
void convert_one_hot(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("self");
  Expr classes = c.integer("num_classes");
  if (classes == Expr(-1)) {
    const ir::TensorMeta* meta = c.output_meta(0);
    REPRISE_CHECK(meta != nullptr, InvalidArgument, "[ops/one_hot] the file does not say the number of classes");
    classes = meta->sizes.back();
    b.item(compute(
               b, [](Term m) { return m + 1; }, b.reduce(ir::ReduceKind::max, x, {}, false, x.dtype())),
           classes);
  }
  c.set(0,
        compute(
            b, [](Term i, Term k) { return equal(i, k).as(DType::i64); }, b.unsqueeze(x, x.rank()), positions(b, classes, x.rank(), x.rank() + 1, x.dtype())));
}

/// Rows that `indices` name, scaled down where their norm is too large.
void convert_embedding_renorm(Context& c) {
  Builder& b = c.build();
  const Val table = c.tensor("self"), index = b.reshape(c.tensor("indices"), {c.tensor("indices").numel()});
  const Val rows = b.index(table, std::span(&index, 1), {0}, 0);
  const double most = c.real("max_norm");
  const auto shrink = [most](Term x, Term n) { return (n > most).pick(x * (most / (n + 1e-7)), x); };
  c.set(0, b.index_put(table, compute(b, shrink, rows, p_norm(b, rows, c.real("norm_type"), {1}, true)), std::span(&index, 1), {0}, 0, false));
}

// ---- embedding bags ----

struct Bags {
  Val weight, indices, offsets, scale;  // scale: per sample, may be undefined
  Val bag_of, padded;                   // each index's bag; where it is padding (undefined: nowhere)
  Expr count;                           // of bags
};

enum class BagMode : std::uint8_t { sum, mean, max };

/// The row that counts as padding. -1 means none, but for the overload that is named after it, where it is the last row.
std::optional<Expr> padding_row(Context& c, const Expr& rows) {
  if (c.is_none("padding_idx")) return std::nullopt;
  const Expr row = c.integer("padding_idx");
  if (row == Expr(-1) && c.node().target != "aten.embedding_bag.padding_idx") return std::nullopt;
  return wrap_index(row, rows, c.build().graph().symbols);
}

/// Bag k holds the indices from offsets[k] on; padding goes to a bag of its own behind the others.
Bags read_bags(Context& c) {
  Builder& b = c.build();
  Bags bags{.weight = c.tensor("weight"),
            .indices = c.tensor("indices"),
            .offsets = c.tensor("offsets"),
            .scale = c.tensor_or_none("per_sample_weights"),
            .bag_of = {},
            .padded = {},
            .count = {}};
  bags.count = bags.offsets.size(0) - (c.flag("include_last_offset") ? 1 : 0);
  const Val starts = b.cast(b.slice(bags.offsets, 0, 0, bags.count), DType::i64), at = positions(b, bags.indices.size(0), 0, 1);
  bags.bag_of = compute(
      b, [](Term n) { return n - 1; }, b.search_sorted(b.contiguous(starts), at, true, DType::i64));
  if (const auto row = padding_row(c, bags.weight.size(0)))
    bags.padded = compute(
        b, [&](Term i) { return equal(i, i.of(*row)); }, bags.indices);
  return bags;
}

Val without_padding_bag(Builder& b, Val x, const Expr& count) { return b.slice(x, 0, 0, count); }

/// How many indices each bag holds, padding left out.
Val bag_sizes(Builder& b, const Bags& bags, Val target) {
  const Val ones = filled(b, bags.indices.sizes(), 1, DType::i64);
  return without_padding_bag(b, b.index_put(filled(b, {bags.count + 1}, 0, DType::i64), ones, std::span(&target, 1), {0}, 0, true), bags.count);
}

Val reduce_bags(Builder& b, const Bags& bags, BagMode mode, Val target, Val sizes) {
  Val rows = b.index(bags.weight, std::span(&bags.indices, 1), {0}, 0);
  if (bags.scale.defined()) rows = b.binary(ScalarOp::mul, rows, b.unsqueeze(bags.scale, 1));
  const Val zeros = filled(b, {bags.count + 1, bags.weight.size(1)}, 0, bags.weight.dtype());
  if (mode == BagMode::max) return without_padding_bag(b, b.scatter(zeros, b.expand(b.unsqueeze(target, 1), rows.sizes()), rows, 0, "max", false), bags.count);
  const Val total = without_padding_bag(b, b.index_put(zeros, rows, std::span(&target, 1), {0}, 0, true), bags.count);
  if (mode == BagMode::sum) return total;
  return compute(
      b, [](Term t, Term n) { return t / max(n, 1).as(t.type()); }, total, b.unsqueeze(sizes, 1));
}

/// The result, then what the backward pass reads: each index's bag, the bags' sizes, and where the maxima came from.
void convert_embedding_bag(Context& c) {
  Builder& b = c.build();
  const Bags bags = read_bags(c);
  const auto mode = static_cast<BagMode>(c.fixed("mode"));
  const Val target = bags.padded.defined() ? compute(
                                                 b, [&](Term p, Term k) { return p.pick(k.of(bags.count), k); }, bags.padded, bags.bag_of)
                                           : bags.bag_of;
  const Val sizes = bag_sizes(b, bags, target);
  c.set(0, reduce_bags(b, bags, mode, target, sizes));
  const auto set_if_fits = [&](int i, Val value) {
    const ir::TensorMeta* meta = c.output_meta(i);
    if (meta != nullptr && sym::equal(meta->sizes, value.sizes()))
      c.set(i, b.cast(value, meta->dtype));
    else
      set_unused(c, i);
  };
  set_if_fits(1, bags.bag_of);
  set_if_fits(2, sizes);
  set_unused(c, 3);
}

void add_embeddings(Registry& r) {
  add_rows(r, [](Context& c) { set_rows(c, c.tensor("weight"), c.tensor("indices")); },
           {"aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor"});
  add_rows(r, convert_one_hot, {"aten::one_hot(Tensor self, int num_classes=-1) -> Tensor"});
  add_rows(r, convert_embedding_renorm, {"aten::embedding_renorm(Tensor self, Tensor indices, float max_norm, float norm_type) -> Tensor"});
  add_rows(
      r, convert_embedding_bag,
      {"aten::embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq, int mode, bool sparse, Tensor? "
       "per_sample_weights, bool "
       "include_last_offset, int? padding_idx) -> (Tensor, Tensor, Tensor, Tensor)",
       "aten::embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? "
       "per_sample_weights=None, "
       "bool include_last_offset=False, int? padding_idx=None) -> (Tensor, Tensor, Tensor, Tensor)",
       "aten::_embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? "
       "per_sample_weights=None, "
       "bool include_last_offset=False, int padding_idx=-1) -> (Tensor, Tensor, Tensor, Tensor)",
       "aten::_embedding_bag_forward_only(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? "
       "per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> (Tensor, Tensor, Tensor, Tensor)"});
}

}  // namespace

void add_indexing(Registry& r) {
  add_rows(r, convert_index,
           {"aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", "aten::_unsafe_index.Tensor(Tensor self, Tensor?[] indices) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, c.build().index_select(c.tensor("self"), c.tensor("index"), dim_of(c, "dim", c.tensor("self").rank()))); },
           {"aten::index_select(Tensor self, int dim, Tensor index) -> Tensor"});
  add_rows(r, convert_gather, {"aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor"});
  add_rows(r, [](Context& c) { set_rows(c, c.build().reshape(c.tensor("self"), {c.tensor("self").numel()}), c.tensor("index")); },
           {"aten::take(Tensor self, Tensor index) -> Tensor"});
  add_rows(r, convert_take_along, {"aten::take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor"});
  add_rows(r, convert_masked_fill,
           {"aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor",
            "aten::masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor"});
  add_embeddings(r);
}

}  // namespace reprise::ops
