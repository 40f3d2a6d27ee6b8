// Normalizations of rows that stay in the first-level cache between passes: the mean, the mean square around it, the result.
#include <cmath>
#include <optional>

#include "kernels/cpu/rows/row_loops.h"
#include "kernels/cpu/rows/rows.h"
#include "kernels/parallel.h"
#include "kernels/reference/lines.h"

namespace reprise::kernels::cpu {
namespace {

/// Mean (0 unless `centered`) and reciprocal deviation of a row.
template <int W, class E>
struct Moments {
  REPRISE_INLINE static void run(const void* from, std::int64_t n, bool centered, double eps, float* moments) {
    using V = Floats<W>;
    const auto* x = static_cast<const E*>(from);
    const auto count = static_cast<double>(n);
    const auto mean = centered ? static_cast<float>(sum_row<V>(x, n, 0, [](V a, V v) REPRISE_INLINE_LAMBDA { return a + v; }) / count) : 0.0F;
    const double square = sum_row<V>(x, n, mean, [=](V a, V v) REPRISE_INLINE_LAMBDA { return a + (v - mean) * (v - mean); }) / count;
    moments[0] = mean;
    moments[1] = static_cast<float>(1 / std::sqrt(square + eps));
  }
};

/// y = (x - mean) * rstd * weight + bias, element by element; null: 1, 0.
template <int W, class E>
struct Normalize {
  REPRISE_INLINE static void run(const void* from, std::int64_t n, const float* moments, const float* weight, const float* bias, void* to) {
    using V = Floats<W>;
    const auto* x = static_cast<const E*>(from);
    auto* y = static_cast<E*>(to);
    const float mean = moments[0], rstd = moments[1];
    if (weight != nullptr && bias != nullptr) {
      map_row<V>(x, n, y, [=](V v, std::int64_t i, std::int64_t count) REPRISE_INLINE_LAMBDA {
        return (v - mean) * rstd * load_upto<V>(weight + i, count) + load_upto<V>(bias + i, count);
      });
    } else if (weight != nullptr) {
      map_row<V>(x, n, y, [=](V v, std::int64_t i, std::int64_t count) REPRISE_INLINE_LAMBDA { return (v - mean) * rstd * load_upto<V>(weight + i, count); });
    } else {
      map_row<V>(x, n, y, [=](V v, std::int64_t i, std::int64_t count) REPRISE_INLINE_LAMBDA {
        return (v - mean) * rstd + (bias != nullptr ? load_upto<V>(bias + i, count) : V{});
      });
    }
  }
};

template <int W, class E>
struct ScaleShift {
  REPRISE_INLINE static void run(const void* from, std::int64_t n, float scale, float shift, void* to) {
    using V = Floats<W>;
    map_row<V>(static_cast<const E*>(from), n, static_cast<E*>(to), [=](V v, std::int64_t, std::int64_t) REPRISE_INLINE_LAMBDA { return v * scale + shift; });
  }
};

/// A weight, a bias or statistics: few elements, as floats.
struct Parameter {
  OperandRef operand;
  reference::Reader reader{};
  explicit Parameter(const OperandRef& ref) : operand(ref), reader(ref, DType::f32) {}

  const float* all(void* const* bindings, float* buffer) const { return reader.view(operand.at(bindings), 0, reader.window().numel(), buffer); }
  [[nodiscard]] float at(void* const* bindings, std::int64_t i) const {
    float value;
    return *reader.view(operand.at(bindings), i, 1, &value);
  }
};
using MaybeParameter = std::optional<Parameter>;

struct Statistic {
  OperandRef operand;
  reference::Writer writer{};
  explicit Statistic(const OperandRef& ref) : operand(ref), writer(ref, DType::f32) {}
  void put(void* const* bindings, std::int64_t i, float value) const { writer.write(operand.at(bindings), i, 1, &value); }
};

struct Norm {
  reference::Lines x, y;
  std::int64_t length = 0;
  double eps = 0;
  bool centered = true;
  int threads = 1;
  MaybeParameter weight, bias;
  std::optional<Statistic> mean_out, rstd_out;
  decltype(of_best_width<Moments>(DType::f32)) moments;
  decltype(of_best_width<Normalize>(DType::f32)) normalize;
  decltype(of_best_width<ScaleShift>(DType::f32)) scale_shift;

  Norm(const StepSpec& spec, std::size_t parameters_at)
      : eps(spec.attrs->real("eps")),
        threads(std::max(1, spec.threads)),
        moments(of_best_width<Moments>(spec.inputs[0].dtype)),
        normalize(of_best_width<Normalize>(spec.inputs[0].dtype)),
        scale_shift(of_best_width<ScaleShift>(spec.inputs[0].dtype)) {
    if (spec.attrs->flag("has_weight", false)) weight.emplace(spec.inputs[parameters_at++]);
    if (spec.attrs->flag("has_bias", false)) bias.emplace(spec.inputs[parameters_at]);
  }
  /// False: rows have gaps.
  bool set_rows(const OperandRef& from, const OperandRef& to, int trailing) {
    std::vector<int> dims;
    for (int d = from.rank - trailing; d < from.rank; ++d) dims.push_back(d);
    x = reference::lines_over(from, dims);
    y = reference::lines_over(to, dims);
    length = x.line.numel();
    return x.line.dense() && y.line.dense();
  }

  template <class Row>
  void for_rows(const Row& row) const {
    parallel_for(threads, x.around.numel(), grain_for(length), [&](std::int64_t begin, std::int64_t end, int worker) {
      for (std::int64_t i = begin; i < end; ++i) row(i, worker);
    });
  }
  void measure(void* const* bindings, std::int64_t i, float* found) const {
    moments(x.at(bindings, i), length, centered, eps, found);
    if (mean_out) mean_out->put(bindings, i, found[0]);
    if (rstd_out) rstd_out->put(bindings, i, found[1]);
  }

  // Weight and bias run along the row; `scratch` holds both.
  void run_elements(void* const* bindings, std::byte* scratch) const {
    auto* buffer = reinterpret_cast<float*>(scratch);
    const float* w = weight ? weight->all(bindings, buffer) : nullptr;
    const float* b = bias ? bias->all(bindings, buffer + length) : nullptr;
    for_rows([&](std::int64_t i, int) {
      float found[2];
      measure(bindings, i, found);
      normalize(x.at(bindings, i), length, found, w, b, y.at(bindings, i));
    });
  }

  // A row is the channels of one group, each with its weight and bias.
  void run_groups(void* const* bindings, std::int64_t groups, std::int64_t channels) const {
    const std::int64_t in_group = channels / groups, space = length / in_group;
    const auto item = static_cast<std::int64_t>(item_size(x.operand.dtype));
    for_rows([&](std::int64_t i, int) {
      float found[2];
      measure(bindings, i, found);
      for (std::int64_t c = 0; c < in_group; ++c) {
        const std::int64_t channel = i % groups * in_group + c;
        const float scale = weight ? found[1] * weight->at(bindings, channel) : found[1], shift = bias ? bias->at(bindings, channel) : 0;
        scale_shift(x.at(bindings, i) + c * space * item, space, scale, shift - found[0] * scale, y.at(bindings, i) + c * space * item);
      }
    });
  }

  // A row is one channel of one image.
  void run_channels(void* const* bindings, const Parameter& mean, const Parameter& variance, std::int64_t channels) const {
    for_rows([&](std::int64_t i, int) {
      const std::int64_t c = i % channels;
      const double rstd = 1 / std::sqrt(static_cast<double>(variance.at(bindings, c)) + eps);
      const double scale = weight ? rstd * static_cast<double>(weight->at(bindings, c)) : rstd;
      const double shift = (bias ? static_cast<double>(bias->at(bindings, c)) : 0) - static_cast<double>(mean.at(bindings, c)) * scale;
      scale_shift(x.at(bindings, i), length, static_cast<float>(scale), static_cast<float>(shift), y.at(bindings, i));
    });
  }
};

bool fits(const MaybeParameter& parameter, std::int64_t n) { return !parameter || parameter->operand.numel() == n; }
bool fits(const std::optional<Statistic>& statistic, std::int64_t n) { return !statistic || statistic->operand.numel() == n; }

StepPtr make_trailing(const StepSpec& spec, bool centered) {
  Norm norm(spec, 1);
  norm.centered = centered;
  const std::int64_t dims = spec.attrs->integer("dims");
  if (dims < 0 || dims > spec.inputs[0].rank || !norm.set_rows(spec.inputs[0], spec.outputs[0], static_cast<int>(dims))) return nullptr;
  const std::size_t rstd_at = centered ? 2 : 1;
  if (centered && spec.outputs.size() > 1) norm.mean_out.emplace(spec.outputs[1]);
  if (spec.outputs.size() > rstd_at) norm.rstd_out.emplace(spec.outputs[rstd_at]);
  const std::int64_t rows = norm.x.around.numel();
  if (!fits(norm.weight, norm.length) || !fits(norm.bias, norm.length) || !fits(norm.mean_out, rows) || !fits(norm.rstd_out, rows)) return nullptr;
  return reference::make_step(static_cast<std::size_t>(2 * norm.length) * sizeof(float),
                              [norm](void* const* bindings, std::byte* scratch) { norm.run_elements(bindings, scratch); });
}

/// x[N, C, *S] as [N, G, C / G, *S].
OperandRef split_channels(OperandRef x, std::int64_t groups) {
  std::copy_backward(x.sizes.begin() + 2, x.sizes.begin() + x.rank, x.sizes.begin() + x.rank + 1);
  std::copy_backward(x.strides.begin() + 2, x.strides.begin() + x.rank, x.strides.begin() + x.rank + 1);
  x.sizes[2] = x.sizes[1] / groups;
  x.strides[2] = x.strides[1];
  x.sizes[1] = groups;
  x.strides[1] *= x.sizes[2];
  ++x.rank;
  return x;
}

StepPtr make_group(const StepSpec& spec) {
  const OperandRef& x = spec.inputs[0];
  const std::int64_t groups = spec.attrs->integer("groups");
  if (x.rank < 2 || x.rank == kMaxRank || groups <= 0 || x.sizes[1] % groups != 0) return nullptr;
  Norm norm(spec, 1);
  if (!norm.set_rows(split_channels(x, groups), split_channels(spec.outputs[0], groups), x.rank - 1)) return nullptr;
  if (spec.outputs.size() > 1) norm.mean_out.emplace(spec.outputs[1]);
  if (spec.outputs.size() > 2) norm.rstd_out.emplace(spec.outputs[2]);
  const std::int64_t channels = x.sizes[1], rows = x.sizes[0] * groups;
  if (!fits(norm.weight, channels) || !fits(norm.bias, channels) || !fits(norm.mean_out, rows) || !fits(norm.rstd_out, rows)) return nullptr;
  return reference::make_step([=](void* const* bindings) { norm.run_groups(bindings, groups, channels); });
}

StepPtr make_batch(const StepSpec& spec) {
  const OperandRef& x = spec.inputs[0];
  if (x.rank < 2) return nullptr;
  Norm norm(spec, 3);
  const MaybeParameter mean(spec.inputs[1]), variance(spec.inputs[2]);
  const std::int64_t channels = x.sizes[1];
  if (!norm.set_rows(x, spec.outputs[0], x.rank - 2) || !fits(norm.weight, channels) || !fits(norm.bias, channels) || !fits(mean, channels) ||
      !fits(variance, channels))
    return nullptr;
  return reference::make_step([=](void* const* bindings) { norm.run_channels(bindings, *mean, *variance, channels); });
}

}  // namespace

StepPtr make_norm(const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  const std::size_t parameters =
      static_cast<std::size_t>(spec.attrs->flag("has_weight", false)) + static_cast<std::size_t>(spec.attrs->flag("has_bias", false));
  const std::size_t most = kind == "batch" ? 1 : kind == "rms" ? 2 : 3;
  if (spec.inputs.size() != (kind == "batch" ? 3 : 1) + parameters || spec.outputs.empty() || spec.outputs.size() > most) return nullptr;
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  if (!reads_as_floats(x.dtype) || y.dtype != x.dtype || !reference::same_shape(x, y) || x.numel() == 0) return nullptr;
  for (const OperandRef& parameter : spec.inputs) {
    if (!reads_as_floats(parameter.dtype)) return nullptr;
  }
  if (kind == "layer" || kind == "rms") return make_trailing(spec, kind == "layer");
  if (kind == "group") return make_group(spec);
  return kind == "batch" ? make_batch(spec) : nullptr;
}

}  // namespace reprise::kernels::cpu
