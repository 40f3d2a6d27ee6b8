// Convolution with 3x3 windows by Winograd's minimal filtering F(M x M, 3 x 3): patches of the image and the weights are transformed, multiplied element by
// element (a matrix product over the channels for each of (M + 2)² elements), and transformed back: (M + 2)² products of M² · 9.
//
// Weights are transformed in each run, a panel of output channels and some channels at a time, or all at once where they are few: kept, they would take up to
// four times their room, and longer to read.
#include "base/pages.h"
#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/winograd_tiles.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace winograd {
namespace {

constexpr std::int64_t kPanelsForm = 5;                 // WeightCache
constexpr std::int64_t kDepth = 32;                     // channels whose weights are transformed at a time
constexpr std::int64_t kFew = std::int64_t{128} * 128;  // windows: more are transformed again in less time than they are read transformed
constexpr std::int64_t kWorthTransforms = 24;           // tiles: for fewer, threads that share patches are faster than ones that all transform the weights

struct Conv {
  ConvShape shape;
  Grid grid;
  PackedWeight weights;         // [panel][channel][3][3][kPanel]
  std::int64_t part_tiles = 0;  // at most: of all patches that are there at once
  std::int64_t splits = 1;      // of these, into jobs of a panel each
  bool alone = false;           // each thread works on tiles of its own; else on all of them, a panel of weights each
  bool shared = false;          // all weights are transformed first

  [[nodiscard]] std::int64_t tiles_of(std::int64_t part) const { return std::min(part_tiles, grid.tiles() - part * part_tiles); }
  [[nodiscard]] std::int64_t parts() const { return (grid.tiles() + part_tiles - 1) / part_tiles; }
  [[nodiscard]] std::int64_t panels() const { return (shape.out_channels + kPanel - 1) / kPanel; }
  /// Of a panel of windows as they are.
  [[nodiscard]] std::int64_t panel_bytes() const { return shape.channels * shape.taps() * kPanel * static_cast<std::int64_t>(item_size(shape.w.dtype)); }
  /// Floats from one element to the next: a line more, so that all elements of a tile do not meet in one set of the cache.
  [[nodiscard]] std::int64_t patch_stride() const { return part_tiles * shape.channels + 16; }
  [[nodiscard]] std::int64_t product_stride() const { return part_tiles * kPanel + 16; }
  /// Channels whose weights are there transformed at a time.
  [[nodiscard]] std::int64_t depth() const { return shared ? shape.channels : std::min(kDepth, shape.channels); }
  [[nodiscard]] std::int64_t weight_stride() const { return depth() * kPanel + 16; }
  /// Floats of a panel of transformed weights.
  [[nodiscard]] std::int64_t panel_items() const { return elements_in_lines(weight_stride()); }
  [[nodiscard]] std::int64_t patches() const { return elements_in_lines(patch_stride()); }
  [[nodiscard]] std::int64_t products() const { return elements_in_lines(product_stride()); }

 private:
  [[nodiscard]] std::int64_t elements_in_lines(std::int64_t stride) const { return (grid.elements() * stride + 15) / 16 * 16; }
};

/// Patches of tiles [begin, end), of which `to` holds the first.
struct GatherJob {
  const Conv* conv = nullptr;
  void* const* bindings = nullptr;
  std::int64_t begin = 0, end = 0;
  float* to = nullptr;
};

template <int W, int M, class E>
struct GatherLoop {
  static void run(const GatherJob& job) {
    const Tiles<W, M, E> tiles(job.conv->shape, job.conv->grid, job.bindings);
    for (std::int64_t t = job.begin; t < job.end; ++t) tiles.gather(t, {job.to + (t - job.begin) * job.conv->shape.channels, job.conv->patch_stride()});
  }
};

/// The weights of channels [begin, end) of a panel, of which `to` holds all.
struct TransformJob {
  const Conv* conv = nullptr;
  void* const* bindings = nullptr;
  std::int64_t panel = 0, begin = 0, end = 0;
  float* to = nullptr;
};

template <int W, int M, class E>
struct TransformLoop {
  static void run(const TransformJob& job) {
    const auto* taps = reinterpret_cast<const E*>(job.conv->weights.at(job.bindings)) + (job.panel * job.conv->shape.channels + job.begin) * 9 * kPanel;
    Tiles<W, M, E>::transform(taps, job.end - job.begin, job.to + job.begin * kPanel, job.conv->weight_stride());
  }
};

/// One panel of the outputs of tiles [begin, end), of whose patches `patches` is the first; `weights`: memory for those of the panel, or they are there.
struct PanelJob {
  const Conv* conv = nullptr;
  void* const* bindings = nullptr;
  std::int64_t panel = 0, begin = 0, end = 0;
  const float* patches = nullptr;
  float *weights = nullptr, *products = nullptr;
};

template <int W, int M, class E>
struct PanelLoop {
  static void run(const PanelJob& job) {
    const Conv& conv = *job.conv;
    const ConvShape& s = conv.shape;
    const Tiles<W, M, E> tiles(s, conv.grid, job.bindings);
    const std::int64_t count = job.end - job.begin, stride = conv.product_stride();
    const auto* taps = reinterpret_cast<const E*>(conv.weights.at(job.bindings)) + job.panel * s.channels * 9 * kPanel;
    for (std::int64_t k = 0; k < s.channels; k += conv.depth(), taps += conv.depth() * 9 * kPanel) {
      const std::int64_t depth = std::min(conv.depth(), s.channels - k);
      if (!conv.shared) tiles.transform(taps, depth, job.weights, conv.weight_stride());
      for (std::int64_t e = 0; e < conv.grid.elements(); ++e) {
        const float* w = job.weights + e * conv.weight_stride();
        const auto* next = conv.shared ? reinterpret_cast<const std::byte*>(w + conv.weight_stride())
                                       : reinterpret_cast<const std::byte*>(taps + 9 * kPanel * depth) + e * depth * kLine;
        tiles.multiply(count, job.patches + e * conv.patch_stride() + k, s.channels, w, depth, job.products + e * stride, kPanel, k > 0, next);
      }
    }
    with_activation(s.activation, [&]<Activation kind>() REPRISE_INLINE_LAMBDA {
      for (std::int64_t t = 0; t < count; ++t)
        tiles.template scatter<kind>(job.begin + t, {job.products + t * kPanel, stride}, job.panel * kPanel,
                                     std::min((job.panel + 1) * kPanel, s.out_channels));
    });
  }
};

template <template <int, int, class> class Loop, int M, class E>
auto of_elements() {
  return of_widths<Loop<16, M, E>, Loop<8, M, E>, Loop<4, M, E>>(active_isa(), &Loop<4, M, E>::run);
}
template <template <int, int, class> class Loop>
auto kernel_for(const Conv& conv) {
  if (conv.shape.x.dtype == DType::bf16) return conv.grid.m == 2 ? of_elements<Loop, 2, BFloat16>() : of_elements<Loop, 4, BFloat16>();
  return conv.grid.m == 2 ? of_elements<Loop, 2, float>() : of_elements<Loop, 4, float>();
}

/// [channel][3][3][kPanel] of one panel; zeros behind the last output channel.
template <class E>
void pack_panel(const ConvShape& s, const std::byte* from, std::int64_t panel, std::byte* to) {
  const auto* w = reinterpret_cast<const E*>(from);
  auto* packed = reinterpret_cast<E*>(to);
  for (std::int64_t channel = 0; channel < s.channels; ++channel) {
    for (std::int64_t tap = 0; tap < 9; ++tap) {
      const E* taps = w + channel * s.w.strides[1] + tap / 3 * s.w.strides[2] + tap % 3 * s.w.strides[3];
      for (std::int64_t out = panel * kPanel; out < (panel + 1) * kPanel; ++out) *packed++ = out < s.out_channels ? taps[out * s.w.strides[0]] : E();
    }
  }
}

void pack(const Conv& conv, const std::byte* from, std::byte* to) {
  const ConvShape& s = conv.shape;
  const auto pack_one = s.x.dtype == DType::bf16 ? &pack_panel<BFloat16> : &pack_panel<float>;
  const auto item = static_cast<std::int64_t>(item_size(s.w.dtype)), stride = s.w.strides[0] * item;
  const bool by_outputs = s.w.strides[0] >= s.channels * s.taps();
  parallel_for(s.threads, conv.panels(), 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      pack_one(s, from, panel, to + panel * conv.panel_bytes());
      // A large weight of a file would be there twice at the end. From the first: the system may have mapped earlier pages again with later ones.
      const std::int64_t last = std::min((panel + 1) * kPanel, s.out_channels);
      if (by_outputs) base::drop_pages_of_file(from + begin * kPanel * stride, static_cast<std::size_t>((last - begin * kPanel) * stride));
    }
  });
}

/// Matrix units multiply bf16 faster than this saves products.
bool has_slow_products(DType dtype) { return dtype == DType::bf16 && active_isa() < Isa::amx; }

bool takes(const ConvShape& s) {
  for (int d = 0; d < 2; ++d) {
    if (s.kernel[d] != 3 || s.stride[d] != 1 || s.dilation[d] != 1) return false;
  }
  return s.x.rank == 4 && (s.x.dtype == DType::f32 || has_slow_products(s.x.dtype)) && s.groups == 1 && s.channels % 16 == 0 && s.out_channels % 16 == 0 &&
         has_vector_form(s.activation);
}

/// Tiles whose patches stay in the second-level cache. Where no weights are transformed for them few are as good, and take less memory. Beside images of bf16,
/// which are half as large, what is there of f32 is half as much too.
std::int64_t tiles_at_once(const Conv& conv) {
  const std::int64_t halves = conv.shape.x.dtype == DType::bf16 ? 2 : 1;
  if (conv.shared) return 2 * kRows / halves;
  constexpr std::int64_t kBytes = 1 << 20, kOfChannel = 1 << 13;  // with few channels products and weights take as much again
  const std::int64_t channels = conv.shape.channels;
  return std::max(kRows, std::min(kBytes, kOfChannel / halves * channels) / (conv.grid.elements() * channels * 4));
}

/// Whether all weights may be transformed first: not where they are more than the image and the result.
bool may_share(const Conv& conv) {
  const ConvShape& s = conv.shape;
  const std::int64_t windows = s.channels * conv.panels() * kPanel, images = (s.x.numel() + s.y.numel()) * static_cast<std::int64_t>(item_size(s.x.dtype));
  return windows <= kFew && windows * conv.grid.elements() * 4 <= images;
}

Conv plan(const ConvShape& s, int tile) {
  Conv conv{.shape = s, .grid = {tile, s.batch, (s.out_rows + tile - 1) / tile, (s.out_columns + tile - 1) / tile}, .weights = {}};
  const std::int64_t tiles = conv.grid.tiles(), threads = s.threads;
  conv.alone = threads == 1 || tiles >= kWorthTransforms * threads;
  conv.shared = conv.alone && tiles > kWorthTransforms * threads && may_share(conv);
  const std::int64_t most = tiles_at_once(conv), parts = (tiles + most - 1) / most;
  // As many parts for each thread, or panels; where these are few, parts of panels.
  const std::int64_t even = conv.alone ? (parts + threads - 1) / threads * threads : parts;
  conv.part_tiles = (tiles + even - 1) / even;
  conv.splits = conv.panels() % threads == 0 || conv.panels() >= 4 * threads ? 1 : threads;
  return conv;
}

StepPtr make_step(Conv conv) {
  const std::int64_t patches = conv.patches(), weights = conv.panel_items(), products = conv.products();
  const auto gather = kernel_for<GatherLoop>(conv);
  const auto multiply = kernel_for<PanelLoop>(conv);
  const auto transform = kernel_for<TransformLoop>(conv);
  const int threads = conv.shape.threads;
  if (conv.alone) {
    const std::int64_t shared = conv.shared ? conv.panels() * weights : 0, mine = patches + products + (conv.shared ? 0 : weights);
    return reference::make_step(static_cast<std::size_t>((shared + mine * threads) * 4), [=](void* const* bindings, std::byte* scratch) {
      auto* all = reinterpret_cast<float*>(scratch);
      if (conv.shared) {
        const std::int64_t channels = conv.shape.channels, chunks = (channels + kDepth - 1) / kDepth;
        parallel_jobs(threads, conv.panels() * chunks, [&](std::int64_t job, int) {
          const std::int64_t panel = job / chunks, begin = job % chunks * kDepth;
          transform({&conv, bindings, panel, begin, std::min(begin + kDepth, channels), all + panel * weights});
        });
      }
      parallel_jobs(threads, conv.parts(), [&](std::int64_t part, int worker) {
        float* own = all + shared + worker * mine;
        const std::int64_t first = part * conv.part_tiles, end = first + conv.tiles_of(part);
        gather({&conv, bindings, first, end, own});
        for (std::int64_t panel = 0; panel < conv.panels(); ++panel)
          multiply({&conv, bindings, panel, first, end, own, conv.shared ? all + panel * weights : own + patches + products, own + patches});
      });
    });
  }
  const std::int64_t gather_cost = conv.grid.elements() * conv.shape.channels * 4;
  return reference::make_step(static_cast<std::size_t>((patches + (weights + products) * threads) * 4), [=](void* const* bindings, std::byte* scratch) {
    auto* all = reinterpret_cast<float*>(scratch);
    const std::int64_t channels = conv.shape.channels;
    for (std::int64_t part = 0; part < conv.parts(); ++part) {
      const std::int64_t first = part * conv.part_tiles, count = conv.tiles_of(part), splits = std::min(conv.splits, count);
      parallel_for(threads, count, grain_for(gather_cost), [&](std::int64_t begin, std::int64_t end, int) {
        gather({&conv, bindings, first + begin, first + end, all + begin * channels});
      });
      parallel_jobs(threads, conv.panels() * splits, [&](std::int64_t job, int worker) {
        const std::int64_t begin = count * (job % splits) / splits, end = count * (job % splits + 1) / splits;
        float* own = all + patches + worker * (weights + products);
        multiply({&conv, bindings, job / splits, first + begin, first + end, all + begin * channels, own, own + weights});
      });
    }
  });
}

StepPtr make(Conv conv, const Contraction& contraction, WeightCache& cache) {
  const OperandRef& w = conv.shape.w;
  conv.weights = cache.pack(
      contraction.spec, w,
      {kPanelsForm, static_cast<std::int64_t>(w.dtype), conv.shape.channels, conv.shape.out_channels, w.strides[0], w.strides[1], w.strides[2], w.strides[3]},
      static_cast<std::size_t>(conv.panels() * conv.panel_bytes()), [conv](const std::byte* from, std::byte* to) { pack(conv, from, to); });
  return make_step(std::move(conv));
}

/// Patches must be many enough for the products to be worth the transforms; dot products of bf16 save half of what this does.
bool is_likely_better(const Conv& conv) {
  const bool dots = conv.shape.x.dtype == DType::bf16 && active_isa() == Isa::avx512_bf16;
  return conv.grid.tiles() >= (dots ? 40 : 16);
}

constexpr int kLikelyTile = 4;

}  // namespace
}  // namespace winograd

StepPtr make_winograd(const Contraction& contraction, WeightCache& cache) {
  const auto shape = describe_conv(contraction);
  if (!shape || !winograd::takes(*shape)) return nullptr;
  const auto conv = winograd::plan(*shape, winograd::kLikelyTile);
  return winograd::is_likely_better(conv) ? winograd::make(conv, contraction, cache) : nullptr;
}

StepPtr make_winograd(const Contraction& contraction, WeightCache& cache, int tile) {
  constexpr std::int64_t kFewest = 4;
  const auto shape = describe_conv(contraction);
  if (!shape || !winograd::takes(*shape)) return nullptr;
  const auto conv = winograd::plan(*shape, tile);
  const bool same = tile == winograd::kLikelyTile && winograd::is_likely_better(conv);
  return same || conv.grid.tiles() < kFewest ? nullptr : winograd::make(conv, contraction, cache);
}

}  // namespace reprise::kernels::cpu
