// Pooling in up to three spatial dimensions. A window's positions along each dimension are worked out once, when the step is made.
#include <array>
#include <limits>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/pool_spans.h"
#include "kernels/reference/scalar_primitives.h"
#include "kernels/reference/step.h"
#include "kernels/reference/strided.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::reference {
namespace {

struct Pool {
  OperandRef x{}, y{}, indices{};
  bool has_indices = false, count_include_pad = true;
  std::int64_t divisor = 0;
  std::array<std::int64_t, 3> in{1, 1, 1}, strides{};  // of x's spatial dimensions
  std::array<std::vector<Span>, 3> spans{{{Span()}, {Span()}, {Span()}}};
  Window y_space{}, indices_space{};
  int threads = 1;

  [[nodiscard]] std::int64_t pixels() const { return static_cast<std::int64_t>(spans[0].size() * spans[1].size() * spans[2].size()); }
  [[nodiscard]] std::int64_t planes() const { return y.sizes[0] * y.sizes[1]; }

  /// Calls f(value, position in the plane) for the window of an output pixel, and gives its spans.
  template <class E, class F>
  std::array<Span, 3> visit(const E* plane, std::int64_t pixel, const F& f) const {
    const auto n2 = static_cast<std::int64_t>(spans[2].size()), n1 = static_cast<std::int64_t>(spans[1].size());
    const std::array<Span, 3> window{spans[0][pixel / n2 / n1], spans[1][pixel / n2 % n1], spans[2][pixel % n2]};
    for (std::int64_t a = 0; a < window[0].count; ++a) {
      const std::int64_t i0 = window[0].first + a * window[0].step;
      for (std::int64_t b = 0; b < window[1].count; ++b) {
        const std::int64_t i1 = window[1].first + b * window[1].step, row = i0 * strides[0] + i1 * strides[1];
        for (std::int64_t c = 0; c < window[2].count; ++c) {
          const std::int64_t i2 = window[2].first + c * window[2].step;
          f(plane[row + i2 * strides[2]], (i0 * in[1] + i1) * in[2] + i2);
        }
      }
    }
    return window;
  }
};

// Windows of max and avg. The last ones of ceil_mode may reach beyond the padding; avg divides by what lies inside it.
std::vector<Span> sliding(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t padding, std::int64_t dilation) {
  std::vector<Span> spans;
  for (std::int64_t o = 0; o < out; ++o) {
    const std::int64_t start = o * stride - padding;
    const std::int64_t skipped = start < 0 ? (-start + dilation - 1) / dilation : 0;
    const std::int64_t first = start + skipped * dilation, end = std::min(start + (kernel - 1) * dilation + 1, in);
    spans.push_back({first, std::max<std::int64_t>(0, (end - first + dilation - 1) / dilation), dilation, std::min(start + kernel, in + padding) - start});
  }
  return spans;
}

std::vector<Span> adaptive(std::int64_t in, std::int64_t out) {
  std::vector<Span> spans;
  for (std::int64_t o = 0; o < out; ++o) {
    const std::int64_t first = o * in / out, end = ((o + 1) * in + out - 1) / out;
    spans.push_back({first, end - first, 1, end - first});
  }
  return spans;
}

template <class E>
struct MaxPool {
  using T = compute_t<E>;
  static void run(const Pool& p, const E* x, std::byte* y, std::byte* indices) {
    for (std::int64_t pixel = 0; pixel < p.pixels(); ++pixel) {
      E best{};
      std::int64_t where = -1;
      p.visit(x, pixel, [&](E element, std::int64_t position) {
        const T value = convert<T>(element);
        if (where < 0 || value > convert<T>(best) || is_nan(value)) {
          best = element;
          where = position;
        }
      });
      reinterpret_cast<E*>(y)[p.y_space.offset(pixel)] = best;
      if (indices != nullptr) reinterpret_cast<std::int64_t*>(indices)[p.indices_space.offset(pixel)] = where;
    }
  }
};

template <class E>
struct AvgPool {
  using T = std::conditional_t<std::is_integral_v<E>, std::int64_t, compute_t<E>>;
  static void run(const Pool& p, const E* x, std::byte* y, std::byte*) {
    for (std::int64_t pixel = 0; pixel < p.pixels(); ++pixel) {
      T sum = 0;
      const auto window = p.visit(x, pixel, [&](E element, std::int64_t) { sum += convert<T>(element); });
      std::int64_t inside = 1, full = 1;
      for (const Span& span : window) {
        inside *= span.count;
        full *= span.full;
      }
      const std::int64_t divisor = p.divisor != 0 ? p.divisor : p.count_include_pad ? full : inside;
      reinterpret_cast<E*>(y)[p.y_space.offset(pixel)] = inside == 0 ? E{} : convert<E>(static_cast<T>(sum / static_cast<T>(divisor)));
    }
  }
};

template <template <class> class Loop>
StepPtr make_planes(const Pool& pool) {
  return tensor::dispatch(pool.x.dtype, [&](auto e) -> StepPtr {
    using E = decltype(e);
    return make_step([pool](void* const* bindings) {
      std::int64_t cost = pool.pixels();
      for (const auto& spans : pool.spans) cost *= spans.empty() ? 0 : spans[spans.size() / 2].count;
      parallel_for(pool.threads, pool.planes(), grain_for(cost), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t plane = begin; plane < end; ++plane) {
          const std::int64_t image = plane / pool.y.sizes[1], channel = plane % pool.y.sizes[1];
          const auto at = [&](const OperandRef& o) {
            return o.at(bindings) + (image * o.strides[0] + channel * o.strides[1]) * static_cast<std::int64_t>(item_size(o.dtype));
          };
          Loop<E>::run(pool, reinterpret_cast<const E*>(at(pool.x)), at(pool.y), pool.has_indices ? at(pool.indices) : nullptr);
        }
      });
    });
  });
}

std::vector<std::int64_t> per_dimension(const StepSpec& spec, const char* key, int dims, std::int64_t lowest, std::int64_t absent) {
  if (!spec.attrs->has(key)) return std::vector<std::int64_t>(static_cast<std::size_t>(dims), absent);
  std::vector<std::int64_t> values = spec.attrs->ints(key);
  REPRISE_CHECK(static_cast<int>(values.size()) == dims && *std::min_element(values.begin(), values.end()) >= lowest, InvalidArgument,
                "[kernels/{}] pool: wrong {} (got {} values, want {} of at least {})", spec.name, key, values.size(), dims, lowest);
  return values;
}

Window space_of(const OperandRef& o) {
  const auto dims = static_cast<std::size_t>(o.rank - 2);
  return {{o.sizes.data() + 2, dims}, {o.strides.data() + 2, dims}};
}

void set_spans(const StepSpec& spec, Pool& pool) {
  auto spans = pool_spans(spec);
  const std::size_t dims = spans.size();
  for (std::size_t d = 0; d < dims; ++d) {
    const std::size_t at = 3 - dims + d;
    pool.in[at] = pool.x.sizes[2 + d];
    pool.strides[at] = pool.x.strides[2 + d];
    pool.spans[at] = std::move(spans[d]);
  }
}

}  // namespace

std::vector<std::vector<Span>> pool_spans(const StepSpec& spec) {
  const OperandRef &x = spec.inputs[0], &y = spec.outputs[0];
  const int dims = x.rank - 2;
  const bool is_adaptive = spec.attrs->text("kind").starts_with("adaptive");
  std::vector<std::int64_t> kernel, stride, padding, dilation;
  if (!is_adaptive) {
    kernel = per_dimension(spec, "kernel", dims, 1, 1);
    stride = per_dimension(spec, "stride", dims, 1, 1);
    padding = per_dimension(spec, "padding", dims, 0, 0);
    dilation = per_dimension(spec, "dilation", dims, 1, 1);
  }
  std::vector<std::vector<Span>> spans;
  for (std::size_t d = 0; d < static_cast<std::size_t>(dims); ++d) {
    const std::int64_t in = x.sizes[2 + d], out = y.sizes[2 + d];
    spans.push_back(is_adaptive ? adaptive(in, out) : sliding(in, out, kernel[d], stride[d], padding[d], dilation[d]));
  }
  return spans;
}

StepPtr make_pool(const StepSpec& spec) {
  const std::string& kind = spec.attrs->text("kind");
  const bool max = kind == "max" || kind == "adaptive_max", avg = kind == "avg" || kind == "adaptive_avg";
  check(max || avg, spec, "unknown kind");
  check_counts(spec, 1, 1, max ? 2 : 1);
  Pool pool{.x = spec.inputs[0], .y = spec.outputs[0], .threads = spec.threads};
  check(pool.x.rank >= 3 && pool.x.rank <= 5 && pool.y.rank == pool.x.rank, spec, "wrong rank");
  check(pool.x.dtype == pool.y.dtype && pool.x.sizes[0] == pool.y.sizes[0] && pool.x.sizes[1] == pool.y.sizes[1], spec, "dtype, batch or channels differ");
  set_spans(spec, pool);
  pool.y_space = space_of(pool.y);
  pool.has_indices = spec.outputs.size() > 1;
  if (pool.has_indices) {
    pool.indices = spec.outputs[1];
    check(pool.indices.dtype == DType::i64 && same_shape(pool.indices, pool.y), spec, "indices are i64 of the output's sizes");
    pool.indices_space = space_of(pool.indices);
  }
  if (avg && kind == "avg") {
    pool.count_include_pad = spec.attrs->flag("count_include_pad", true);
    pool.divisor = spec.attrs->has("divisor") ? spec.attrs->integer("divisor") : 0;
  }
  return max ? make_planes<MaxPool>(pool) : make_planes<AvgPool>(pool);
}

}  // namespace reprise::kernels::reference
