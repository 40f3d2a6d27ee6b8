// Convolution with 3x3 windows by Winograd's minimal filtering F(M x M, 3 x 3): patches of the image and the weights are transformed, multiplied element by
// element (a matrix product over the channels for each of (M + 2)² elements), and transformed back: (M + 2)² products of M² · 9.
#include <algorithm>
#include <array>
#include <utility>

#include "kernels/cpu/conv/activate.h"
#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/parallel.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kWinogradForm = 2;  // WeightCache
constexpr std::int64_t kPanel = 64;        // output channels of a panel of transformed weights
constexpr std::int64_t kRows = 6;          // tiles that a product takes at a time

/// Elements of a patch along one dimension.
template <int M>
constexpr int kPatch = M + 2;

struct Winograd {
  ConvShape shape;
  int m = 4;
  PackedWeight weights;               // [element][panel][channel][kPanel]
  std::int64_t job_tiles = 0;         // at most
  std::int64_t down = 0, across = 0;  // tiles of an image

  [[nodiscard]] std::int64_t elements() const { return (m + 2) * (m + 2); }
  [[nodiscard]] std::int64_t tiles() const { return shape.batch * down * across; }
  [[nodiscard]] std::int64_t panels() const { return (shape.out_channels + kPanel - 1) / kPanel; }
  /// Floats from one element to the next: a line more, so that all elements of a tile do not meet in one set of the cache.
  [[nodiscard]] std::int64_t patch_stride() const { return job_tiles * shape.channels + 16; }
  [[nodiscard]] std::int64_t product_stride() const { return job_tiles * panels() * kPanel + 16; }
  [[nodiscard]] std::size_t scratch_bytes() const { return reference::aligned(static_cast<std::size_t>(elements() * (patch_stride() + product_stride()) * 4)); }
  [[nodiscard]] std::size_t weight_bytes() const { return static_cast<std::size_t>(elements() * panels() * shape.channels * kPanel * 4); }
};

/// Tiles [begin, end), in row-major order.
struct Job {
  const Winograd* conv = nullptr;
  void* const* bindings = nullptr;
  std::int64_t begin = 0, end = 0;
  float* scratch = nullptr;
};

// The transforms of a line: Bᵀ, Aᵀ.
template <class V>
REPRISE_INLINE void transform_patch(V (&d)[4]) {
  const V d1 = d[1];
  d[0] -= d[2];
  d[1] += d[2];
  d[3] = d1 - d[3];
  d[2] -= d1;
}
template <class V>
REPRISE_INLINE void transform_patch(V (&d)[6]) {
  const V even = d[4] - 4.0F * d[2], odd = d[3] - 4.0F * d[1], even2 = d[4] - d[2], odd2 = 2.0F * (d[3] - d[1]);
  d[0] = 4.0F * d[0] - 5.0F * d[2] + d[4];
  d[5] = 4.0F * d[1] - 5.0F * d[3] + d[5];
  d[1] = even + odd;
  d[2] = even - odd;
  d[3] = even2 + odd2;
  d[4] = even2 - odd2;
}
template <class V>
REPRISE_INLINE void transform_back(V (&d)[4]) {
  const V d1 = d[1];
  d[0] += d1 + d[2];
  d[1] = d1 - d[2] - d[3];
}
template <class V>
REPRISE_INLINE void transform_back(V (&d)[6]) {
  const V even = d[1] + d[2], odd = d[1] - d[2], even2 = d[3] + d[4], odd2 = d[3] - d[4];
  d[0] += even + even2;
  d[1] = odd + 2.0F * odd2;
  d[2] = even + 4.0F * even2;
  d[3] = odd + 8.0F * odd2 + d[5];
}

template <int W, int M>
class Walk {
  using V = Floats<W>;
  static constexpr int kSide = kPatch<M>;
  static constexpr int kVectors = W == 16 ? 4 : 2;  // of a product's columns at a time

 public:
  REPRISE_INLINE explicit Walk(const Job& job)
      : job_(job),
        conv_(*job.conv),
        s_(conv_.shape),
        tiles_(job.end - job.begin),
        patches_(job.scratch),
        products_(patches_ + conv_.elements() * conv_.patch_stride()) {}

  REPRISE_INLINE void run() const {
    for (std::int64_t t = 0; t < tiles_; ++t) gather(place(t), patches_ + t * s_.channels);
    multiply();
    with_activation(s_.activation, [&]<Activation kind> [[gnu::always_inline]] () {
      for (std::int64_t t = 0; t < tiles_; ++t) scatter<kind>(place(t), products_ + t * conv_.panels() * kPanel);
    });
  }

 private:
  struct Place {
    std::int64_t image, row, column;  // of the first output
  };
  REPRISE_INLINE Place place(std::int64_t tile) const {
    const std::int64_t at = job_.begin + tile;
    return {at / conv_.across / conv_.down, at / conv_.across % conv_.down * M, at % conv_.across * M};
  }

  REPRISE_INLINE void gather(const Place& at, float* to) const {
    const std::int64_t row0 = at.row - s_.padding[0], column0 = at.column - s_.padding[1];
    const auto* x = reinterpret_cast<const float*>(s_.x.at(job_.bindings)) + at.image * s_.rows * s_.columns * s_.channels;
    const bool inside = row0 >= 0 && column0 >= 0 && row0 + kSide <= s_.rows && column0 + kSide <= s_.columns;
    for (std::int64_t c = 0; c < s_.channels; c += W) {
      V d[kSide][kSide];
      for (int j = 0; j < kSide; ++j) {
        V line[kSide];
#pragma GCC unroll 6
        for (int i = 0; i < kSide; ++i) {
          const std::int64_t row = row0 + i, column = column0 + j;
          const bool there = inside || (row >= 0 && row < s_.rows && column >= 0 && column < s_.columns);
          line[i] = there ? load<V>(x + (row * s_.columns + column) * s_.channels + c) : V{};
        }
        transform_patch(line);
#pragma GCC unroll 6
        for (int i = 0; i < kSide; ++i) d[i][j] = line[i];
      }
      for (int i = 0; i < kSide; ++i) {
        transform_patch(d[i]);
#pragma GCC unroll 6
        for (int j = 0; j < kSide; ++j) store(to + (i * kSide + j) * conv_.patch_stride() + c, d[i][j]);
      }
    }
  }

  /// For each element: patches [tiles, channels] times weights [channels, out_channels].
  REPRISE_INLINE void multiply() const {
    const auto* w = reinterpret_cast<const float*>(conv_.weights.at(job_.bindings));
    const std::int64_t width = conv_.panels() * kPanel, blocks = (tiles_ + kRows - 1) / kRows, panel_items = s_.channels * kPanel;
    for (std::int64_t e = 0; e < conv_.elements(); ++e) {
      for (std::int64_t p = 0; p < conv_.panels(); ++p, w += panel_items) {
        for (std::int64_t b = 0; b < blocks; ++b) {
          const std::int64_t first = tiles_ * b / blocks, rows = tiles_ * (b + 1) / blocks - first;
          block(rows, patches_ + e * conv_.patch_stride() + first * s_.channels, w, products_ + e * conv_.product_stride() + first * width + p * kPanel, width,
                b == 0, std::make_integer_sequence<int, kRows>());
        }
      }
    }
  }

  template <int... Less>
  REPRISE_INLINE void block(std::int64_t rows, const float* a, const float* w, float* y, std::int64_t y_stride, bool first,
                            std::integer_sequence<int, Less...>) const {
    (void)((rows == kRows - Less && (block<kRows - Less>(a, w, y, y_stride, first), true)) || ...);
  }
  /// The first block of a panel asks for the next panel while it computes.
  template <int R>
  REPRISE_INLINE void block(const float* a, const float* w, float* y, std::int64_t y_stride, bool first) const {
    const std::int64_t depth = s_.channels, ahead = first ? depth * kPanel : 0;
    for (std::int64_t c = 0; c < kPanel; c += kVectors * W) {
      V sum[R][kVectors] = {};
      const float* b = w + c;
      for (std::int64_t k = 0; k < depth; ++k, b += kPanel) {
        V column[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          column[v] = load<V>(b + v * W);
          __builtin_prefetch(b + ahead + v * W, 0, 2);
        }
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const float x = a[r * depth + k];
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) sum[r][v] += x * column[v];
        }
      }
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) store(y + r * y_stride + c + v * W, sum[r][v]);
      }
    }
  }

  template <Activation kind>
  REPRISE_INLINE void scatter(const Place& at, const float* from) const {
    const std::int64_t base = at.image * s_.out_rows * s_.out_columns;
    const std::int64_t rows = std::min<std::int64_t>(M, s_.out_rows - at.row), columns = std::min<std::int64_t>(M, s_.out_columns - at.column);
    const auto* bias = s_.has_bias ? reinterpret_cast<const float*>(s_.bias.at(job_.bindings)) : nullptr;
    const auto* addend = s_.has_addend ? reinterpret_cast<const float*>(s_.addend.at(job_.bindings)) : nullptr;
    auto* y = reinterpret_cast<float*>(s_.y.at(job_.bindings));
    for (std::int64_t c = 0; c < s_.out_channels; c += W) {
      V d[M][kSide];
      for (int j = 0; j < kSide; ++j) {
        V line[kSide];
#pragma GCC unroll 6
        for (int i = 0; i < kSide; ++i) line[i] = load<V>(from + (i * kSide + j) * conv_.product_stride() + c);
        transform_back(line);
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) d[i][j] = line[i];
      }
      const V start = bias != nullptr ? load<V>(bias + c) : V{};
      for (std::int64_t i = 0; i < rows; ++i) {
        transform_back(d[i]);
        std::int64_t to = (base + (at.row + i) * s_.out_columns + at.column) * s_.out_channels + c;
        for (std::int64_t j = 0; j < columns; ++j, to += s_.out_channels) {
          V v = d[i][j] + start;
          if (addend != nullptr) v += load<V>(addend + to);
          store(y + to, activate<kind>(v));
        }
      }
    }
  }

  const Job& job_;
  const Winograd& conv_;
  const ConvShape& s_;
  std::int64_t tiles_;
  float *patches_, *products_;
};

template <int W>
struct LoopOf2 {
  static void run(const Job& job) { Walk<W, 2>(job).run(); }
};
template <int W>
struct LoopOf4 {
  static void run(const Job& job) { Walk<W, 4>(job).run(); }
};

// G: a line of three weights as elements of a patch.
constexpr std::array<std::array<double, 3>, 4> kLineOf2{{{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}}};
constexpr std::array<std::array<double, 3>, 6> kLineOf4{
    {{0.25, 0, 0}, {-1 / 6., -1 / 6., -1 / 6.}, {-1 / 6., 1 / 6., -1 / 6.}, {1 / 24., 1 / 12., 1 / 6.}, {1 / 24., -1 / 12., 1 / 6.}, {0, 0, 1}}};

template <std::size_t Side>
void pack(const Winograd& conv, const std::array<std::array<double, 3>, Side>& g, const std::byte* from, std::byte* to) {
  const ConvShape& s = conv.shape;
  const auto* w = reinterpret_cast<const float*>(from);
  auto* packed = reinterpret_cast<float*>(to);
  const std::int64_t panel_items = s.channels * kPanel;
  parallel_for(s.threads, conv.panels(), 1, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t at = first * panel_items; at < last * panel_items; ++at) {
      const std::int64_t panel = at / panel_items, channel = at % panel_items / kPanel, out = panel * kPanel + at % kPanel;
      const float* taps = w + out * s.w.strides[0] + channel * s.w.strides[1];
      double lines[Side][3] = {};
      for (std::size_t i = 0; i < Side && out < s.out_channels; ++i) {
        for (std::int64_t j = 0; j < 3; ++j) {
          for (std::int64_t k = 0; k < 3; ++k)
            lines[i][j] += g[i][static_cast<std::size_t>(k)] * static_cast<double>(taps[k * s.w.strides[2] + j * s.w.strides[3]]);
        }
      }
      for (std::size_t e = 0; e < Side * Side; ++e) {
        double sum = 0;
        for (std::size_t k = 0; k < 3; ++k) sum += lines[e / Side][k] * g[e % Side][k];
        packed[static_cast<std::int64_t>(e) * conv.panels() * panel_items + at] = static_cast<float>(sum);
      }
    }
  });
}

bool takes(const ConvShape& s) {
  for (int d = 0; d < 2; ++d) {
    if (s.kernel[d] != 3 || s.stride[d] != 1 || s.dilation[d] != 1) return false;
  }
  return s.x.rank == 4 && s.x.dtype == DType::f32 && s.groups == 1 && s.channels % 16 == 0 && s.out_channels % 16 == 0 && has_vector_form(s.activation);
}

/// Tiles whose patches and products stay in the second-level cache, in as many jobs for each thread.
void plan_jobs(Winograd& conv) {
  constexpr std::int64_t kJobBytes = 1 << 20;
  const std::int64_t tile_bytes = conv.elements() * (conv.shape.channels + conv.panels() * kPanel) * 4, most = std::max(kRows, kJobBytes / tile_bytes);
  const std::int64_t tiles = conv.tiles(), threads = conv.shape.threads, jobs = ((tiles + most - 1) / most + threads - 1) / threads * threads;
  conv.job_tiles = (tiles + jobs - 1) / jobs;
}

/// Transformed weights are larger: they must be used often enough to be worth the reading.
bool is_likely_better(const Winograd& conv) { return conv.tiles() >= 40; }

int likely_tile(const ConvShape& s) { return s.channels * s.out_channels > 128 * 128 ? 2 : 4; }

Winograd plan(const ConvShape& s, int tile) {
  Winograd conv{.shape = s, .m = tile, .weights = {}};
  conv.down = (s.out_rows + tile - 1) / tile;
  conv.across = (s.out_columns + tile - 1) / tile;
  plan_jobs(conv);
  return conv;
}

StepPtr make_step(Winograd conv, const Contraction& contraction, WeightCache& cache) {
  const ConvShape& s = conv.shape;
  conv.weights = cache.pack(
      contraction.spec, s.w, {kWinogradForm, conv.m, s.channels, s.out_channels, s.w.strides[0], s.w.strides[1], s.w.strides[2], s.w.strides[3]},
      conv.weight_bytes(), [conv](const std::byte* from, std::byte* to) { conv.m == 2 ? pack(conv, kLineOf2, from, to) : pack(conv, kLineOf4, from, to); });
  const auto kernel = conv.m == 2 ? of_best_width<LoopOf2>() : of_best_width<LoopOf4>();
  const std::size_t worker_bytes = conv.scratch_bytes();
  return reference::make_step(worker_bytes * static_cast<std::size_t>(s.threads), [=](void* const* bindings, std::byte* scratch) {
    parallel_jobs(conv.shape.threads, (conv.tiles() + conv.job_tiles - 1) / conv.job_tiles, [&](std::int64_t job, int worker) {
      kernel({.conv = &conv,
              .bindings = bindings,
              .begin = job * conv.job_tiles,
              .end = std::min((job + 1) * conv.job_tiles, conv.tiles()),
              .scratch = reinterpret_cast<float*>(scratch + static_cast<std::size_t>(worker) * worker_bytes)});
    });
  });
}

}  // namespace

StepPtr make_winograd(const Contraction& contraction, WeightCache& cache) {
  const auto shape = describe_conv(contraction);
  if (!shape || !takes(*shape)) return nullptr;
  const Winograd conv = plan(*shape, likely_tile(*shape));
  return is_likely_better(conv) ? make_step(conv, contraction, cache) : nullptr;
}

StepPtr make_winograd(const Contraction& contraction, WeightCache& cache, int tile) {
  constexpr std::int64_t kFewest = 2 * kRows;
  const auto shape = describe_conv(contraction);
  if (!shape || !takes(*shape)) return nullptr;
  const Winograd conv = plan(*shape, tile);
  const bool same = tile == likely_tile(*shape) && is_likely_better(conv);
  return same || conv.tiles() < kFewest ? nullptr : make_step(conv, contraction, cache);
}

}  // namespace reprise::kernels::cpu
