// Normalizations. Means and variances are taken in two passes and accumulated in f64; the rest computes in f32 (f64 for f64).
#include <cmath>

#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/lines.h"

namespace reprise::kernels::reference {
namespace {

template <class T>
struct SumRow {
  static void run(const T* x, std::int64_t n, double mean, bool squares, double* sum) {
    constexpr std::int64_t kLanes = 16;
    double lanes[kLanes] = {};
    std::int64_t i = 0;
    const auto add = [&](std::int64_t lane, T value) {
      const double d = static_cast<double>(value) - mean;
      lanes[lane] += squares ? d * d : d;
    };
    for (; i + kLanes <= n; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) add(lane, x[i + lane]);
    }
    for (; i < n; ++i) add(0, x[i]);
    *sum = 0;
    for (const double lane : lanes) *sum += lane;
  }
};

/// x = (x - mean) * rstd * weight + bias, element by element; null: 1, 0.
template <class T>
struct AffineRow {
  static void run(T* x, std::int64_t n, T mean, T rstd, const T* weight, const T* bias) {
    for (std::int64_t i = 0; i < n; ++i) x[i] = (x[i] - mean) * rstd;
    if (weight != nullptr) {
      for (std::int64_t i = 0; i < n; ++i) x[i] *= weight[i];
    }
    if (bias != nullptr) {
      for (std::int64_t i = 0; i < n; ++i) x[i] += bias[i];
    }
  }
};

/// x = x * scale + shift.
template <class T>
struct ScaleShiftRow {
  static void run(T* x, std::int64_t n, T scale, T shift) {
    for (std::int64_t i = 0; i < n; ++i) x[i] = x[i] * scale + shift;
  }
};

template <class T>
struct RowLoops {
  void (*sum)(const T*, std::int64_t, double, bool, double*) = best<SumRow<T>>();
  void (*affine)(T*, std::int64_t, T, T, const T*, const T*) = best<AffineRow<T>>();
  void (*scale_shift)(T*, std::int64_t, T, T) = best<ScaleShiftRow<T>>();

  [[nodiscard]] double mean(const T* x, std::int64_t n) const {
    double total;
    sum(x, n, 0, false, &total);
    return total / static_cast<double>(n);
  }
  /// Mean of (x - center)².
  [[nodiscard]] double mean_square(const T* x, std::int64_t n, double center) const {
    double total;
    sum(x, n, center, true, &total);
    return total / static_cast<double>(n);
  }
};

/// A parameter with few elements: a weight, a bias, statistics. Absent ones read as their neutral element.
template <class T>
struct Parameter {
  OperandRef operand;
  Reader reader{};
  bool present = false;

  Parameter() = default;
  explicit Parameter(const OperandRef& ref) : operand(ref), reader(ref, dtype_of<T>()), present(true) {}
  [[nodiscard]] T at(void* const* bindings, std::int64_t i, T absent) const {
    T value = absent;
    if (present) reader.read(operand.at(bindings), i, 1, &value);
    return value;
  }
  const T* all(void* const* bindings, T* buffer) const { return present ? reader.view(operand.at(bindings), 0, reader.window().numel(), buffer) : nullptr; }
};

/// Statistics on their way out; absent ones go nowhere.
struct Statistic {
  OperandRef operand;
  Writer writer{};
  bool present = false;

  Statistic() = default;
  explicit Statistic(const OperandRef& ref) : operand(ref), writer(ref, DType::f64), present(true) {}
  void put(void* const* bindings, std::int64_t i, double value) const {
    if (present) writer.write(operand.at(bindings), i, 1, &value);
  }
};

template <class T>
struct Norm {
  Lines x, y;
  Reader read{};
  Writer write{};
  Parameter<T> weight, bias, mean, variance;
  Statistic mean_out, rstd_out;
  double eps = 0;
  bool centered = true;
  std::int64_t groups = 1;    // group: of a row's channels, the row being one group
  std::int64_t channels = 0;  // group, batch: how many x has
  int threads = 1;
  RowLoops<T> loops{};

  [[nodiscard]] std::int64_t length() const { return x.line.numel(); }
  [[nodiscard]] std::size_t row_bytes() const { return aligned(static_cast<std::size_t>(length()) * sizeof(T)); }
  [[nodiscard]] std::size_t scratch_bytes() const { return row_bytes() * static_cast<std::size_t>(threads + 2); }

  void set_rows(const StepSpec& spec, std::span<const int> dims) {
    x = lines_over(spec.inputs[0], dims);
    y = lines_over(spec.outputs[0], dims);
    read = Reader(spec.inputs[0].dtype, x.line, dtype_of<T>());
    write = Writer(spec.outputs[0].dtype, y.line, dtype_of<T>());
  }

  /// Loads a row and gives its mean (0 unless centered) and reciprocal deviation.
  std::pair<double, double> load(void* const* bindings, std::int64_t index, T* row) const {
    read.read(x.at(bindings, index), 0, length(), row);
    const double center = centered ? loops.mean(row, length()) : 0;
    const double rstd = 1 / std::sqrt(loops.mean_square(row, length(), center) + eps);
    mean_out.put(bindings, index, center);
    rstd_out.put(bindings, index, rstd);
    return {center, rstd};
  }

  /// Layer and RMS: weight and bias run along the row.
  void run_elements(void* const* bindings, std::byte* scratch) const {
    auto* shared = reinterpret_cast<T*>(scratch + row_bytes() * static_cast<std::size_t>(threads));
    const T* w = weight.all(bindings, shared);
    const T* b = bias.all(bindings, shared + row_bytes() / sizeof(T));
    for_rows(scratch, [&](std::int64_t index, T* row) {
      const auto [center, rstd] = load(bindings, index, row);
      loops.affine(row, length(), static_cast<T>(center), static_cast<T>(rstd), w, b);
      write.write(y.at(bindings, index), 0, length(), row);
    });
  }

  /// Group: a row is the channels of one group, each with its weight and bias.
  void run_groups(void* const* bindings, std::byte* scratch) const {
    const std::int64_t group_channels = channels / groups, space = group_channels == 0 ? 0 : length() / group_channels;
    for_rows(scratch, [&](std::int64_t index, T* row) {
      const auto [center, rstd] = load(bindings, index, row);
      for (std::int64_t c = 0; c < group_channels; ++c) {
        const std::int64_t channel = index % groups * group_channels + c;
        const double scale = rstd * static_cast<double>(weight.at(bindings, channel, 1));
        const double shift = static_cast<double>(bias.at(bindings, channel, 0)) - center * scale;
        loops.scale_shift(row + c * space, space, static_cast<T>(scale), static_cast<T>(shift));
      }
      write.write(y.at(bindings, index), 0, length(), row);
    });
  }

  /// Batch, at inference: a row is one channel of one image.
  void run_channels(void* const* bindings, std::byte* scratch) const {
    for_rows(scratch, [&](std::int64_t index, T* row) {
      const std::int64_t c = index % channels;
      const double scale = static_cast<double>(weight.at(bindings, c, 1)) / std::sqrt(static_cast<double>(variance.at(bindings, c, 0)) + eps);
      const double shift = static_cast<double>(bias.at(bindings, c, 0)) - static_cast<double>(mean.at(bindings, c, 0)) * scale;
      read.read(x.at(bindings, index), 0, length(), row);
      loops.scale_shift(row, length(), static_cast<T>(scale), static_cast<T>(shift));
      write.write(y.at(bindings, index), 0, length(), row);
    });
  }

 private:
  template <class Row>
  void for_rows(std::byte* scratch, const Row& body) const {
    parallel_for(threads, x.around.numel(), grain_for(4 * length()), [&](std::int64_t begin, std::int64_t end, int worker) {
      auto* row = reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * row_bytes());
      for (std::int64_t index = begin; index < end; ++index) body(index, row);
    });
  }
};

std::vector<int> trailing(int rank, std::int64_t count) {
  std::vector<int> dims;
  for (int d = rank - static_cast<int>(count); d < rank; ++d) dims.push_back(d);
  return dims;
}

template <class T>
Norm<T> common(const StepSpec& spec, std::size_t parameters_at) {
  Norm<T> norm;
  norm.threads = std::max(1, spec.threads);
  norm.eps = spec.attrs->real("eps");
  if (spec.attrs->flag("has_weight", false)) norm.weight = Parameter<T>(spec.inputs[parameters_at++]);
  if (spec.attrs->flag("has_bias", false)) norm.bias = Parameter<T>(spec.inputs[parameters_at]);
  return norm;
}

template <class T>
StepPtr make_trailing(const StepSpec& spec, bool centered) {
  const OperandRef& x = spec.inputs[0];
  const std::int64_t dims = spec.attrs->integer("dims");
  check(dims >= 0 && dims <= x.rank, spec, "dims is out of range");
  Norm<T> norm = common<T>(spec, 1);
  norm.set_rows(spec, trailing(x.rank, dims));
  norm.centered = centered;
  for (const Parameter<T>* p : {&norm.weight, &norm.bias})
    check(!p->present || p->operand.numel() == norm.length(), spec, "weight and bias have the trailing sizes");
  if (centered && spec.outputs.size() > 1) norm.mean_out = Statistic(spec.outputs[1]);
  const std::size_t rstd_at = centered ? 2 : 1;
  if (spec.outputs.size() > rstd_at) norm.rstd_out = Statistic(spec.outputs[rstd_at]);
  for (const Statistic* s : {&norm.mean_out, &norm.rstd_out})
    check(!s->present || s->operand.numel() == norm.x.around.numel(), spec, "statistics have the leading sizes");
  return make_step(norm.scratch_bytes(), [norm](void* const* bindings, std::byte* scratch) { norm.run_elements(bindings, scratch); });
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

template <class T>
void check_channels(const StepSpec& spec, const Norm<T>& norm) {
  for (const Parameter<T>* p : {&norm.weight, &norm.bias, &norm.mean, &norm.variance}) {
    check(!p->present || p->operand.numel() == norm.channels, spec, "parameters have one element a channel");
  }
}

template <class T>
StepPtr make_group(const StepSpec& spec) {
  const OperandRef& x = spec.inputs[0];
  Norm<T> norm = common<T>(spec, 1);
  norm.groups = spec.attrs->integer("groups");
  check(x.rank >= 2 && x.rank < kMaxRank && norm.groups > 0 && x.sizes[1] % norm.groups == 0, spec, "channels do not divide into groups");
  norm.channels = x.sizes[1];
  check_channels(spec, norm);
  const OperandRef inputs[] = {split_channels(x, norm.groups)}, outputs[] = {split_channels(spec.outputs[0], norm.groups)};
  norm.set_rows({.inputs = inputs, .outputs = outputs, .name = spec.name}, trailing(x.rank + 1, x.rank - 1));
  if (spec.outputs.size() > 1) norm.mean_out = Statistic(spec.outputs[1]);
  if (spec.outputs.size() > 2) norm.rstd_out = Statistic(spec.outputs[2]);
  for (const Statistic* s : {&norm.mean_out, &norm.rstd_out})
    check(!s->present || s->operand.numel() == x.sizes[0] * norm.groups, spec, "statistics are [N, G]");
  return make_step(norm.scratch_bytes(), [norm](void* const* bindings, std::byte* scratch) { norm.run_groups(bindings, scratch); });
}

template <class T>
StepPtr make_batch(const StepSpec& spec) {
  const OperandRef& x = spec.inputs[0];
  check(x.rank >= 2, spec, "the input has no channels");
  Norm<T> norm = common<T>(spec, 3);
  norm.channels = x.sizes[1];
  norm.mean = Parameter<T>(spec.inputs[1]);
  norm.variance = Parameter<T>(spec.inputs[2]);
  check_channels(spec, norm);
  norm.set_rows(spec, trailing(x.rank, x.rank - 2));
  return make_step(norm.scratch_bytes(), [norm](void* const* bindings, std::byte* scratch) { norm.run_channels(bindings, scratch); });
}

template <class T>
StepPtr make(const StepSpec& spec, const std::string& kind) {
  if (kind == "layer" || kind == "rms") return make_trailing<T>(spec, kind == "layer");
  if (kind == "group") return make_group<T>(spec);
  check(kind == "batch", spec, "unknown kind");
  return make_batch<T>(spec);
}

}  // namespace

StepPtr make_norm(const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  const std::size_t inputs = (kind == "batch" ? 3 : 1) + static_cast<std::size_t>(spec.attrs->flag("has_weight", false)) +
                             static_cast<std::size_t>(spec.attrs->flag("has_bias", false));
  check_counts(spec, inputs, 1, kind == "batch" ? 1 : kind == "rms" ? 2 : 3);
  check(same_shape(spec.inputs[0], spec.outputs[0]), spec, "sizes differ");
  check(is_floating(spec.inputs[0].dtype), spec, "the input is not real");
  return spec.inputs[0].dtype == DType::f64 ? make<double>(spec, kind) : make<float>(spec, kind);
}

}  // namespace reprise::kernels::reference
