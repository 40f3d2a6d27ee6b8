// Convolution as a product of the weight [Co, Ci·K] and the input's patches [Ci·K, pixels], which are gathered as the product packs them. A transposed
// convolution is the same with another rule for which input position a tap reads.
#include <array>

#include "kernels/isa.h"
#include "kernels/parallel.h"
#include "kernels/reference/conv_geometry.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/gemm.h"

namespace reprise::kernels::reference {
namespace {

/// A piece of a panel's pixels that lies in one row of the output.
struct Segment {
  std::int64_t lane, o0, o1, o2, n;
};

template <class T, class E>
struct PackPatches {
  static constexpr std::int64_t kWidth = kColumns<T>;

  /// Panels of the patches' rows [k, k + depth) and columns [pixel, pixel + pixels).
  static void run(const ConvGeometry& g, const std::byte* x, std::int64_t k, std::int64_t depth, std::int64_t pixel, std::int64_t pixels, T* dst) {
    for (std::int64_t at = 0; at < pixels; at += kWidth, dst += kWidth * depth) {
      pack_panel(g, reinterpret_cast<const E*>(x), k, depth, pixel + at, std::min(kWidth, pixels - at), dst);
    }
  }

 private:
  static void pack_panel(const ConvGeometry& g, const E* x, std::int64_t k, std::int64_t depth, std::int64_t pixel, std::int64_t pixels, T* dst) {
    std::array<Segment, kWidth> segments;
    std::array<TapRun, kWidth> runs;
    const std::size_t count = cut(g, pixel, pixels, segments);
    const std::int64_t taps = g.taps();
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      std::int64_t covered = 0;
      for (std::size_t s = 0; s < count; ++s) {
        const Segment& segment = segments[s];
        runs[s] = g.tap_run(tap, segment.o0, segment.o1, segment.o2, segment.n);
        runs[s].lane += segment.lane;
        covered += runs[s].count;
      }
      // Row c·taps + tap for every channel c with that row inside [k, k + depth).
      for (std::int64_t c = (std::max<std::int64_t>(k - tap, 0) + taps - 1) / taps; c * taps + tap < k + depth; ++c) {
        T* row = dst + (c * taps + tap - k) * kWidth;
        if (covered < kWidth) std::fill_n(row, kWidth, T{});
        for (std::size_t s = 0; s < count; ++s) copy(runs[s], x + c * g.x.strides[1], row);
      }
    }
  }

  static std::size_t cut(const ConvGeometry& g, std::int64_t pixel, std::int64_t pixels, std::array<Segment, kWidth>& segments) {
    std::size_t count = 0;
    for (std::int64_t lane = 0; lane < pixels;) {
      const std::int64_t at = pixel + lane, o2 = at % g.out[2], n = std::min(pixels - lane, g.out[2] - o2);
      segments[count++] = {lane, at / g.out[2] / g.out[1], at / g.out[2] % g.out[1], o2, n};
      lane += n;
    }
    return count;
  }

  static void copy(const TapRun& run, const E* x, T* row) {
    const E* from = x + run.offset;
    T* to = row + run.lane;
    if (run.count == kWidth && run.step == 1) {
      for (std::int64_t i = 0; i < kWidth; ++i) to[i] = convert<T>(from[i]);
    } else {
      for (std::int64_t i = 0; i < run.count; ++i) to[i * run.lane_step] = convert<T>(from[i * run.step]);
    }
  }
};

template <class T>
using PackPatchesKernel = void (*)(const ConvGeometry&, const std::byte*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, T*);

template <class T>
PackPatchesKernel<T> patches_kernel(DType dtype) {
  if constexpr (std::is_same_v<T, float>) {
    if (dtype == DType::f16) return best<PackPatches<T, Half>>();
    if (dtype == DType::bf16) return best<PackPatches<T, BFloat16>>();
  }
  return best<PackPatches<T, T>>();
}

template <class T>
struct BlockedConv {
  ConvGeometry g;
  Blocking blocking;
  TileKernel<T> kernel = gemm_kernels<T>().tile;
  PackKernel<T> pack_weight;
  PackPatchesKernel<T> pack_patches;
  ReadRun read;
  WriteRun write;
  std::size_t worker_bytes;

  explicit BlockedConv(const ConvGeometry& geometry)
      : g(geometry),
        blocking(plan_blocking<T>(g.out_channels, g.pixels(), g.depth(), g.batch * g.groups, g.threads)),
        pack_weight(pack_rows<T>(g.y.dtype)),
        pack_patches(patches_kernel<T>(g.y.dtype)),
        read(read_run(g.y.dtype, dtype_of<T>())),
        write(write_run(g.y.dtype, dtype_of<T>())),
        worker_bytes(aligned(static_cast<std::size_t>(scratch_items<T>(blocking)) * sizeof(T))) {}

  [[nodiscard]] std::int64_t item() const { return static_cast<std::int64_t>(item_size(g.y.dtype)); }

  void pack_rows_of(const std::byte* w, std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t depth, T* dst) const {
    for (std::int64_t r = 0; r < rows; r += kRows, dst += kRows * depth) {
      const std::byte* panel = w + (row + r) * g.w_out_stride * item();
      g.w_depth.for_each_run(k, depth, [&, to = dst](std::int64_t offset, std::int64_t stride, std::int64_t n) mutable {
        pack_weight(panel + offset * item(), g.w_out_stride, stride, std::min(kRows, rows - r), n, to);
        to += n * kRows;
      });
    }
  }

  void store_row(void* const* bindings, std::int64_t image, std::int64_t channel, std::int64_t pixel, std::int64_t n, T* sums) const {
    if (g.has_bias) {
      T bias;
      read(&bias, g.bias.at(bindings) + channel * g.bias.strides[0] * item(), 1, 1);
      for (std::int64_t i = 0; i < n; ++i) sums[i] += bias;
    }
    std::byte* y = g.y_at(bindings, image, channel);
    g.y_space.for_each_run(pixel, n, [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
      write(y + offset * item(), stride, sums, count);
      sums += count;
    });
  }

  void run(void* const* bindings, std::byte* scratch) const {
    parallel_jobs(g.flops() < 1 << 20 ? 1 : g.threads, g.batch * g.groups * blocking.jobs(), [&](std::int64_t job, int worker) {
      const std::int64_t product = job / blocking.jobs(), group = product % g.groups, image = product / g.groups;
      const std::byte *x = g.x_at(bindings, image, group), *w = g.w_at(bindings, group, 0);
      run_gemm_job<T>(
          blocking, kernel, job % blocking.jobs(), reinterpret_cast<T*>(scratch + static_cast<std::size_t>(worker) * worker_bytes),
          [&](std::int64_t row, std::int64_t rows, std::int64_t k, std::int64_t depth, T* dst) { pack_rows_of(w, row, rows, k, depth, dst); },
          [&](std::int64_t k, std::int64_t depth, std::int64_t pixel, std::int64_t pixels, T* dst) { pack_patches(g, x, k, depth, pixel, pixels, dst); },
          [&](std::int64_t row, std::int64_t pixel, std::int64_t rows, std::int64_t pixels, T* tile) {
            for (std::int64_t r = 0; r < rows; ++r) store_row(bindings, image, group * g.out_channels + row + r, pixel, pixels, tile + r * kColumns<T>);
          });
    });
  }
};

template <class T>
StepPtr make_blocked(const ConvGeometry& geometry) {
  const BlockedConv<T> conv(geometry);
  return make_step(conv.worker_bytes * static_cast<std::size_t>(geometry.threads),
                   [conv](void* const* bindings, std::byte* scratch) { conv.run(bindings, scratch); });
}

}  // namespace

StepPtr make_conv(const StepSpec& spec) {
  const ConvGeometry geometry = describe_conv(spec);
  if (geometry.y.numel() == 0) return make_step([](void* const*) {});
  if (!is_floating(geometry.y.dtype) || geometry.out_channels <= 2) return make_direct_conv(geometry);
  return geometry.y.dtype == DType::f64 ? make_blocked<double>(geometry) : make_blocked<float>(geometry);
}

}  // namespace reprise::kernels::reference
