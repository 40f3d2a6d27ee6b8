// Normalizations. Where parameters are wider than the input (bf16 with f32 weights), the arithmetic runs in the wider dtype and the result is rounded once.
#include <limits>

#include "base/check.h"
#include "ops/compose.h"

namespace reprise::ops {
namespace {

DType work_type(Val x, std::initializer_list<Val> parameters) {
  DType t = x.dtype();
  for (const Val& p : parameters)
    if (p.defined()) t = promote(t, p.dtype());
  return t;
}

Val cast_or_none(Builder& b, Val x, DType t) { return x.defined() ? b.cast(x, t) : x; }

/// Output i cast to what the exporter says it is.
void set_cast(Context& c, int i, Val value) {
  const ir::TensorMeta* meta = c.output_meta(i);
  c.set(i, meta == nullptr ? value : c.build().cast(value, meta->dtype));
}

void set_norm(Context& c, const Builder::NormResult& n, DType input, bool stats) {
  c.set(0, c.build().cast(n.y, input));
  if (!stats) return;
  set_cast(c, 1, n.mean);
  set_cast(c, 2, n.rstd);
}

void convert_layer_norm(Context& c, bool stats) {
  Builder& b = c.build();
  const Val x = c.tensor("input"), w = c.tensor_or_none("weight"), bias = c.tensor_or_none("bias");
  const DType t = work_type(x, {w, bias});
  const int dims = static_cast<int>(c.ints("normalized_shape").size());
  set_norm(c, b.layer_norm(b.cast(x, t), dims, cast_or_none(b, w, t), cast_or_none(b, bias, t), c.real("eps"), stats), x.dtype(), stats);
}

void convert_group_norm(Context& c, std::string_view groups, bool stats) {
  Builder& b = c.build();
  const Val x = c.tensor("input"), w = c.tensor_or_none("weight"), bias = c.tensor_or_none("bias");
  const DType t = work_type(x, {w, bias});
  set_norm(c, b.group_norm(b.cast(x, t), c.fixed(groups), cast_or_none(b, w, t), cast_or_none(b, bias, t), c.real("eps"), stats), x.dtype(), stats);
}

/// Without an eps it is the machine epsilon of the dtype that the arithmetic runs in.
void convert_rms_norm(Context& c, bool stats) {
  Builder& b = c.build();
  const Val x = c.tensor("input"), w = c.tensor_or_none("weight");
  const DType t = work_type(x, {w});
  const double machine = compute_type(t) == DType::f64 ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  const double eps = c.is_none("eps") ? machine : c.real("eps");
  const auto n = b.rms_norm(b.cast(x, t), static_cast<int>(c.ints("normalized_shape").size()), cast_or_none(b, w, t), eps, stats);
  set_cast(c, 0, n.y);
  if (stats) set_cast(c, 1, n.rstd);
}

// ---- batch norm ----

struct ChannelMoments {
  Val mean, var;  // var is the biased one
  Expr count;     // values that each is taken over
};

/// Mean and variance over `axes`, in f32 for narrower input.
ChannelMoments moments(Builder& b, Val x, const std::vector<int>& axes) {
  const Val wide = b.cast(x, compute_type(x.dtype()));
  Expr count = 1;
  for (int a : axes) count = count * x.size(a);
  const auto mean_of = [&](Val v, bool keepdim) {
    return compute(
        b, [&](Term s) { return s / s.of(count); }, sum(b, v, axes, keepdim));
  };
  const Val mean = mean_of(wide, true);
  const Val var = mean_of(compute(
                              b, [](Term v, Term m) { return (v - m) * (v - m); }, wide, mean),
                          false);
  return {b.reshape(mean, var.sizes()), var, count};
}

/// Every dimension but the channels.
std::vector<int> all_but_channels(Val x, bool batch) {
  std::vector<int> axes;
  for (int d = 0; d < x.rank(); ++d)
    if (d != 1 && (d != 0 || batch)) axes.push_back(d);
  return axes;
}

/// (1 - momentum) * running + momentum * seen, in the dtype of `running`; the variance is the unbiased one.
struct Running {
  Val mean, var;
};
Running updated(Builder& b, const Running& old, const ChannelMoments& seen, double momentum) {
  const auto blend = [&](Val running, Val fresh, bool unbiased) {
    const auto body = [&](Term r, Term f) {
      const Term value = unbiased ? f * (f.of(seen.count) / (f.of(seen.count) - 1)) : f;
      return (r.as(f.type()) * (1 - momentum) + value * momentum).as(r.type());
    };
    return compute(b, body, running, fresh);
  };
  return {blend(old.mean, seen.mean, false), blend(old.var, seen.var, true)};
}

Val normalize(Builder& b, Val x, Val mean, Val var, Val w, Val bias, double eps) {
  const DType t = work_type(x, {mean, w});
  return b.cast(b.batch_norm(b.cast(x, t), b.cast(mean, t), b.cast(var, t), cast_or_none(b, w, t), cast_or_none(b, bias, t), eps), x.dtype());
}

struct BatchNorm {
  Val y;
  ChannelMoments seen;  // undefined values in inference
  Running running;
  double eps = 0, momentum = 0;
};

BatchNorm batch_norm(Context& c, bool training) {
  Builder& b = c.build();
  BatchNorm n;
  n.eps = c.real("eps");
  n.momentum = c.real("momentum");
  const Val x = c.tensor("input"), w = c.tensor_or_none("weight"), bias = c.tensor_or_none("bias");
  if (training) n.seen = moments(b, x, all_but_channels(x, true));
  const Val mean = training ? n.seen.mean : c.tensor("running_mean"), var = training ? n.seen.var : c.tensor("running_var");
  n.y = normalize(b, x, mean, var, w, bias, n.eps);
  return n;
}

Running running_stats(Context& c) { return {c.tensor_or_none("running_mean"), c.tensor_or_none("running_var")}; }

void write_running(Context& c, const ChannelMoments& seen, double momentum) {
  const Running old = running_stats(c);
  if (!old.mean.defined()) return;
  const Running now = updated(c.build(), old, seen, momentum);
  c.build().write(old.mean, now.mean);
  c.build().write(old.var, now.var);
}

/// Saved mean and inverse deviation: empty in inference.
void set_saved(Context& c, const BatchNorm& n) {
  if (!n.seen.mean.defined()) {
    set_unused(c, 1);
    set_unused(c, 2);
    return;
  }
  set_cast(c, 1, n.seen.mean);
  set_cast(c, 2,
           compute(
               c.build(), [&](Term v) { return rsqrt(v + n.eps); }, n.seen.var));
}

enum class Updates { none, in_place, as_outputs };

void convert_batch_norm(Context& c, bool training, Updates updates, bool saved) {
  if (c.tensor("input").rank() < 2) return c.set(0, c.build().copy(c.tensor("input")));  // PyTorch takes these only without elements
  const BatchNorm n = batch_norm(c, training);
  c.set(0, n.y);
  if (saved) set_saved(c, n);
  if (training && updates == Updates::in_place) write_running(c, n.seen, n.momentum);
  if (updates != Updates::as_outputs) return;
  const int first = c.node().outputs.size() > 5 ? 4 : 3;  // after a "reserve" output, where there is one
  const Running old = running_stats(c), now = training ? updated(c.build(), old, n.seen, n.momentum) : old;
  set_cast(c, first, training ? now.mean : c.build().copy(now.mean));
  set_cast(c, first + 1, training ? now.var : c.build().copy(now.var));
}

void add_batch_norm(Registry& r) {
  add_rows(
      r, [](Context& c) { convert_batch_norm(c, c.flag("training"), Updates::in_place, false); },
      {"aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool "
       "cudnn_enabled) -> Tensor"});
  add_rows(r, [](Context& c) { convert_batch_norm(c, c.flag("training"), Updates::in_place, true); },
           {"aten::native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, "
            "float eps) -> "
            "(Tensor, Tensor, Tensor)",
            "aten::_native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) running_var, bool training, float "
            "momentum, float "
            "eps) -> (Tensor, Tensor, Tensor)"});
  add_rows(r, [](Context& c) { convert_batch_norm(c, true, Updates::none, true); },
           {"aten::_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, "
            "Tensor)"});
  add_rows(r, [](Context& c) { convert_batch_norm(c, false, Updates::none, true); },
           {"aten::_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, "
            "float eps) -> "
            "(Tensor, Tensor, Tensor)"});
  add_rows(r, [](Context& c) { convert_batch_norm(c, c.flag("training"), Updates::as_outputs, true); },
           {"aten::_native_batch_norm_legit_functional(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, bool training, "
            "float momentum, "
            "float eps) -> (Tensor, Tensor, Tensor, Tensor running_mean_out, Tensor running_var_out)"});
  const auto with_reserve = [](bool training, Updates updates) {
    return [=](Context& c) {
      convert_batch_norm(c, training, updates, true);
      set_unused(c, 3);
    };
  };
  add_rows(r, with_reserve(true, Updates::as_outputs),
           {"aten::_batch_norm_with_update_functional(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean, Tensor running_var, float momentum, "
            "float eps) -> "
            "(Tensor, Tensor, Tensor, Tensor, Tensor running_mean_out, Tensor running_var_out)"});
  add_rows(r, with_reserve(true, Updates::in_place),
           {"aten::_batch_norm_with_update(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean, Tensor(b!) running_var, float momentum, float "
            "eps) -> (Tensor, "
            "Tensor, Tensor, Tensor)"});
  add_rows(r, with_reserve(false, Updates::none),
           {"aten::_batch_norm_no_update(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, float momentum, float eps) -> "
            "(Tensor, Tensor, "
            "Tensor, Tensor)"});
}

// ---- others ----

/// One group per channel; running statistics take the batch's mean of what each instance would make of them.
void convert_instance_norm(Context& c) {
  Builder& b = c.build();
  const Val x = c.tensor("input"), w = c.tensor_or_none("weight"), bias = c.tensor_or_none("bias");
  const double eps = c.real("eps");
  if (!c.flag("use_input_stats")) return c.set(0, normalize(b, x, c.tensor("running_mean"), c.tensor("running_var"), w, bias, eps));
  const DType t = work_type(x, {w, bias});
  const auto channels = x.size(1).as_int();
  REPRISE_CHECK(channels.has_value(), ShapeError, "[ops/instance_norm] the number of channels must be fixed (got {})", x.size(1).str());
  c.set(0, b.cast(b.group_norm(b.cast(x, t), *channels, cast_or_none(b, w, t), cast_or_none(b, bias, t), eps, false).y, x.dtype()));
  if (!running_stats(c).mean.defined()) return;
  ChannelMoments seen = moments(b, x, all_but_channels(x, false));
  const auto mean_over_batch = [&](Val v) {
    return compute(
        b, [&](Term s) { return s / s.of(x.size(0)); }, sum(b, v, {0}));
  };
  seen.mean = mean_over_batch(seen.mean);
  seen.var = mean_over_batch(seen.var);
  write_running(c, seen, c.real("momentum"));
}

/// The 2-norm over all dimensions but `dim` (-1: over all), which stay as 1.
Val norm_except(Builder& b, Val v, double p, std::int64_t dim) {
  std::vector<int> axes;
  for (int d = 0; d < v.rank(); ++d)
    if (d != dim) axes.push_back(d);
  if (axes.empty()) return b.unary(ScalarOp::abs, v);
  return p_norm(b, v, p, axes, dim >= 0);
}

void convert_weight_norm(Context& c, bool with_norm) {
  Builder& b = c.build();
  const Val v = c.tensor("v"), g = c.tensor("g");
  const Val norm = norm_except(b, b.cast(v, compute_type(v.dtype())), 2, c.fixed("dim"));
  c.set(0, compute(
               b, [](Term x, Term scale, Term n) { return (x.as(n.type()) * (scale.as(n.type()) / n)).as(x.type()); }, v, g, norm));
  if (with_norm) set_cast(c, 1, norm);
}

}  // namespace

void add_norms(Registry& r) {
  add_batch_norm(r);
  add_rows(r, [](Context& c) { convert_layer_norm(c, false); },
           {"aten::layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool "
            "cudnn_enable=True) -> "
            "Tensor"});
  add_rows(r, [](Context& c) { convert_layer_norm(c, true); },
           {"aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)"});
  add_rows(r, [](Context& c) { convert_group_norm(c, "num_groups", false); },
           {"aten::group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enabled=True) "
            "-> Tensor"});
  add_rows(r, [](Context& c) { convert_group_norm(c, "group", true); },
           {"aten::native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) -> (Tensor, Tensor, "
            "Tensor)"});
  add_rows(r, [](Context& c) { convert_rms_norm(c, false); },
           {"aten::rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor"});
  add_rows(r, [](Context& c) { convert_rms_norm(c, true); },
           {"aten::_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)"});
  add_rows(r, convert_instance_norm,
           {"aten::instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, float momentum, "
            "float eps, bool "
            "cudnn_enabled) -> Tensor"});
  add_rows(r, [](Context& c) { convert_weight_norm(c, false); }, {"aten::_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor"});
  add_rows(r, [](Context& c) { convert_weight_norm(c, true); }, {"aten::_weight_norm_interface(Tensor v, Tensor g, int dim=0) -> (Tensor, Tensor)"});
  add_rows(r, [](Context& c) { c.set(0, norm_except(c.build(), c.tensor("v"), c.real("pow"), c.fixed("dim"))); },
           {"aten::norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor"});
}

}  // namespace reprise::ops
