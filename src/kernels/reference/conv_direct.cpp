// Convolution by rows of the output: each tap adds a scaled row of the input. For groups with one or two output channels (depthwise), and for integers.
#include <vector>

#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/reference/conv_geometry.h"
#include "kernels/reference/convert.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::reference {
namespace {

/// A tap's part that all rows share: what it reads along a row, and where its rows lie.
struct RowTap {
  TapRun run;
  std::int64_t k0, k1;
};

std::vector<RowTap> row_taps(const ConvGeometry& g) {
  std::vector<RowTap> taps;
  for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
    taps.push_back({g.row_run(tap % g.kernel[2], 0, g.out[2]), tap / (g.kernel[1] * g.kernel[2]), tap / g.kernel[2] % g.kernel[1]});
  }
  return taps;
}

/// Rows [begin, end) of all the output's rows: images × channels × out[0] × out[1]. T is what sums are held in.
template <class T, class E>
struct DirectRows {
  static void run(const ConvGeometry& g, std::span<const RowTap> taps, void* const* bindings, std::int64_t begin, std::int64_t end, T* sums, WriteRun write) {
    const std::int64_t rows = g.out[0] * g.out[1], channels = g.groups * g.out_channels;
    for (std::int64_t at = begin; at < end; ++at) {
      const std::int64_t row = at % rows, channel = at / rows % channels, image = at / rows / channels;
      sum_row(g, taps, bindings, image, channel, row, sums);
      g.y_space.for_each_run(row * g.out[2], g.out[2], [&, from = sums](std::int64_t offset, std::int64_t stride, std::int64_t n) mutable {
        write(g.y_at(bindings, image, channel) + offset * static_cast<std::int64_t>(sizeof(E)), stride, from, n);
        from += n;
      });
    }
  }

 private:
  static void sum_row(const ConvGeometry& g, std::span<const RowTap> taps, void* const* bindings, std::int64_t image, std::int64_t channel, std::int64_t row,
                      T* sums) {
    const std::int64_t group = channel / g.out_channels, count = g.taps(), o0 = row / g.out[1], o1 = row % g.out[1];
    const auto* x = reinterpret_cast<const E*>(g.x_at(bindings, image, group));
    const auto* w = reinterpret_cast<const E*>(g.w_at(bindings, group, channel % g.out_channels));
    std::fill_n(sums, g.out[2], g.has_bias ? convert<T>(reinterpret_cast<const E*>(g.bias.at(bindings))[channel * g.bias.strides[0]]) : T{});
    for (std::int64_t tap = 0; tap < count; ++tap) {
      const RowTap& t = taps[tap];
      const std::int64_t i0 = g.input_position(0, o0, t.k0), i1 = g.input_position(1, o1, t.k1);
      if (i0 < 0 || i1 < 0) continue;
      const E* from = x + i0 * g.x_strides[0] + i1 * g.x_strides[1] + t.run.offset;
      for (std::int64_t c = 0; c < g.in_channels; ++c) add_tap(t.run, from + c * g.x.strides[1], convert<T>(w[g.w_depth.offset(c * count + tap)]), sums);
    }
  }

  static void add_tap(const TapRun& run, const E* from, T weight, T* sums) {
    T* to = sums + run.lane;
    if (run.lane_step == 1 && run.step == 1) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < run.count; ++i) to[i] += weight * convert<T>(from[i]);
    } else if (run.lane_step == 1 && run.step == 2) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < run.count; ++i) to[i] += weight * convert<T>(from[2 * i]);
    } else {
      for (std::int64_t i = 0; i < run.count; ++i) to[i * run.lane_step] += weight * convert<T>(from[i * run.step]);
    }
  }
};

template <class T, class E>
StepPtr make_rows(const ConvGeometry& g) {
  const std::size_t worker_bytes = aligned(static_cast<std::size_t>(g.out[2]) * sizeof(T));
  const auto run = [g, taps = row_taps(g), worker_bytes, rows = best<DirectRows<T, E>>(), write = write_run(g.y.dtype, dtype_of<T>())](void* const* bindings,
                                                                                                                                       std::byte* scratch) {
    parallel_for(g.threads, g.batch * g.groups * g.out_channels * g.out[0] * g.out[1], grain_for(g.out[2] * g.depth()),
                 [&](std::int64_t begin, std::int64_t end, int worker) {
                   rows(g, taps, bindings, begin, end, reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * worker_bytes), write);
                 });
  };
  return make_step(worker_bytes * static_cast<std::size_t>(g.threads), run);
}

}  // namespace

StepPtr make_direct_conv(const ConvGeometry& g) {
  return tensor::dispatch(g.y.dtype, [&](auto e) -> StepPtr {
    using E = decltype(e);
    if constexpr (std::is_integral_v<E>)
      return make_rows<std::uint64_t, E>(g);
    else
      return make_rows<compute_t<E>, E>(g);
  });
}

}  // namespace reprise::kernels::reference
