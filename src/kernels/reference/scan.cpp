// Running sums, products, extremes and log-sum-exps along one axis. Reals accumulate in f64 and are rounded where they are stored.
#include <cmath>

#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/lines.h"
#include "kernels/reference/scalar_primitives.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::reference {
namespace {

constexpr std::int64_t kChunk = 256;

template <class Value>
struct RunningSum {
  using T = Value;
  T sum = 0;
  std::int64_t where = 0;
  T next(T x, std::int64_t) { return sum += x; }
};
template <class Value>
struct RunningProduct {
  using T = Value;
  T product = 1;
  std::int64_t where = 0;
  T next(T x, std::int64_t) { return product *= x; }
};
struct RunningLogSumExp {
  using T = double;
  T sum = -std::numeric_limits<double>::infinity();
  std::int64_t where = 0;
  T next(T x, std::int64_t) {
    const T low = smaller<false>(sum, x), high = larger<false>(sum, x);
    // Equal infinities have no difference to take the exponential of.
    return sum = low != high || is_finite(low) ? high + std::log1p(std::exp(low - high)) : x;
  }
};
/// The last of equal extremes is the one; a NaN stays, and each NaN is the newest extreme.
template <class Value, bool largest>
struct RunningExtreme {
  using T = Value;
  T extreme{};
  std::int64_t where = 0;
  T next(T x, std::int64_t position) {
    const bool better = largest ? x >= extreme : x <= extreme;
    if (position == 0 || is_nan(x) || (!is_nan(extreme) && better)) {
      extreme = x;
      where = position;
    }
    return extreme;
  }
};

template <class State>
struct Scan {
  using T = typename State::T;
  Lines x, y, indices;
  Reader read{};
  Writer write{}, write_indices{};
  bool has_indices = false;
  int threads = 1;

  void run_line(void* const* bindings, std::int64_t index) const {
    State state;
    T buffer[kChunk];
    std::int64_t positions[kChunk];
    for (std::int64_t at = 0; at < x.line.numel(); at += kChunk) {
      const std::int64_t n = std::min(kChunk, x.line.numel() - at);
      read.read(x.at(bindings, index), at, n, buffer);
      for (std::int64_t i = 0; i < n; ++i) {
        buffer[i] = state.next(buffer[i], at + i);
        positions[i] = state.where;
      }
      write.write(y.at(bindings, index), at, n, buffer);
      if (has_indices) write_indices.write(indices.at(bindings, index), at, n, positions);
    }
  }

  static StepPtr make(const StepSpec& spec) {
    const std::vector<int> axis = axis_list(spec, spec.inputs[0].rank);
    Scan scan{.x = lines_over(spec.inputs[0], axis), .y = lines_over(spec.outputs[0], axis), .indices = lines_over(spec.outputs.back(), axis)};
    scan.read = Reader(spec.inputs[0].dtype, scan.x.line, dtype_of<T>());
    scan.write = Writer(spec.outputs[0].dtype, scan.y.line, dtype_of<T>());
    scan.has_indices = spec.outputs.size() > 1;
    if (scan.has_indices) scan.write_indices = Writer(spec.outputs[1].dtype, scan.indices.line, DType::i64);
    scan.threads = spec.threads;
    return make_step([scan](void* const* bindings) {
      parallel_for(scan.threads, scan.x.around.numel(), grain_for(2 * scan.x.line.numel()), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t line = begin; line < end; ++line) scan.run_line(bindings, line);
      });
    });
  }
};

template <class T>
StepPtr make_running_extreme(const StepSpec& spec, const std::string& kind) {
  return kind == "max" ? Scan<RunningExtreme<T, true>>::make(spec) : Scan<RunningExtreme<T, false>>::make(spec);
}

}  // namespace

StepPtr make_scan(const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  const bool extreme = kind == "max" || kind == "min";
  check_counts(spec, 1, 1, extreme ? 2 : 1);
  for (const OperandRef& output : spec.outputs) check(same_shape(output, spec.inputs[0]), spec, "sizes differ");
  check(spec.outputs.size() < 2 || spec.outputs[1].dtype == DType::i64, spec, "indices are i64");
  const bool real = is_floating(spec.outputs[0].dtype);
  if (kind == "sum") return real ? Scan<RunningSum<double>>::make(spec) : Scan<RunningSum<std::uint64_t>>::make(spec);
  if (kind == "prod") return real ? Scan<RunningProduct<double>>::make(spec) : Scan<RunningProduct<std::uint64_t>>::make(spec);
  if (kind == "logsumexp") return Scan<RunningLogSumExp>::make(spec);
  check(extreme, spec, "unknown kind");
  if (real) return make_running_extreme<double>(spec, kind);
  return spec.outputs[0].dtype == DType::u64 ? make_running_extreme<std::uint64_t>(spec, kind) : make_running_extreme<std::int64_t>(spec, kind);
}

}  // namespace reprise::kernels::reference
