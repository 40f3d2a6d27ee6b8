// resize: every output position is a weighted sum of a few input positions per dimension; the tables of positions and weights are made when shapes are bound.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/step.h"
#include "kernels/reference/visit.h"

namespace reprise::kernels::reference {
namespace {

// The taps of one spatial dimension: output i reads positions first[i] … first[i + 1] of `at` and `weight`.
struct Taps {
  std::vector<std::int64_t> first{0};
  std::vector<std::int64_t> at;  // element offsets (position × stride)
  std::vector<double> weight;

  void add(std::int64_t position, double w) {
    at.push_back(position);
    weight.push_back(w);
  }
  void next() { first.push_back(static_cast<std::int64_t>(at.size())); }
};

struct Axis {
  std::int64_t in = 0, out = 0;
  double given = 0;  // output / input as given; 0: from the sizes
  bool align_corners = false, antialias = false;

  // How far the input moves per output position; PyTorch computes this in the arithmetic of the values (`F`).
  template <class F>
  F scale() const {
    if (align_corners) return out > 1 ? static_cast<F>(in - 1) / static_cast<F>(out - 1) : F(0);
    return given > 0 ? static_cast<F>(1.0 / given) : static_cast<F>(in) / static_cast<F>(out);
  }
  template <class F>
  F source(std::int64_t i, F scale, bool clamped) const {
    if (align_corners) return scale * static_cast<F>(i);
    const F at = scale * (static_cast<F>(i) + F(0.5)) - F(0.5);
    return clamped && at < 0 ? F(0) : at;
  }
};

template <class F>
Taps nearest_taps(const Axis& axis, bool exact) {
  const float scale = Axis{axis.in, axis.out, axis.given}.scale<float>();
  Taps taps;
  for (std::int64_t i = 0; i < axis.out; ++i) {
    const float at = exact ? (static_cast<float>(i) + 0.5F) * scale : static_cast<float>(i) * scale;
    taps.add(std::min(static_cast<std::int64_t>(std::floor(at)), axis.in - 1), 1);
    taps.next();
  }
  return taps;
}

template <class F>
Taps linear_taps(const Axis& axis) {
  const F scale = axis.scale<F>();
  Taps taps;
  for (std::int64_t i = 0; i < axis.out; ++i) {
    const F at = axis.source(i, scale, true);
    const auto low = std::min(static_cast<std::int64_t>(at), axis.in - 1);
    const F part = std::min(std::max(at - static_cast<F>(low), F(0)), F(1));
    taps.add(low, static_cast<double>(F(1) - part));
    taps.add(std::min(low + 1, axis.in - 1), static_cast<double>(part));
    taps.next();
  }
  return taps;
}

// Keys' cubic convolution kernel at distance x.
template <class F>
F cubic(F x, F a) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : F(0);
}

template <class F>
Taps cubic_taps(const Axis& axis) {
  const F scale = axis.scale<F>();
  Taps taps;
  for (std::int64_t i = 0; i < axis.out; ++i) {
    const F at = axis.source(i, scale, false);
    const F base = std::floor(at), part = at - base;
    for (int k = -1; k <= 2; ++k) {
      taps.add(std::clamp<std::int64_t>(static_cast<std::int64_t>(base) + k, 0, axis.in - 1),
               static_cast<double>(cubic<F>(part - static_cast<F>(k), F(-0.75))));
    }
    taps.next();
  }
  return taps;
}

// A filter as wide as the step when the image shrinks, normalized.
template <class F>
Taps antialias_taps(const Axis& axis, bool is_cubic) {
  const F scale = axis.scale<F>();
  const F stretch = std::max(scale, F(1)), support = (is_cubic ? F(2) : F(1)) * stretch;
  const auto filter = [&](F x) { return is_cubic ? cubic<F>(x, F(-0.5)) : std::max(F(0), F(1) - std::abs(x)); };
  Taps taps;
  for (std::int64_t i = 0; i < axis.out; ++i) {
    const F center = scale * (static_cast<F>(i) + F(0.5));
    const auto begin = std::max(static_cast<std::int64_t>(center - support + F(0.5)), std::int64_t{0});
    const auto end = std::min(static_cast<std::int64_t>(center + support + F(0.5)), axis.in);
    F total = 0;
    for (auto j = begin; j < end; ++j) total += filter((static_cast<F>(j) - center + F(0.5)) / stretch);
    for (auto j = begin; j < end; ++j) taps.add(j, static_cast<double>(filter((static_cast<F>(j) - center + F(0.5)) / stretch) / (total == 0 ? F(1) : total)));
    taps.next();
  }
  return taps;
}

template <class F>
Taps taps_for(const StepSpec& spec, const std::string& kind, const Axis& axis) {
  if (kind == "nearest" || kind == "nearest_exact") return nearest_taps<F>(axis, kind == "nearest_exact");
  check(kind == "linear" || kind == "cubic", spec, "unknown kind");
  if (axis.antialias) return antialias_taps<F>(axis, kind == "cubic");
  return kind == "linear" ? linear_taps<F>(axis) : cubic_taps<F>(axis);
}

struct Resize {
  OperandRef x, y;
  std::vector<Taps> taps;  // always three: missing dimensions have one position
  std::int64_t out[3] = {1, 1, 1}, y_strides[3] = {0, 0, 0};

  template <class C, class E>
  C sum(const E* plane, std::int64_t i, std::int64_t j, std::int64_t k) const {
    const auto at = [](const std::vector<std::int64_t>& v, std::int64_t n) { return v[static_cast<std::size_t>(n)]; };
    C total = 0;
    for (auto a = at(taps[0].first, i); a < at(taps[0].first, i + 1); ++a) {
      C middle = 0;
      for (auto b = at(taps[1].first, j); b < at(taps[1].first, j + 1); ++b) {
        const E* row = plane + at(taps[0].at, a) + at(taps[1].at, b);
        C inner = 0;
        for (auto c = at(taps[2].first, k); c < at(taps[2].first, k + 1); ++c)
          inner += static_cast<C>(taps[2].weight[static_cast<std::size_t>(c)]) * convert<C>(row[at(taps[2].at, c)]);
        middle += static_cast<C>(taps[1].weight[static_cast<std::size_t>(b)]) * inner;
      }
      total += static_cast<C>(taps[0].weight[static_cast<std::size_t>(a)]) * middle;
    }
    return total;
  }

  template <class C, class E>
  void run(void* const* bindings, int threads) const {
    const auto* from = reinterpret_cast<const E*>(x.at(bindings));
    auto* to = reinterpret_cast<E*>(y.at(bindings));
    const std::int64_t channels = x.sizes[1];
    parallel_for(threads, x.sizes[0] * channels, grain_for(out[0] * out[1] * out[2] * 4), [&](std::int64_t begin, std::int64_t end, int) {
      for (auto p = begin; p < end; ++p) {
        const E* plane = from + p / channels * x.strides[0] + p % channels * x.strides[1];
        E* result = to + p / channels * y.strides[0] + p % channels * y.strides[1];
        for (std::int64_t i = 0; i < out[0]; ++i) {
          for (std::int64_t j = 0; j < out[1]; ++j) {
            for (std::int64_t k = 0; k < out[2]; ++k) result[i * y_strides[0] + j * y_strides[1] + k * y_strides[2]] = rounded<E>(sum<C>(plane, i, j, k));
          }
        }
      }
    });
  }

  template <class E, class C>
  static E rounded(C v) {
    if constexpr (std::is_integral_v<E> && !std::is_same_v<E, bool>) {
      return convert<E>(std::clamp(std::nearbyint(v), static_cast<C>(std::numeric_limits<E>::lowest()), static_cast<C>(std::numeric_limits<E>::max())));
    } else {
      return convert<E>(v);
    }
  }
};

template <class F>
Resize plan(const StepSpec& spec) {
  const auto &x = spec.inputs[0], &y = spec.outputs[0];
  Resize r{.x = x, .y = y, .taps = {}};
  const auto& kind = spec.attrs->text("kind");
  const auto& scales = spec.attrs->reals("scales");
  const int spatial = x.rank - 2;
  for (int d = 0; d < 3; ++d) {
    const int own = d - (3 - spatial);
    if (own < 0) {
      Taps one;
      one.add(0, 1);
      one.next();
      r.taps.push_back(std::move(one));
      continue;
    }
    const auto i = static_cast<std::size_t>(own) + 2;
    check(x.sizes[i] > 0 || y.sizes[i] == 0, spec, "a spatial dimension is empty");
    const Axis axis{x.sizes[i], y.sizes[i], static_cast<std::size_t>(own) < scales.size() ? scales[static_cast<std::size_t>(own)] : 0,
                    spec.attrs->flag("align_corners"), spec.attrs->flag("antialias")};
    auto taps = taps_for<F>(spec, kind, axis);
    for (auto& position : taps.at) position *= x.strides[i];
    r.out[d] = y.sizes[i];
    r.y_strides[d] = y.strides[i];
    r.taps.push_back(std::move(taps));
  }
  return r;
}

}  // namespace

StepPtr make_resize(const StepSpec& spec) {
  check_counts(spec, 1, 1, 1);
  const auto &x = spec.inputs[0], &y = spec.outputs[0];
  check(x.rank == y.rank && x.rank >= 3 && x.rank <= 5 && x.dtype == y.dtype, spec, "operands disagree in rank or dtype");
  check(x.sizes[0] == y.sizes[0] && x.sizes[1] == y.sizes[1], spec, "batch and channels must stay");
  const int threads = spec.threads;
  return visit(x.dtype, [&]<class E>(E) {
    using C = std::conditional_t<std::is_same_v<E, double> || (std::is_integral_v<E> && sizeof(E) > 2), double, float>;
    return make_step([r = std::make_shared<Resize>(plan<C>(spec)), threads](void* const* bindings) { r->template run<C, E>(bindings, threads); });
  });
}

}  // namespace reprise::kernels::reference
