// Reductions. Sums and products of reals accumulate in f64, integers wrap in 64 bits. Where the reduced elements lie closer together than the kept ones, one
// result is folded after the other; otherwise a tile of results at a time, so that memory is read in order.
#include <algorithm>
#include <limits>

#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/lines.h"
#include "kernels/reference/scalar_primitives.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::reference {
namespace {

constexpr std::int64_t kLanes = 512;

template <class T>
constexpr T lowest() {
  return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}
template <class T>
constexpr T highest() {
  return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
}

template <class Value>
struct Sum {
  using T = Value;
  static constexpr T kStart = 0;
  T operator()(T a, T b) const { return a + b; }
};
template <class Value>
struct Product {
  using T = Value;
  static constexpr T kStart = 1;
  T operator()(T a, T b) const { return a * b; }
};
template <class Value>
struct Max {
  using T = Value;
  static constexpr T kStart = lowest<T>();
  T operator()(T a, T b) const { return larger<false>(a, b); }
};
template <class Value>
struct Min {
  using T = Value;
  static constexpr T kStart = highest<T>();
  T operator()(T a, T b) const { return smaller<false>(a, b); }
};
// Truth of reals and integers alike survives the conversion to f64.
struct Any {
  using T = double;
  static constexpr T kStart = 0;
  T operator()(T a, T b) const { return a != 0 || b != 0 ? 1 : 0; }
};
struct All {
  using T = double;
  static constexpr T kStart = 1;
  T operator()(T a, T b) const { return a != 0 && b != 0 ? 1 : 0; }
};

struct Layout {
  Lines x;   // a line is what makes one result
  Writer y;  // over the kept dimensions
  OperandRef y_operand;
  bool by_tiles = false;
  int threads = 1;

  [[nodiscard]] std::int64_t results() const { return x.around.numel(); }
  [[nodiscard]] std::int64_t length() const { return x.line.numel(); }
};

std::int64_t smallest_stride(const OperandRef& x, std::span<const int> axes, bool among_axes) {
  std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
  for (int d = 0; d < x.rank; ++d) {
    const bool reduced = std::find(axes.begin(), axes.end(), d) != axes.end();
    if (reduced == among_axes && x.sizes[d] > 1) smallest = std::min(smallest, std::abs(x.strides[d]));
  }
  return smallest;
}

std::vector<int> axes_of(const StepSpec& spec) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  std::vector<int> axes;
  for (const std::int64_t axis : spec.attrs->ints("axes")) axes.push_back(axis_of(spec, axis, x.rank));
  std::sort(axes.begin(), axes.end());
  check(std::adjacent_find(axes.begin(), axes.end()) == axes.end(), spec, "an axis stands twice");
  check(y.rank == x.rank, spec, "ranks differ");
  for (int d = 0; d < x.rank; ++d) {
    const bool reduced = std::find(axes.begin(), axes.end(), d) != axes.end();
    check(y.sizes[d] == (reduced ? 1 : x.sizes[d]), spec, "the output's sizes are not the input's with 1 for the axes");
  }
  return axes;
}

Layout layout_of(const StepSpec& spec, std::span<const int> axes, DType value) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const Lines y_lines = lines_over(y, axes);
  Layout layout{.x = lines_over(x, axes), .y = Writer(y.dtype, y_lines.around, value), .y_operand = y, .threads = std::max(1, spec.threads)};
  layout.by_tiles = smallest_stride(x, axes, false) < smallest_stride(x, axes, true);
  return layout;
}

template <class Fold>
struct FoldChunk {
  using T = typename Fold::T;
  static void run(const T* values, std::int64_t n, T* result) { *result = fold(values, n, *result, Fold()); }
};
template <class Fold>
struct FoldTile {
  using T = typename Fold::T;
  static void run(const T* values, std::int64_t n, T* results) {
    for (std::int64_t i = 0; i < n; ++i) results[i] = Fold()(results[i], values[i]);
  }
};

template <class Fold>
struct Reduction {
  using T = typename Fold::T;
  using Loop = void (*)(const T*, std::int64_t, T*);
  static constexpr std::size_t kWorkerBytes = 2 * kLanes * sizeof(T);
  Layout layout;
  Reader line, around;
  Loop fold_chunk = best<FoldChunk<Fold>>(), fold_tile = best<FoldTile<Fold>>();

  explicit Reduction(const Layout& l) : layout(l), line(l.x.operand.dtype, l.x.line, dtype_of<T>()), around(l.x.operand.dtype, l.x.around, dtype_of<T>()) {}

  void one_by_one(void* const* bindings, std::int64_t begin, std::int64_t n, T* results, T* buffer) const {
    for (std::int64_t i = 0; i < n; ++i) {
      const std::byte* base = layout.x.at(bindings, begin + i);
      for (std::int64_t at = 0; at < layout.length(); at += kLanes) {
        const std::int64_t count = std::min(kLanes, layout.length() - at);
        fold_chunk(line.view(base, at, count, buffer), count, results + i);
      }
    }
  }

  void as_tile(void* const* bindings, std::int64_t begin, std::int64_t n, T* results, T* buffer) const {
    const std::byte* base = layout.x.operand.at(bindings);
    for (std::int64_t at = 0; at < layout.length(); ++at) {
      const std::byte* slice = base + layout.x.line.offset(at) * static_cast<std::int64_t>(line.item());
      fold_tile(around.view(slice, begin, n, buffer), n, results);
    }
  }

  void run(void* const* bindings, std::byte* scratch) const {
    parallel_for(layout.threads, layout.results(), grain_for(layout.length()), [&](std::int64_t begin, std::int64_t end, int worker) {
      auto* results = reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * kWorkerBytes);
      for (std::int64_t at = begin; at < end; at += kLanes) {
        const std::int64_t n = std::min(kLanes, end - at);
        std::fill_n(results, n, Fold::kStart);
        if (layout.by_tiles)
          as_tile(bindings, at, n, results, results + kLanes);
        else
          one_by_one(bindings, at, n, results, results + kLanes);
        layout.y.write(layout.y_operand.at(bindings), at, n, results);
      }
    });
  }
};

template <class Fold>
StepPtr make_fold(const StepSpec& spec) {
  const Reduction<Fold> reduction(layout_of(spec, axes_of(spec), dtype_of<typename Fold::T>()));
  const std::size_t scratch = Reduction<Fold>::kWorkerBytes * static_cast<std::size_t>(reduction.layout.threads);
  return make_step(scratch, [reduction](void* const* bindings, std::byte* memory) { reduction.run(bindings, memory); });
}

/// Position of the first extremum; a NaN counts as one.
template <class T, bool largest>
struct ArgExtreme {
  static void scan(const T* values, std::int64_t n, std::int64_t position, T& extreme, std::int64_t& where) {
    for (std::int64_t i = 0; i < n; ++i) {
      const bool better = largest ? values[i] > extreme : values[i] < extreme;
      if (!is_nan(extreme) && (better || is_nan(values[i]) || position + i == 0)) {
        extreme = values[i];
        where = position + i;
      }
    }
  }

  static StepPtr make(const StepSpec& spec) {
    const std::vector<int> axes = axes_of(spec);
    check(axes.size() == 1 && spec.outputs[0].dtype == DType::i64, spec, "argmax and argmin take one axis and give i64");
    const Layout layout = layout_of(spec, axes, DType::i64);
    check(layout.length() > 0 || layout.results() == 0, spec, "an empty line has no extremum");
    const Reader line(layout.x.operand.dtype, layout.x.line, dtype_of<T>());
    return make_step([layout, line](void* const* bindings) {
      parallel_for(layout.threads, layout.results(), grain_for(2 * layout.length()), [&](std::int64_t begin, std::int64_t end, int) {
        T buffer[kLanes];
        for (std::int64_t i = begin; i < end; ++i) {
          T extreme{};
          std::int64_t where = 0;
          for (std::int64_t at = 0; at < layout.length(); at += kLanes) {
            const std::int64_t n = std::min(kLanes, layout.length() - at);
            scan(line.view(layout.x.at(bindings, i), at, n, buffer), n, at, extreme, where);
          }
          layout.y.write(layout.y_operand.at(bindings), i, 1, &where);
        }
      });
    });
  }
};

template <class T>
StepPtr make_extreme(const StepSpec& spec, const std::string& kind) {
  if (kind == "argmax") return ArgExtreme<T, true>::make(spec);
  if (kind == "argmin") return ArgExtreme<T, false>::make(spec);
  check(spec.inputs[0].dtype == spec.outputs[0].dtype, spec, "max and min keep the dtype");
  return kind == "max" ? make_fold<Max<T>>(spec) : make_fold<Min<T>>(spec);
}

}  // namespace

StepPtr make_reduce(const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  const std::string& kind = spec.attrs->text("kind");
  const DType x = spec.inputs[0].dtype, y = spec.outputs[0].dtype;
  if (kind == "sum") return is_floating(y) ? make_fold<Sum<double>>(spec) : make_fold<Sum<std::uint64_t>>(spec);
  if (kind == "prod") return is_floating(y) ? make_fold<Product<double>>(spec) : make_fold<Product<std::uint64_t>>(spec);
  if (kind == "any") return make_fold<Any>(spec);
  if (kind == "all") return make_fold<All>(spec);
  check(kind == "max" || kind == "min" || kind == "argmax" || kind == "argmin", spec, "unknown kind");
  if (x == DType::f64) return make_extreme<double>(spec, kind);
  if (is_floating(x)) return make_extreme<float>(spec, kind);
  return x == DType::u64 ? make_extreme<std::uint64_t>(spec, kind) : make_extreme<std::int64_t>(spec, kind);
}

}  // namespace reprise::kernels::reference
