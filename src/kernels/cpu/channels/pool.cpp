#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/cpu/activate.h"
#include "kernels/cpu/channels/channels.h"
#include "kernels/packed.h"
#include "kernels/parallel.h"
#include "kernels/reference/pool_spans.h"

namespace reprise::kernels::cpu {
namespace {

using reference::Span;

struct Pool {
  OperandRef x, y;
  std::vector<Span> rows{{}}, columns{{}};  // of the output
  std::int64_t channels = 0, in_rows = 1, in_columns = 1;
  bool max = false, counts_padding = true;
  std::int64_t divisor = 0;

  [[nodiscard]] std::int64_t image_pixels() const { return static_cast<std::int64_t>(rows.size() * columns.size()); }
};

/// Output pixels [begin, end) of all images.
struct Job {
  const Pool* pool = nullptr;
  void* const* bindings = nullptr;
  std::int64_t begin = 0, end = 0;
};

template <int W, class E>
class Walk {
  using V = Floats<W>;

 public:
  REPRISE_INLINE explicit Walk(const Job& job) : job_(job), p_(*job.pool) {}

  REPRISE_INLINE void run() const {
    const auto columns = static_cast<std::int64_t>(p_.columns.size());
    for (std::int64_t pixel = job_.begin; pixel < job_.end; ++pixel) {
      const std::int64_t image = pixel / p_.image_pixels(), at = pixel % p_.image_pixels();
      const Span &row = p_.rows[static_cast<std::size_t>(at / columns)], &column = p_.columns[static_cast<std::size_t>(at % columns)];
      const E* x = reinterpret_cast<const E*>(p_.x.at(job_.bindings)) + ((image * p_.in_rows + row.first) * p_.in_columns + column.first) * p_.channels;
      E* y = reinterpret_cast<E*>(p_.y.at(job_.bindings)) + pixel * p_.channels;
      p_.max ? all_channels<true>(row, column, x, y) : all_channels<false>(row, column, x, y);
    }
  }

 private:
  template <bool kMax>
  REPRISE_INLINE void all_channels(const Span& row, const Span& column, const E* x, E* y) const {
    const std::int64_t inside = row.count * column.count, all = row.full * column.full;
    const auto divisor = static_cast<float>(p_.divisor != 0 ? p_.divisor : p_.counts_padding ? all : inside);
    std::int64_t c = 0;
    constexpr std::int64_t kFour = 4 * std::int64_t{W}, kTwo = kFour / 2;
    for (; c + kFour <= p_.channels; c += kFour) window<4, kMax>(row, column, x + c, y + c, divisor);
    for (; c + kTwo <= p_.channels; c += kTwo) window<2, kMax>(row, column, x + c, y + c, divisor);
    for (; c + W <= p_.channels; c += W) window<1, kMax>(row, column, x + c, y + c, divisor);
    if (c == p_.channels) return;
    // The last vector's worth of channels once more, where there is one.
    const std::int64_t last = std::max<std::int64_t>(p_.channels - W, 0);
    window<1, kMax>(row, column, x + last, y + last, divisor, p_.channels - last);
  }

  template <int N, bool kMax>
  REPRISE_INLINE void window(const Span& row, const Span& column, const E* x, E* y, float divisor, std::int64_t lanes = W) const {
    V best[N], poison[N];  // the largest number, and a NaN where there is one
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      best[v] = kMax ? (N > 1 ? load<V>(x + v * W) : load_first<V>(x, lanes)) : V{};
      poison[v] = V{};
    }
    for (std::int64_t i = 0; i < row.count; ++i) {
      const E* from = x + i * row.step * p_.in_columns * p_.channels;
      for (std::int64_t j = 0; j < column.count; ++j, from += column.step * p_.channels) {
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) {
          const V value = N > 1 ? load<V>(from + v * W) : load_first<V>(from, lanes);
          if constexpr (kMax) {
            best[v] = value > best[v] ? value : best[v];
            poison[v] = value == value ? poison[v] : value;
          } else {
            best[v] += value;
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      if constexpr (kMax)
        best[v] = poison[v] == poison[v] ? best[v] : poison[v];
      else
        best[v] = best[v] / divisor;
      N > 1 ? store(y + v * W, best[v]) : store_first(y, best[v], lanes);
    }
  }

  const Job& job_;
  const Pool& p_;
};

template <int W>
struct F32Loop {
  static void run(const Job& job) { Walk<W, float>(job).run(); }
};
template <int W>
struct Bf16Loop {
  static void run(const Job& job) { Walk<W, BFloat16>(job).run(); }
};

bool takes(const StepSpec& spec) {
  if (spec.inputs.size() != 1 || spec.outputs.size() != 1) return false;
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const std::string& kind = spec.attrs->text("kind");
  if (kind != "max" && kind != "avg" && kind != "adaptive_max" && kind != "adaptive_avg") return false;
  if ((x.dtype != DType::f32 && x.dtype != DType::bf16) || y.dtype != x.dtype || (x.rank != 3 && x.rank != 4) || y.rank != x.rank) return false;
  return x.numel() > 0 && y.numel() > 0 && x.sizes[0] == y.sizes[0] && x.sizes[1] == y.sizes[1] && is_packed(x, true) && is_packed(y, true);
}

bool has_empty_window(const std::vector<Span>& spans) {
  return std::ranges::any_of(spans, [](const Span& s) { return s.count < 1; });
}

}  // namespace

StepPtr make_channels_pool(const StepSpec& spec) {
  if (!takes(spec)) return nullptr;
  Pool pool{.x = spec.inputs[0], .y = spec.outputs[0]};
  auto spans = reference::pool_spans(spec);
  if (spans.size() == 2) pool.rows = std::move(spans[0]);
  pool.columns = std::move(spans.back());
  if (has_empty_window(pool.rows) || has_empty_window(pool.columns)) return nullptr;
  pool.channels = pool.x.sizes[1];
  pool.in_columns = pool.x.sizes[static_cast<std::size_t>(pool.x.rank - 1)];
  if (pool.x.rank == 4) pool.in_rows = pool.x.sizes[2];
  const std::string& kind = spec.attrs->text("kind");
  pool.max = kind.ends_with("max");
  if (kind == "avg") {
    pool.counts_padding = spec.attrs->flag("count_include_pad", true);
    pool.divisor = spec.attrs->has("divisor") ? spec.attrs->integer("divisor") : 0;
  }
  const auto kernel = pool.x.dtype == DType::bf16 ? of_best_width<Bf16Loop>() : of_best_width<F32Loop>();
  const std::int64_t pixels = pool.y.sizes[0] * pool.image_pixels(), cost = pool.rows[0].count * pool.columns[0].count * pool.channels;
  return reference::make_step([=, threads = spec.threads](void* const* bindings) {
    parallel_for(threads, pixels, grain_for(cost),
                 [&](std::int64_t begin, std::int64_t end, int) { kernel({.pool = &pool, .bindings = bindings, .begin = begin, .end = end}); });
  });
}

}  // namespace reprise::kernels::cpu
