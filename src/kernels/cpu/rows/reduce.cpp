// Sums and extrema of reals where either the reduced or the kept elements lie next to each other.
#include <algorithm>
#include <vector>

#include "kernels/cpu/rows/row_loops.h"
#include "kernels/cpu/rows/rows.h"
#include "kernels/parallel.h"
#include "kernels/reference/lines.h"

namespace reprise::kernels::cpu {
namespace {

enum class Fold : std::uint8_t { sum, max, min };

/// A NaN wins: all bits set, which is how the compiler has both comparisons as masks.
template <Fold kFold, class V>
REPRISE_INLINE V combine(V a, V v) {
  if constexpr (kFold == Fold::sum) return a + v;
  const V extreme = (kFold == Fold::max ? v > a : v < a) ? v : a;
  return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(extreme) | reinterpret_cast<Bits<V>>(is_nan(v)));
}
template <Fold kFold>
constexpr float kStart = kFold == Fold::sum   ? 0.0F
                         : kFold == Fold::max ? -std::numeric_limits<float>::infinity()
                                              : std::numeric_limits<float>::infinity();

template <Fold kFold, class V, class E>
REPRISE_INLINE float fold_elements(const E* x, std::int64_t n) {
  if constexpr (kFold == Fold::sum) {
    return static_cast<float>(sum_row<V>(x, n, 0, [](V a, V v) REPRISE_INLINE_LAMBDA { return a + v; }));
  } else {
    const auto join = [](V a, V v) REPRISE_INLINE_LAMBDA { return combine<kFold>(a, v); };
    return join_lanes(fold_row<V>(x, n, broadcast<V>(kStart<kFold>), kStart<kFold>, join, join), join)[0];
  }
}

/// results[0] = fold of n elements.
template <int W, class E>
struct FoldRow {
  REPRISE_INLINE static void run(const void* from, std::int64_t n, Fold fold, float* results) {
    using V = Floats<W>;
    const auto* x = static_cast<const E*>(from);
    *results = fold == Fold::sum   ? fold_elements<Fold::sum, V>(x, n)
               : fold == Fold::max ? fold_elements<Fold::max, V>(x, n)
                                   : fold_elements<Fold::min, V>(x, n);
  }
};

/// Folds n rows of kVectors vectors, `stride` apart: blocks of rows first, so that sums stay accurate.
template <Fold kFold, int kVectors, class V, class E>
REPRISE_INLINE void fold_vectors(const E* x, std::int64_t n, std::int64_t stride, std::int64_t columns, float* results) {
  constexpr std::int64_t kBlock = 64;
  constexpr int W = kWidth<V>;
  V total[kVectors];
  for (V& t : total) t = broadcast<V>(kStart<kFold>);
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    V folded[kVectors];
    for (V& f : folded) f = broadcast<V>(kStart<kFold>);
    for (std::int64_t r = begin; r < std::min(n, begin + kBlock); ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const E* p = x + r * stride + v * W;
        folded[v] = combine<kFold>(folded[v], columns == kVectors * W ? load<V>(p) : load_some<V>(p, columns, 0));
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) total[v] = combine<kFold>(total[v], folded[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) store_some(results + v * W, std::min<std::int64_t>(W, columns - v * W), total[v]);
}

/// results[c] = fold over r of x[r * stride + c], for n rows.
template <Fold kFold, int W, class E>
REPRISE_INLINE void fold_columns(const E* x, std::int64_t n, std::int64_t stride, std::int64_t columns, float* results) {
  constexpr int kVectors = 4;
  std::int64_t c = 0;
  for (; c + kVectors * W <= columns; c += kVectors * W) fold_vectors<kFold, kVectors, Floats<W>>(x + c, n, stride, kVectors * W, results + c);
  for (; c < columns; c += W) fold_vectors<kFold, 1, Floats<W>>(x + c, n, stride, std::min<std::int64_t>(W, columns - c), results + c);
}

template <int W, class E>
struct FoldColumns {
  REPRISE_INLINE static void run(const void* from, std::int64_t n, std::int64_t stride, std::int64_t columns, Fold fold, float* results) {
    const auto* x = static_cast<const E*>(from);
    if (fold == Fold::sum) return fold_columns<Fold::sum, W>(x, n, stride, columns, results);
    if (fold == Fold::max) return fold_columns<Fold::max, W>(x, n, stride, columns, results);
    fold_columns<Fold::min, W>(x, n, stride, columns, results);
  }
};

struct Reduction {
  reference::Lines x;
  OperandRef y;
  reference::Writer write;
  Fold fold = Fold::sum;
  int threads = 1;

  [[nodiscard]] std::int64_t length() const { return x.line.numel(); }
  [[nodiscard]] std::int64_t results() const { return x.around.numel(); }
};

constexpr std::int64_t kResults = 512;  // held before they are stored

StepPtr along_rows(const Reduction& r) {
  const auto row = of_best_width<FoldRow>(r.x.operand.dtype);
  return reference::make_step([=](void* const* bindings) {
    parallel_for(r.threads, r.results(), grain_for(r.length()), [&](std::int64_t begin, std::int64_t end, int) {
      float results[kResults];
      for (std::int64_t at = begin; at < end; at += kResults) {
        const std::int64_t n = std::min(kResults, end - at);
        for (std::int64_t i = 0; i < n; ++i) row(r.x.at(bindings, at + i), r.length(), r.fold, results + i);
        r.write.write(r.y.at(bindings), at, n, results);
      }
    });
  });
}

/// Planes of rows `stride` apart, folded to one row each.
struct Planes {
  std::int64_t count, plane_stride, rows, stride, columns;
};

StepPtr along_columns(const Reduction& r, const Planes& planes) {
  const auto fold = of_best_width<FoldColumns>(r.x.operand.dtype);
  const auto item = static_cast<std::int64_t>(item_size(r.x.operand.dtype));
  const std::int64_t parts = (planes.columns + kResults - 1) / kResults;
  return reference::make_step([=](void* const* bindings) {
    parallel_for(r.threads, planes.count * parts, grain_for(planes.rows * std::min(planes.columns, kResults)), [&](std::int64_t begin, std::int64_t end, int) {
      float results[kResults];
      for (std::int64_t at = begin; at < end; ++at) {
        const std::int64_t plane = at / parts, column = at % parts * kResults, n = std::min(kResults, planes.columns - column);
        fold(r.x.operand.at(bindings) + (plane * planes.plane_stride + column) * item, planes.rows, planes.stride, n, r.fold, results);
        r.write.write(r.y.at(bindings), plane * planes.columns + column, n, results);
      }
    });
  });
}

/// Of an operand whose first dimension may be kept, the others being rows (reduced) of columns (kept).
std::optional<Planes> planes_of(const OperandRef& x, const std::vector<int>& axes) {
  const bool first_kept = std::find(axes.begin(), axes.end(), 0) == axes.end() && x.rank > 1;
  std::vector<int> kept;
  for (int d = first_kept ? 1 : 0; d < x.rank; ++d) {
    if (std::find(axes.begin(), axes.end(), d) == axes.end()) kept.push_back(d);
  }
  const reference::Window rows = reference::window_of(x, axes), columns = reference::window_of(x, kept);
  // Rows that are evenly apart: the last is where the distance of the first two says.
  const std::int64_t n = rows.numel(), stride = n > 1 ? rows.offset(1) : 0;
  constexpr std::int64_t kMostRows = 1 << 16;  // of which f32 sums are accurate
  if (!columns.dense() || n == 0 || n > kMostRows) return std::nullopt;
  for (std::int64_t i = 0; i < n; ++i) {
    if (rows.offset(i) != i * stride) return std::nullopt;
  }
  return Planes{first_kept ? x.sizes[0] : 1, first_kept ? x.strides[0] : 0, n, stride, columns.numel()};
}

std::optional<Fold> fold_of(const std::string& kind) {
  if (kind == "sum") return Fold::sum;
  if (kind == "max") return Fold::max;
  return kind == "min" ? std::optional(Fold::min) : std::nullopt;
}

}  // namespace

StepPtr make_reduce(const StepSpec& spec) {
  if (spec.inputs.size() != 1 || spec.outputs.size() != 1) return nullptr;
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const auto fold = fold_of(spec.attrs->text("kind"));
  if (!fold || !reads_as_floats(x.dtype) || !reads_as_floats(y.dtype) || (*fold != Fold::sum && x.dtype != y.dtype) || x.rank != y.rank || x.numel() == 0)
    return nullptr;
  std::vector<int> axes;
  for (const std::int64_t axis : spec.attrs->ints("axes")) axes.push_back(reference::axis_of(spec, axis, x.rank));
  std::sort(axes.begin(), axes.end());
  for (int d = 0; d < x.rank; ++d) {
    const bool reduced = std::find(axes.begin(), axes.end(), d) != axes.end();
    if (y.sizes[d] != (reduced ? 1 : x.sizes[d])) return nullptr;
  }
  Reduction r{.x = reference::lines_over(x, axes), .y = y, .write = {}, .fold = *fold, .threads = std::max(1, spec.threads)};
  r.write = reference::Writer(y.dtype, reference::lines_over(y, axes).around, DType::f32);
  if (r.x.line.dense() && r.length() > 1) return along_rows(r);
  const auto planes = planes_of(x, axes);
  return planes ? along_columns(r, *planes) : nullptr;
}

}  // namespace reprise::kernels::cpu
