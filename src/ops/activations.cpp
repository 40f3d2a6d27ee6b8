// Activations: expressions of one tensor and a few numbers.
#include <cmath>
#include <numbers>

#include "ops/row_helpers.h"

namespace reprise::ops {
namespace {

using Terms = std::span<const Term>;

Term relu(Term x) { return max(x, 0); }
Term clamp(Term x, Term low, Term high) { return min(max(x, low), high); }
/// Of x + 3 clamped to [0, 6].
Term hard_gate(Term x) { return clamp(x + 3, x.of(0), x.of(6)); }
Term leaky(Term x, Term slope) { return (x > 0).pick(x, x * slope); }

Term gelu(Context& c, Terms in) {
  const Term x = in[0];
  if (c.text("approximate") != "tanh") return x * 0.5 * ((x * (1 / std::numbers::sqrt2)).apply(ScalarOp::erf) + 1);
  const double beta = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;  // sqrt(2 / pi)
  return x * 0.5 * (tanh((x + x * x * x * 0.044715) * beta) + 1);
}

Term elu(Term x, Term alpha, Term scale, Term input_scale) { return (x > 0).pick(x * scale, (x * input_scale).apply(ScalarOp::expm1) * (alpha * scale)); }

Term softplus(Context& c, Terms in) {
  const Term x = in[0], beta = number(c, "beta", x), scaled = x * beta;
  return (scaled > number(c, "threshold", x)).pick(x, exp(scaled).apply(ScalarOp::log1p) / beta);
}

Term log_sigmoid(Term x) { return min(x, 0) - exp(-abs(x)).apply(ScalarOp::log1p); }

Term hard_shrink(Context& c, Terms in) {
  const Term x = in[0], bound = number(c, "lambd", x);
  return (x >= -bound && x <= bound).pick(x.of(0), x);
}

Term soft_shrink(Context& c, Terms in) {
  const Term x = in[0], bound = number(c, "lambd", x);
  return (x > bound).pick(x - bound, (x < -bound).pick(x + bound, x * 0));
}

void add_gates(Registry& r) {
  const auto add = [&](std::initializer_list<const char*> names, Term (*f)(Term)) {
    add_unary_rows(r, names, Typing::common, [f](Context&, Terms x) { return f(x[0]); });
  };
  add({"relu"}, relu);
  add({"relu6"}, [](Term x) { return clamp(x, x.of(0), x.of(6)); });
  add({"silu"}, [](Term x) { return x / (exp(-x) + 1); });
  add({"mish"}, [](Term x) { return x * tanh(exp(x).apply(ScalarOp::log1p)); });
  add({"hardswish"}, [](Term x) { return x * hard_gate(x) / 6; });
  add({"hardsigmoid"}, [](Term x) { return hard_gate(x) / 6; });
  add({"selu"}, [](Term x) { return elu(x, x.of(1.6732632423543772848170429916717), x.of(1.0507009873554804934193349852946), x.of(1)); });
  add({"log_sigmoid"}, log_sigmoid);
  add_pointwise_rows(r, schemas({"gelu"}, {"(Tensor self, *, str approximate=\"none\")"}), {"self"}, Typing::common, gelu);
  add_rows(r, {"aten::log_sigmoid_forward(Tensor self)"}, [](Context& c) {
    c.set(0, pointwise(c, {"self"}, Typing::common, [](Context&, Terms x) { return log_sigmoid(x[0]); }));
    set_unused(c, 1);
  });
}

void add_parametrized(Registry& r) {
  const auto add = [&](const char* schema, Body body) { add_pointwise_rows(r, {schema}, {"self"}, Typing::common, std::move(body)); };
  add("aten::leaky_relu(Tensor self, Scalar negative_slope=0.01)", [](Context& c, Terms x) { return leaky(x[0], number(c, "negative_slope", x[0])); });
  add("aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1)",
      [](Context& c, Terms x) { return elu(x[0], number(c, "alpha", x[0]), number(c, "scale", x[0]), number(c, "input_scale", x[0])); });
  add("aten::celu(Tensor self, Scalar alpha=1.0)", [](Context& c, Terms x) {
    const Term alpha = number(c, "alpha", x[0]);
    return elu(x[0], alpha, x[0].of(1), 1 / alpha);
  });
  add("aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1)",
      [](Context& c, Terms x) { return clamp(x[0], number(c, "min_val", x[0]), number(c, "max_val", x[0])); });
  add("aten::threshold(Tensor self, Scalar threshold, Scalar value)",
      [](Context& c, Terms x) { return (x[0] <= number(c, "threshold", x[0])).pick(number(c, "value", x[0]), x[0]); });
  add("aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20)", softplus);
  add("aten::hardshrink(Tensor self, Scalar lambd=0.5)", hard_shrink);
  add("aten::softshrink(Tensor self, Scalar lambd=0.5)", soft_shrink);
}

/// One weight, or one for each channel (dimension 1).
void convert_prelu(Context& c) {
  const Val self = c.tensor("self");
  Val weight = c.tensor("weight");
  if (weight.rank() == 1 && self.rank() > 1) weight = along(c.build(), weight, 1, self.rank());
  if (weight.rank() == 1 && self.rank() == 0) weight = c.build().reshape(weight, {});
  const Input inputs[] = {{.tensor = self}, {.tensor = weight}};
  c.set(0, pointwise(c, inputs, Typing::common, [](Context&, Terms x) { return leaky(x[0], x[1]); }));
}

void convert_glu(Context& c) {
  Builder& b = c.build();
  const Val self = c.tensor("self");
  const int dim = dim_of(c, "dim", self.rank());
  const Expr half = sym::floor_div(self.size(dim), 2);
  const Input inputs[] = {{.tensor = b.slice(self, dim, 0, half)}, {.tensor = b.slice(self, dim, half, half)}};
  c.set(0, pointwise(c, inputs, Typing::common, [](Context&, Terms x) { return x[0] * sigmoid(x[1]); }));
}

}  // namespace

void add_activations(Registry& r) {
  add_gates(r);
  add_parametrized(r);
  add_rows(r, schemas({"prelu", "_prelu_kernel"}, {"(Tensor self, Tensor weight)"}), convert_prelu);
  add_rows(r, {"aten::glu(Tensor self, int dim=-1)"}, convert_glu);
}

}  // namespace reprise::ops
