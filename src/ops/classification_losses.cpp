// Losses against class numbers or class probabilities. Classes stand in dimension 1, or 0 of a single sample.
#include "ops/losses.h"

namespace reprise::ops {
namespace {

using ir::ReduceKind;

int class_axis(Val x) { return x.rank() == 1 ? 0 : 1; }

Val total(Builder& b, Val x) { return b.reduce(ReduceKind::sum, x, {}, false, x.dtype()); }

Val ratio(Builder& b, Val x, Val y) { return b.binary(ScalarOp::div, x, y); }

/// A target's class numbers with 0 where it is to be ignored, and which are not.
struct Classes {
  Val index, valid;
};

Classes classes_of(Context& c) {
  Builder& b = c.build();
  const Val target = b.cast(c.tensor("target"), DType::i64);
  const Expr ignored = c.integer("ignore_index");
  const Val valid = compute(
      b, [&](Term t) { return !equal(t, t.of(ignored)); }, target);
  return {compute(
              b, [&](Term t) { return equal(t, t.of(ignored)).pick(t.of(0), t); }, target),
          valid};
}

/// Each target's weight (1 without weights), 0 where it is ignored.
Val weights_of(Builder& b, const Classes& classes, Val weight, DType dtype) {
  if (!weight.defined()) return b.cast(classes.valid, dtype);
  const Val flat = b.index_select(b.cast(weight, dtype), b.reshape(classes.index, {classes.index.numel()}), 0);
  return compute(
      b, [](Term v, Term w) { return v.pick(w, w.of(0)); }, classes.valid, b.reshape(flat, classes.index.sizes()));
}

struct NegativeLogLikelihood {
  Val loss, total_weight;
};

/// Of log probabilities x.
NegativeLogLikelihood nll(Context& c, Val x, Val weight) {
  Builder& b = c.build();
  const Classes classes = classes_of(c);
  const int axis = class_axis(x);
  const Val picked = b.reshape(b.gather(x, b.unsqueeze(classes.index, axis), axis), classes.index.sizes());
  const Val weights = weights_of(b, classes, weight, x.dtype());
  const Val loss = compute(
      b, [](Term v, Term w, Term p) { return v.pick(-(w * p), p.of(0)); }, classes.valid, weights, picked);
  if (c.fixed("reduction") == 0) return {loss, b.scalar(0.0, x.dtype())};
  const Val weight_sum = total(b, weights);
  return {c.fixed("reduction") == 1 ? ratio(b, total(b, loss), weight_sum) : total(b, loss), weight_sum};
}

void add_negative_log_likelihood(Registry& r) {
  const auto convert = [](Context& c, bool with_total) {
    const Val self = c.tensor("self");
    const auto result = nll(c, c.build().cast(self, compute_type(self.dtype())), c.tensor_or_none("weight"));
    c.set(0, c.build().cast(result.loss, self.dtype()));
    if (with_total) c.set(1, c.build().cast(result.total_weight, self.dtype()));
  };
  add_rows(
      r,
      schemas({"nll_loss", "nll_loss2d", "nll_loss_nd"}, {"(Tensor self, Tensor target, Tensor? weight=None, int reduction=Mean, SymInt ignore_index=-100)"}),
      [=](Context& c) { convert(c, false); });
  add_rows(r, schemas({"nll_loss_forward", "nll_loss2d_forward"}, {"(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index)"}),
           [=](Context& c) { convert(c, true); });
}

/// weight[C] along the class axis of x.
Val weighted(Builder& b, Val x, Val weight) {
  if (!weight.defined()) return x;
  return b.binary(ScalarOp::mul, x, along(b, b.cast(weight, x.dtype()), class_axis(x), x.rank()));
}

/// Targets are probabilities: -sum over classes; the mean is over samples.
Val probability_cross_entropy(Context& c, Val log_p, double smoothing) {
  Builder& b = c.build();
  const int axis = class_axis(log_p);
  const Expr classes = log_p.size(axis);
  const Val target = compute(
      b, [&](Term t) { return smoothing > 0 ? t * (1 - smoothing) + t.of(smoothing) / t.of(classes) : t; }, b.cast(c.tensor("target"), log_p.dtype()));
  const Val loss = weighted(b,
                            compute(
                                b, [](Term p, Term t) { return -(p * t); }, log_p, target),
                            c.tensor_or_none("weight"));
  if (c.fixed("reduction") == 0) return sum(b, loss, {axis});
  const Val all = total(b, loss);
  if (c.fixed("reduction") == 2) return all;
  return compute(
      b, [&](Term t) { return t * t.of(classes) / t.of(log_p.numel()); }, all);
}

/// A part of every target's weight is spread over all classes.
Val smoothed_cross_entropy(Context& c, Val log_p, double smoothing) {
  Builder& b = c.build();
  const int axis = class_axis(log_p);
  const Val weight = c.tensor_or_none("weight");
  const NegativeLogLikelihood hard = nll(c, log_p, weight);
  const Classes classes = classes_of(c);
  const Val spread = sum(b, weighted(b, log_p, weight), {axis});
  Val soft = compute(
      b, [](Term v, Term s) { return v.pick(-s, s.of(0)); }, classes.valid, spread);
  if (c.fixed("reduction") == 2) soft = total(b, soft);
  if (c.fixed("reduction") == 1) soft = ratio(b, total(b, soft), hard.total_weight);
  const Expr n = log_p.size(axis);
  return compute(
      b, [&](Term h, Term s) { return h * (1 - smoothing) + s * smoothing / s.of(n); }, hard.loss, soft);
}

void convert_cross_entropy(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self"), target = c.tensor("target");
  const double smoothing = c.real("label_smoothing");
  const Val log_p = b.softmax(self, class_axis(self), true, compute_type(self.dtype()));
  const auto loss = [&] {
    if (target.rank() == self.rank() && is_floating(target.dtype())) return probability_cross_entropy(c, log_p, smoothing);
    return smoothing > 0 ? smoothed_cross_entropy(c, log_p, smoothing) : nll(c, log_p, c.tensor_or_none("weight")).loss;
  };
  c.set(0, b.cast(loss(), self.dtype()));
}

/// The sum over wrong classes of max(0, margin - right + wrong)^p, over the number of classes.
void convert_multi_margin(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self"), x = b.cast(self, compute_type(self.dtype())), target = b.cast(c.tensor("target"), DType::i64);
  const int axis = class_axis(x);
  const Val column = self.rank() == 1 ? b.reshape(target, {1}) : b.unsqueeze(target, 1);
  const double p = c.real("p"), margin = c.real("margin");
  Val weight = c.tensor_or_none("weight");
  weight = weight.defined() ? b.reshape(b.index_select(b.cast(weight, x.dtype()), b.reshape(target, {target.numel()}), 0), column.sizes())
                            : b.scalar(1.0, x.dtype());
  const auto term = [&](Term wrong, Term right, Term at, Term y, Term w) {
    const Term z = max(margin - right + wrong, 0);
    return equal(at, y).pick(z.of(0), (p == 1 ? z : z * z) * w);
  };
  const Val terms = compute(b, term, x, b.gather(x, column, axis), positions(b, x.size(axis), axis, x.rank()), column, weight);
  const Val loss = compute(
      b, [&](Term s) { return s / s.of(x.size(axis)); }, sum(b, terms, {axis}));
  c.set(0, b.cast(reduce_loss(c, loss), self.dtype()));
}

}  // namespace

void add_classification_losses(Registry& r) {
  add_negative_log_likelihood(r);
  add_rows(
      r, {"aten::cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=Mean, SymInt ignore_index=-100, float label_smoothing=0.0)"},
      convert_cross_entropy);
  add_rows(r, {"aten::multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=Mean)"},
           convert_multi_margin);
}

}  // namespace reprise::ops
