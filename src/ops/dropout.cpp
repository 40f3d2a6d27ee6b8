// Ops that draw in training and pass their input through in evaluation.
#include <cmath>
#include <string>

#include "ops/random.h"

namespace reprise::ops {

Val dropout(Builder& b, Val x, double p, const Shape& draws) {
  const auto body = [p](Term v, Term u) { return (u >= p).pick(v.as(u.type()) / (1 - p), u.of(0)).as(v.type()); };
  return compute(b, body, x, uniform(b, draws, compute_type(x.dtype())));
}

namespace {

/// One draw per instance and channel.
Shape per_channel(const Shape& sizes) {
  Shape out = sizes;
  for (std::size_t i = 2; i < out.size(); ++i) out[i] = 1;
  return out;
}

/// Dropped elements take the value at which SELU saturates; a and b keep mean and variance.
Val alpha_dropout(Builder& b, Val x, double p, const Shape& draws) {
  constexpr double kAlpha = 1.7580993408473766;
  if (p == 1)
    return compute(
        b, [](Term v) { return v * 0.0; }, x);
  const double a = 1 / std::sqrt((kAlpha * kAlpha * p + 1) * (1 - p)), shift = kAlpha * a * p;
  const auto body = [=](Term v, Term u) { return ((u >= p).pick(v.as(u.type()) * a, u.of(-kAlpha * a)) + shift).as(v.type()); };
  return compute(b, body, x, uniform(b, draws, compute_type(x.dtype())));
}

using Drop = Val (*)(Builder&, Val, double, const Shape&);

/// A row and its in-place form, whose first argument has another name.
void add_drop_rows(Registry& r, Drop drop, bool channels, const std::string& name) {
  const auto convert = [=](Context& c, const char* operand, bool in_place) {
    const Val x = c.tensor(operand);
    const double p = c.real("p");
    if (!c.flag("train") || p == 0) return c.set(0, x);
    const Val y = drop(c.build(), x, p, channels ? per_channel(x.sizes()) : x.sizes());
    if (in_place) c.build().write(x, y);
    c.set(0, in_place ? x : y);
  };
  add_rows(r, [=](Context& c) { convert(c, "input", false); }, {("aten::" + name + "(Tensor input, float p, bool train) -> Tensor").c_str()});
  add_rows(r, [=](Context& c) { convert(c, "self", true); }, {("aten::" + name + "_(Tensor(a!) self, float p, bool train) -> Tensor(a!)").c_str()});
}

void convert_native_dropout(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("input");
  const double p = c.real("p");
  if (!c.is_none("train") && !c.flag("train")) {
    c.set(0, b.copy(x));
    return c.set(1, b.copy(filled(b, x.sizes(), 1, DType::boolean)));
  }
  const auto body = [p](Term v, Term u) {
    const Term keep = u >= p;
    return std::array{keep.pick(v.as(u.type()) / (1 - p), u.of(0)).as(v.type()), keep};
  };
  c.set_all(compute_all(b, body, x, uniform(b, x.sizes(), compute_type(x.dtype()))));
}

struct Leaky {
  Val y, noise;
};

/// A leaky ReLU whose slope is drawn in training and fixed, the mean, in evaluation.
Leaky rrelu(Context& c, Val noise) {
  Builder& b = c.build();
  const Val x = c.tensor("self");
  const double lower = c.real("lower"), upper = c.real("upper");
  if (!c.flag("training"))
    return {compute(
                b, [&](Term v) { return (v <= 0).pick(v * ((lower + upper) / 2), v); }, x),
            noise};
  const auto body = [&](Term v, Term u) {
    const Term slope = (v <= 0).pick(u * (upper - lower) + lower, u.of(1));
    return std::array{(v.as(u.type()) * slope).as(v.type()), slope.as(v.type())};
  };
  const auto both = compute_all(b, body, x, uniform(b, x.sizes(), compute_type(x.dtype())));
  return {both[0], both[1]};
}

void convert_rrelu_functional(Context& c) {
  const Val noise = c.tensor("noise");
  const Leaky out = rrelu(c, noise);
  c.set(0, out.y);
  c.set(1, c.flag("training") ? out.noise : c.build().copy(noise));
}

void convert_rrelu_with_noise(Context& c) {
  const Val noise = c.tensor("noise");
  const Leaky out = rrelu(c, noise);
  c.set(0, out.y);
  if (c.flag("training")) c.build().write(noise, out.noise);
}

}  // namespace

void add_dropout(Registry& r) {
  add_drop_rows(r, dropout, false, "dropout");
  add_drop_rows(r, dropout, true, "feature_dropout");
  add_drop_rows(r, alpha_dropout, false, "alpha_dropout");
  add_drop_rows(r, alpha_dropout, true, "feature_alpha_dropout");
  add_rows(r, convert_native_dropout, {"aten::native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)"});
  add_rows(r, [](Context& c) { c.set(0, rrelu(c, {}).y); },
           {"aten::rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? generator=None) -> Tensor"});
  add_rows(
      r, convert_rrelu_functional,
      {"aten::rrelu_with_noise_functional(Tensor self, Tensor noise, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? "
       "generator=None) -> (Tensor, Tensor noise_out)"});
  add_rows(r, convert_rrelu_with_noise,
           {"aten::rrelu_with_noise(Tensor self, Tensor(b!) noise, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? "
            "generator=None) -> "
            "Tensor"});
}

}  // namespace reprise::ops
