// Losses of pairs of tensors.
#include <algorithm>
#include <cmath>

#include "ops/losses.h"

namespace reprise::ops {
namespace {

using Terms = std::span<const Term>;
using ir::ReduceKind;

/// A row of a pointwise loss over `operands`, then the node's reduction, in one rounding.
void add_loss(Registry& r, const std::string& schema, std::vector<std::string> operands, Body body) {
  add_rows(r, {schema}, [operands = std::move(operands), body = std::move(body)](Context& c) {
    std::vector<Input> inputs;
    for (const auto& name : operands)
      if (!c.is_none(name)) inputs.push_back(input(c, name));
    const DType dtype = to_float(promoted_type(inputs)), work = compute_type(dtype);
    c.set(0, c.build().cast(reduce_loss(c, pointwise(c, inputs, work, work, body)), dtype));
  });
}

Term squared(Context&, Terms x) { return (x[0] - x[1]) * (x[0] - x[1]); }

Term smooth_l1(Context& c, Terms x) {
  const double beta = c.real("beta");
  const Term z = abs(x[0] - x[1]);
  return beta == 0 ? z : (z < beta).pick(z * z * 0.5 / beta, z - 0.5 * beta);
}

Term huber(Context& c, Terms x) {
  const double delta = c.real("delta");
  const Term z = abs(x[0] - x[1]);
  return (z <= delta).pick(z * z * 0.5, (z - 0.5 * delta) * delta);
}

/// The optional weight stands last.
Term binary_cross_entropy(Context&, Terms in) {
  const Term x = in[0], target = in[1];
  const Term loss = (target - 1) * max((-x).apply(ScalarOp::log1p), -100) - target * max(log(x), -100);
  return in.size() > 2 ? loss * in[2] : loss;
}

/// weight and pos_weight, where given, stand last and in this order.
Term binary_cross_entropy_with_logits(Context& c, Terms in) {
  const Term x = in[0], target = in[1], log_sigmoid = min(x, 0) - exp(-abs(x)).apply(ScalarOp::log1p);
  const Term scaled = c.is_none("pos_weight") ? log_sigmoid : ((in.back() - 1) * target + 1) * log_sigmoid;
  const Term loss = (1 - target) * x - scaled;
  return c.is_none("weight") ? loss : loss * in[2];
}

Term kl_divergence(Context& c, Terms x) {
  if (c.flag("log_target")) return exp(x[1]) * (x[1] - x[0]);
  const Term target = x[1], entropy = is_nan(target).pick(target, equal(target, 0).pick(target.of(0), target * log(target)));
  return entropy - target * x[0];
}

Term poisson(Context& c, Terms in) {
  const Term x = in[0], target = in[1];
  const Term loss = c.flag("log_input") ? exp(x) - target * x : x - target * log(x + c.real("eps"));
  if (!c.flag("full")) return loss;
  const Term stirling = target * log(target) - target + log(target * (2 * M_PI)) * 0.5;
  return loss + (target <= 1).pick(target.of(0), stirling);
}

Term hinge_embedding(Context& c, Terms in) {
  const Term x = in[0], is_one = equal(in[1], 1), is_minus_one = equal(in[1], -1), zero = x.of(0);
  return is_one.pick(zero, max(c.real("margin") - x, 0)) + is_minus_one.pick(zero, x);
}

void add_pairwise_losses(Registry& r) {
  const std::vector<std::string> pair = {"self", "target"};
  add_loss(r, "aten::mse_loss(Tensor self, Tensor target, int reduction=Mean)", pair, squared);
  add_loss(r, "aten::l1_loss(Tensor self, Tensor target, int reduction=Mean)", pair, [](Context&, Terms x) { return abs(x[0] - x[1]); });
  add_loss(r, "aten::smooth_l1_loss(Tensor self, Tensor target, int reduction=Mean, float beta=1.0)", pair, smooth_l1);
  add_loss(r, "aten::huber_loss(Tensor self, Tensor target, int reduction=Mean, float delta=1.0)", pair, huber);
  add_loss(r, "aten::binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=Mean)", {"self", "target", "weight"},
           binary_cross_entropy);
  add_loss(r, "aten::binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=Mean)",
           {"self", "target", "weight", "pos_weight"}, binary_cross_entropy_with_logits);
  add_loss(r, "aten::kl_div(Tensor self, Tensor target, int reduction=Mean, *, bool log_target=False)", pair, kl_divergence);
  add_loss(r, "aten::poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction)", {"input", "target"}, poisson);
  add_loss(r, "aten::soft_margin_loss(Tensor self, Tensor target, int reduction=Mean)", pair,
           [](Context&, Terms x) { return exp(-x[0] * x[1]).apply(ScalarOp::log1p); });
  add_loss(r, "aten::hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int reduction=Mean)", pair, hinge_embedding);
  add_loss(r, "aten::margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=Mean)", {"input1", "input2", "target"},
           [](Context& c, Terms x) { return max(-x[2] * (x[0] - x[1]) + c.real("margin"), 0); });
}

// ---- distances of vectors ----

/// |x - y + eps| along the last dimension.
Val pairwise_distance(Context& c, Val x, Val y, double p, double eps, bool keepdim) {
  const Input inputs[] = {{.tensor = x}, {.tensor = y}};
  const DType work = arithmetic_type(to_float(promoted_type(inputs)));
  return p_norm(c.build(), pointwise(c, inputs, work, work, [eps](Context&, Terms t) { return t[0] - t[1] + eps; }), p, {-1}, keepdim);
}

void convert_pairwise_distance(Context& c) {
  const Val x1 = c.tensor("x1"), x2 = c.tensor("x2");
  const Input inputs[] = {{.tensor = x1}, {.tensor = x2}};
  c.set(0, c.build().cast(pairwise_distance(c, x1, x2, c.real("p"), c.real("eps"), c.flag("keepdim")), to_float(promoted_type(inputs))));
}

void convert_triplet_margin_loss(Context& c) {
  Builder& b = c.build();
  const Val anchor = c.tensor("anchor"), positive = c.tensor("positive"), negative = c.tensor("negative");
  const auto distance = [&](Val x, Val y) { return pairwise_distance(c, x, y, c.real("p"), c.real("eps"), false); };
  Val near = distance(anchor, positive), far = distance(anchor, negative);
  if (c.flag("swap")) far = b.binary(ScalarOp::minimum, far, distance(positive, negative));
  const double margin = c.real("margin");
  c.set(0, b.cast(reduce_loss(c, compute(
                                     b, [&](Term n, Term f) { return max(n - f + margin, 0); }, near, far)),
                  anchor.dtype()));
}

void convert_cosine_embedding_loss(Context& c) {
  Builder& b = c.build();
  const auto [x, y] = promoted(b, c.tensor("input1"), c.tensor("input2"));
  const DType dtype = to_float(x.dtype()), work = compute_type(dtype);
  const auto dot = [&](Val u, Val v) {
    return sum(b,
               compute(
                   b, [&](Term s, Term t) { return s.as(work) * t.as(work); }, u, v),
               {-1});
  };
  const double margin = c.real("margin");
  const auto loss = [&](Term xy, Term xx, Term yy, Term target) {
    const Term cosine = xy / sqrt((xx + 1e-12) * (yy + 1e-12)), zero = xy.of(0);
    return equal(target, 1).pick(1 - cosine, zero) + equal(target, -1).pick(max(cosine - margin, 0), zero);
  };
  c.set(0, b.cast(reduce_loss(c, compute(b, loss, dot(x, y), dot(x, x), dot(y, y), c.tensor("target"))), dtype));
}

}  // namespace

Val reduce_loss(Context& c, Val loss) {
  const auto reduction = c.fixed("reduction");
  if (reduction == 0) return loss;
  const Val total = c.build().reduce(ReduceKind::sum, loss, {}, false, loss.dtype());
  if (reduction == 2) return total;
  return compute(
      c.build(), [&](Term t) { return t / t.of(loss.numel()); }, total);
}

void add_losses(Registry& r) {
  add_pairwise_losses(r);
  add_rows(r, {"aten::pairwise_distance(Tensor x1, Tensor x2, float p=2.0, float eps=1e-06, bool keepdim=False)"}, convert_pairwise_distance);
  add_rows(r,
           {"aten::triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2.0, float eps=1e-06, bool swap=False, int "
            "reduction=Mean)"},
           convert_triplet_margin_loss);
  add_rows(r, {"aten::cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=Mean)"},
           convert_cosine_embedding_loss);
  add_classification_losses(r);
}

}  // namespace reprise::ops
