#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/softmax_row.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::reference {
namespace {

template <class T>
struct ScaleRow {
  static void run(T* row, std::int64_t n, T factor) {
    for (std::int64_t i = 0; i < n; ++i) row[i] *= factor;
  }
};
template <class T>
struct ShiftRow {
  static void run(T* row, std::int64_t n, T shift) {
    for (std::int64_t i = 0; i < n; ++i) row[i] -= shift;
  }
};

template <class T>
struct Softmax {
  Lines x, y;
  Reader read{};
  Writer write{};
  bool log = false;
  int threads = 1;
  void (*exponentiate)(T*, std::int64_t, T*, double*) = best<ExponentiateRow<T>>();
  void (*scale)(T*, std::int64_t, T) = best<ScaleRow<T>>();
  void (*shift)(T*, std::int64_t, T) = best<ShiftRow<T>>();

  [[nodiscard]] std::int64_t length() const { return x.line.numel(); }
  [[nodiscard]] std::size_t worker_bytes() const { return aligned(static_cast<std::size_t>(length()) * sizeof(T)); }

  void run_line(void* const* bindings, std::int64_t index, T* row) const {
    T maximum;
    double sum;
    read.read(x.at(bindings, index), 0, length(), row);
    exponentiate(row, length(), &maximum, &sum);
    if (log) {
      read.read(x.at(bindings, index), 0, length(), row);
      shift(row, length(), maximum);
      shift(row, length(), static_cast<T>(std::log(sum)));
    } else {
      scale(row, length(), static_cast<T>(1 / sum));
    }
    write.write(y.at(bindings, index), 0, length(), row);
  }

  void run(void* const* bindings, std::byte* scratch) const {
    if (length() == 0) return;
    parallel_for(threads, x.around.numel(), grain_for(8 * length()), [&](std::int64_t begin, std::int64_t end, int worker) {
      auto* row = reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * worker_bytes());
      for (std::int64_t line = begin; line < end; ++line) run_line(bindings, line, row);
    });
  }
};

template <class T>
StepPtr make_of(const StepSpec& spec) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const std::vector<int> axis = axis_list(spec, x.rank);
  Softmax<T> softmax{.x = lines_over(x, axis), .y = lines_over(y, axis), .log = spec.attrs->flag("log", false), .threads = std::max(1, spec.threads)};
  softmax.read = Reader(x.dtype, softmax.x.line, dtype_of<T>());
  softmax.write = Writer(y.dtype, softmax.y.line, dtype_of<T>());
  const std::size_t scratch = softmax.worker_bytes() * static_cast<std::size_t>(softmax.threads);
  return make_step(scratch, [softmax](void* const* bindings, std::byte* memory) { softmax.run(bindings, memory); });
}

}  // namespace

StepPtr make_softmax(const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  check(same_shape(spec.inputs[0], spec.outputs[0]), spec, "sizes differ");
  check(is_floating(spec.inputs[0].dtype), spec, "the input is not real");
  return spec.inputs[0].dtype == DType::f64 ? make_of<double>(spec) : make_of<float>(spec);
}

}  // namespace reprise::kernels::reference
