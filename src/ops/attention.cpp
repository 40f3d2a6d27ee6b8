// Scaled dot product attention: the composite op and the kernels that PyTorch splits it into.
#include <cmath>
#include <limits>

#include "base/check.h"
#include "ir/shapes.h"
#include "ops/compose.h"
#include "ops/random.h"

namespace reprise::ops {
namespace {

using ir::ReduceKind;

struct Attention {
  Val q, k, v, mask;  // [*B, L, E], [*B, S, E], [*B, S, Ev], [*B, L, S] or undefined
  bool causal = false;
  double scale = 1, dropout = 0;
};

double scale_of(Context& c, Val q) {
  if (!c.is_none("scale")) return c.real("scale");
  const auto width = q.size(-1).as_int();
  REPRISE_CHECK(width.has_value(), ShapeError, "[ops/attention] the head size must be fixed (got {})", q.size(-1).str());
  return *width == 0 ? 1 : 1 / std::sqrt(static_cast<double>(*width));
}

Attention read_attention(Context& c, std::string_view mask) {
  Attention a{.q = c.tensor("query"),
              .k = c.tensor("key"),
              .v = c.tensor("value"),
              .mask = {},
              .causal = c.flag("is_causal"),
              .scale = 1,
              .dropout = c.real("dropout_p")};
  if (!mask.empty()) a.mask = c.tensor_or_none(mask);
  a.scale = scale_of(c, a.q);
  return a;
}

/// [*, H, …] seen as [*, groups, H / groups, …].
Val split_heads(Builder& b, Val x, const Expr& groups) {
  Shape sizes = x.sizes();
  const auto at = sizes.end() - 3;
  *at = sym::floor_div(*at, groups);
  sizes.insert(sizes.end() - 3, groups);
  return b.reshape(x, sizes);
}

/// Several query heads share a key head: a head dimension of the keys that is expanded over its queries, with nothing copied.
Val grouped_attention(Builder& b, const Attention& a) {
  const Expr groups = a.k.size(-3), heads = a.q.size(-3);
  REPRISE_CHECK(a.v.size(-3) == groups, ShapeError, "[ops/attention] keys and values differ in heads (got {} and {})", groups.str(), a.v.size(-3).str());
  Val mask = a.mask;
  if (mask.defined() && mask.rank() >= 3 && !ir::is_const(mask.size(-3), 1))
    mask = split_heads(b, mask, groups);
  else if (mask.defined() && mask.rank() >= 3)
    mask = b.unsqueeze(mask, mask.rank() - 3);
  const Val y = b.attention(split_heads(b, a.q, groups), b.unsqueeze(a.k, a.k.rank() - 2), b.unsqueeze(a.v, a.v.rank() - 2), mask, a.causal, a.scale);
  Shape sizes = y.sizes();
  sizes.erase(sizes.end() - 4);
  *(sizes.end() - 3) = heads;
  return b.reshape(y, sizes);
}

/// Scaled and masked products of queries and keys, in f32 for narrower input.
Val scores(Builder& b, const Attention& a) {
  const DType t = compute_type(a.q.dtype());
  const Val products = b.matmul(b.cast(a.q, t), b.transpose(b.cast(a.k, t), -2, -1));
  Val s = compute(
      b, [&](Term x) { return x * a.scale; }, products);
  const double low = -std::numeric_limits<double>::infinity();
  if (a.causal)
    s = compute(
        b, [&](Term x, Term row, Term column) { return (column <= row).pick(x, x.of(low)); }, s, positions(b, s.size(-2), 0, 2),
        positions(b, s.size(-1), 1, 2));
  if (!a.mask.defined()) return s;
  if (a.mask.dtype() == DType::boolean)
    return compute(
        b, [&](Term x, Term m) { return m.pick(x, x.of(low)); }, s, a.mask);
  return compute(
      b, [&](Term x, Term m) { return x + m.as(t); }, s, a.mask);
}

/// Softmax of the scores; a row with nothing to attend to is 0.
Val weights(Builder& b, Val s) {
  const Val p = b.softmax(s, s.rank() - 1, false, s.dtype());
  return compute(
      b, [](Term w, Term top) { return (top <= -std::numeric_limits<double>::infinity()).pick(w.of(0), w); }, p,
      b.reduce(ReduceKind::max, s, {s.rank() - 1}, true, s.dtype()));
}

Val repeat_heads(Builder& b, Val x, const Expr& heads) {
  if (x.rank() < 3 || x.size(-3) == heads) return x;
  Shape sizes = x.sizes();
  sizes.insert(sizes.end() - 2, sym::floor_div(heads, x.size(-3)));
  const Val spread = b.expand(b.unsqueeze(x, x.rank() - 2), sizes);
  sizes.erase(sizes.end() - 3);
  *(sizes.end() - 3) = heads;
  return b.reshape(spread, sizes);
}

/// The attention weights spelled out, for what the core op does not give: dropout, and the weights themselves.
struct Spelled {
  Val y, weights;
};
Spelled spelled_attention(Builder& b, const Attention& a, Val dropout_mask) {
  Val w = weights(b, scores(b, a));
  if (dropout_mask.defined())
    w = compute(
        b, [&](Term x, Term m) { return m.as(DType::boolean).pick(x / (1 - a.dropout), x.of(0)); }, w, dropout_mask);
  else if (a.dropout > 0)
    w = dropout(b, w, a.dropout, w.sizes());
  return {b.matmul(b.cast(w, a.v.dtype()), a.v), b.cast(w, a.q.dtype())};
}

/// log Σ exp of each row of scores, as the fused kernels give it beside the result.
Val log_sum(Builder& b, const Attention& a) {
  const Val s = scores(b, a);
  const Val top = b.reduce(ReduceKind::max, s, {s.rank() - 1}, true, s.dtype());
  const Val total = b.reduce(ReduceKind::sum,
                             compute(
                                 b, [](Term x, Term m) { return exp(x - m); }, s, top),
                             {s.rank() - 1}, true, s.dtype());
  return b.squeeze(compute(
                       b, [](Term m, Term t) { return m + log(t); }, top, total),
                   s.rank() - 1);
}

void convert_attention(Context& c) {
  Builder& b = c.build();
  Attention a = read_attention(c, "attn_mask");
  const bool grouped = c.flag("enable_gqa") && a.q.rank() >= 3 && !(a.q.size(-3) == a.k.size(-3));
  if (a.dropout > 0) {
    a.k = repeat_heads(b, a.k, a.q.size(-3));
    a.v = repeat_heads(b, a.v, a.q.size(-3));
    return c.set(0, spelled_attention(b, a, {}).y);
  }
  c.set(0, grouped ? grouped_attention(b, a) : b.attention(a.q, a.k, a.v, a.mask, a.causal, a.scale));
}

void convert_math(Context& c) {
  Builder& b = c.build();
  Attention a = read_attention(c, "attn_mask");
  if (c.flag("enable_gqa")) {
    a.k = repeat_heads(b, a.k, a.q.size(-3));
    a.v = repeat_heads(b, a.v, a.q.size(-3));
  }
  const Spelled s = spelled_attention(b, a, c.tensor_or_none("dropout_mask"));
  c.set(0, s.y);
  c.set(1, s.weights);
}

/// The fused kernels: result, log-sum-exp, and outputs that only training reads.
void convert_fused(Context& c, std::string_view mask, std::initializer_list<int> unused) {
  Builder& b = c.build();
  const Attention a = read_attention(c, mask);
  c.set(0, a.dropout > 0 ? spelled_attention(b, a, {}).y : b.attention(a.q, a.k, a.v, a.mask, a.causal, a.scale));
  const ir::TensorMeta* meta = c.output_meta(1);
  if (meta != nullptr && meta->sizes.size() + 1 == a.q.sizes().size() && !ir::is_const(meta->sizes.back(), 0))
    c.set(1, b.cast(log_sum(b, a), meta->dtype));
  else
    set_unused(c, 1);
  for (int i : unused) set_unused(c, i);
}

}  // namespace

void add_attention(Registry& r) {
  add_rows(r, convert_attention,
           {"aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, "
            "float? scale=None, "
            "bool enable_gqa=False) -> Tensor"});
  add_rows(r, convert_math,
           {"aten::_scaled_dot_product_attention_math(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool "
            "is_causal=False, Tensor? "
            "dropout_mask=None, *, float? scale=None, bool enable_gqa=False) -> (Tensor, Tensor)"});
  add_rows(r, [](Context& c) { convert_fused(c, "attn_mask", {}); },
           {"aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0., bool is_causal=False, *, Tensor? "
            "attn_mask=None, "
            "float? scale=None) -> (Tensor output, Tensor logsumexp)"});
  add_rows(r,
           [](Context& c) {
             convert_fused(c, "attn_bias", {2, 3});
           },
           {"aten::_scaled_dot_product_efficient_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_bias, bool compute_log_sumexp, float "
            "dropout_p=0., bool "
            "is_causal=False, *, float? scale=None) -> (Tensor output, Tensor log_sumexp, Tensor philox_seed, Tensor philox_offset)"});
  add_rows(r,
           [](Context& c) {
             convert_fused(c, "", {2, 3, 6, 7, 8});
           },
           {"aten::_scaled_dot_product_flash_attention(Tensor query, Tensor key, Tensor value, float dropout_p=0., bool is_causal=False, bool "
            "return_debug_mask=False, *, "
            "float? scale=None) -> (Tensor output, Tensor logsumexp, Tensor cum_seq_q, Tensor cum_seq_k, SymInt max_q, SymInt max_k, Tensor rng_state, Tensor "
            "unused, Tensor "
            "debug_attn_mask)"});
  add_rows(
      r,
      [](Context& c) {
        convert_fused(c, "attn_bias", {2, 3, 6, 7, 8});
      },
      {"aten::_scaled_dot_product_cudnn_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_bias, bool compute_log_sumexp, float dropout_p=0., bool "
       "is_causal=False, bool return_debug_mask=False, *, float? scale=None) -> (Tensor output, Tensor logsumexp, Tensor cum_seq_q, Tensor cum_seq_k, SymInt "
       "max_q, SymInt "
       "max_k, Tensor philox_seed, Tensor philox_offset, Tensor debug_attn_mask)",
       "aten::_scaled_dot_product_fused_attention_overrideable(Tensor query, Tensor key, Tensor value, Tensor? attn_bias=None, float dropout_p=0., bool "
       "is_causal=False, "
       "bool return_debug_mask=False, *, float? scale=None) -> (Tensor output, Tensor logsumexp, Tensor cum_seq_q, Tensor cum_seq_k, SymInt max_q, SymInt "
       "max_k, Tensor "
       "philox_seed, Tensor philox_offset, Tensor debug_attn_mask)"});
}

}  // namespace reprise::ops
