#include <cmath>

#include "kernels/cpu/rows/row_loops.h"
#include "kernels/cpu/rows/rows.h"
#include "kernels/parallel.h"
#include "kernels/reference/lines.h"

namespace reprise::kernels::cpu {
namespace {

constexpr float kLog2E = 1.44269504F;

/// `buffer` holds n floats.
template <int W, class E>
struct SoftmaxRow {
  REPRISE_INLINE static void run(const void* from, std::int64_t n, bool log, float* buffer, void* to) {
    using V = Floats<W>;
    const auto* x = static_cast<const E*>(from);
    auto* y = static_cast<E*>(to);
    const float largest = largest_in_row<V>(x, n);
    if (log) {
      const double sum =
          sum_row<V>(x, n, -std::numeric_limits<float>::infinity(), [=](V a, V v) REPRISE_INLINE_LAMBDA { return a + exp2_of((v - largest) * kLog2E); });
      const auto shift = static_cast<float>(std::log(sum));
      return map_row<V>(x, n, y, [=](V v, std::int64_t, std::int64_t) REPRISE_INLINE_LAMBDA { return v - largest - shift; });
    }
    map_row<V>(x, n, buffer, [=](V v, std::int64_t, std::int64_t) REPRISE_INLINE_LAMBDA { return exp2_of((v - largest) * kLog2E); });
    const auto factor = static_cast<float>(1 / sum_row<V>(buffer, n, 0, [](V a, V v) REPRISE_INLINE_LAMBDA { return a + v; }));
    map_row<V>(buffer, n, y, [=](V v, std::int64_t, std::int64_t) REPRISE_INLINE_LAMBDA { return v * factor; });
  }
};

}  // namespace

StepPtr make_softmax(const StepSpec& spec) {
  if (spec.inputs.size() != 1 || spec.outputs.size() != 1) return nullptr;
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  if (!reads_as_floats(x.dtype) || y.dtype != x.dtype || !reference::same_shape(x, y)) return nullptr;
  const auto axis = reference::axis_list(spec, x.rank);
  const auto from = reference::lines_over(x, axis), to = reference::lines_over(y, axis);
  const std::int64_t n = from.line.numel();
  if (n == 0 || !from.line.dense() || !to.line.dense()) return nullptr;
  const auto row = of_best_width<SoftmaxRow>(x.dtype);
  const int threads = std::max(1, spec.threads);
  const bool log = spec.attrs->flag("log", false);
  const std::size_t buffer_bytes = reference::aligned(static_cast<std::size_t>(n) * sizeof(float));
  return reference::make_step(buffer_bytes * static_cast<std::size_t>(threads), [=](void* const* bindings, std::byte* scratch) {
    parallel_for(threads, from.around.numel(), grain_for(n), [&](std::int64_t begin, std::int64_t end, int worker) {
      auto* buffer = reinterpret_cast<float*>(scratch + static_cast<std::size_t>(worker) * buffer_bytes);
      for (std::int64_t i = begin; i < end; ++i) row(from.at(bindings, i), n, log, buffer, to.at(bindings, i));
    });
  });
}

}  // namespace reprise::kernels::cpu
