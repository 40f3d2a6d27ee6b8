// Depthwise convolution: walks down the image with rings of input rows in f32 that are padded on both sides, one for each block of channels as wide as a
// vector.
#include <algorithm>
#include <array>

#include "kernels/cpu/conv/activate.h"
#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kMostTaps = 32;      // along a dimension
constexpr std::int64_t kDepthwiseForm = 1;  // WeightCache

struct Depthwise {
  ConvShape shape;
  PackedWeight weights;         // f32, [block of channels][tap][channel]
  std::int64_t width = 4;       // channels of a block
  std::int64_t job_blocks = 1;  // at most

  [[nodiscard]] std::int64_t blocks() const { return (shape.channels + width - 1) / width; }
  [[nodiscard]] std::int64_t ring() const { return (shape.kernel[0] - 1) * shape.dilation[0] + 1; }
  [[nodiscard]] std::int64_t positions() const { return (shape.out_columns - 1) * shape.stride[1] + (shape.kernel[1] - 1) * shape.dilation[1] + 1; }
  /// Floats of a block's ring.
  [[nodiscard]] std::int64_t ring_items() const { return ring() * positions() * width; }
  /// Floats that a worker needs: the rings, a row of zeros, and a row of results.
  [[nodiscard]] std::int64_t scratch_items() const { return job_blocks * ring_items() + (positions() + shape.out_columns) * width; }
};

/// Rows [begin, end) of an image's output, blocks of channels [first, last).
struct Job {
  const Depthwise* conv = nullptr;
  void* const* bindings = nullptr;
  std::int64_t image = 0, first = 0, last = 0, begin = 0, end = 0;
  float* scratch = nullptr;
};

template <int W, class E>
class Walk {
  using V = Floats<W>;

 public:
  REPRISE_INLINE explicit Walk(const Job& job) : job_(job), s_(job.conv->shape), positions_(job.conv->positions()), ring_(job.conv->ring()) {
    x_ = reinterpret_cast<const E*>(s_.x.at(job.bindings)) + job.image * s_.rows * s_.columns * s_.channels;
    weights_ = reinterpret_cast<const float*>(job.conv->weights.at(job.bindings));
    zeros_ = job.scratch + job.conv->job_blocks * job.conv->ring_items();
    sums_ = zeros_ + positions_ * W;
  }

  REPRISE_INLINE void run() {
    std::fill(job_.scratch, sums_, 0.0F);
    std::int64_t next = 0;  // input row to widen
    for (std::int64_t row = job_.begin; row < job_.end; ++row) {
      const std::int64_t first = row * s_.stride[0] - s_.padding[0], last = std::min(first + ring_, s_.rows);
      for (next = std::max(next, first); next < last; ++next) widen(next);
      for (std::int64_t block = job_.first; block < job_.last; ++block) {
        std::array<const float*, kMostTaps> lines;
        for (std::int64_t k = 0; k < s_.kernel[0]; ++k) {
          const std::int64_t i = first + k * s_.dilation[0];
          lines[static_cast<std::size_t>(k)] = i >= 0 && i < s_.rows ? slot(block, i) : zeros_;
        }
        if (s_.stride[1] == 1)
          multiply<1>(block, lines.data());
        else if (s_.stride[1] == 2)
          multiply<2>(block, lines.data());
        else
          multiply<0>(block, lines.data());
        with_activation(s_.activation, [&]<Activation kind> [[gnu::always_inline]] () { finish<kind>(block, row); });
      }
    }
  }

 private:
  REPRISE_INLINE std::int64_t lanes_of(std::int64_t block) const { return std::min<std::int64_t>(W, s_.channels - block * W); }
  REPRISE_INLINE float* slot(std::int64_t block, std::int64_t row) const {
    return job_.scratch + ((block - job_.first) * ring_ + row % ring_) * positions_ * W;
  }

  REPRISE_INLINE void widen(std::int64_t row) const {
    float* to = slot(job_.first, row) + s_.padding[1] * W;
    const E* from = x_ + row * s_.columns * s_.channels;
    const std::int64_t count = std::min(s_.columns, positions_ - s_.padding[1]), whole = std::min(job_.last, s_.channels / W), step = ring_ * positions_ * W;
    for (std::int64_t i = 0; i < count; ++i, to += W, from += s_.channels) {
      float* lane = to;
      for (std::int64_t block = job_.first; block < whole; ++block, lane += step) store(lane, load<V>(from + block * W));
      if (whole < job_.last) store(lane, load_first<V>(from + whole * W, s_.channels - whole * W));
    }
  }

  template <int Stride>
  REPRISE_INLINE void multiply(std::int64_t block, const float* const* lines) const {
    const float* w = weights_ + block * s_.taps() * W;
    const V bias = s_.has_bias ? load_first<V>(reinterpret_cast<const E*>(s_.bias.at(job_.bindings)) + block * W, lanes_of(block)) : V{};
    std::int64_t column = 0;  // sizes of images like to be multiples of 7
    if constexpr (W == 16) {
      for (; column + 14 <= s_.out_columns; column += 14) sum<14, Stride>(lines, w, bias, column);
    }
    for (; column + 7 <= s_.out_columns; column += 7) sum<7, Stride>(lines, w, bias, column);
    for (; column + 3 <= s_.out_columns; column += 3) sum<3, Stride>(lines, w, bias, column);
    for (; column < s_.out_columns; ++column) sum<1, Stride>(lines, w, bias, column);
  }

  /// P pixels, as many as registers hold. Stride 0: not known when this is compiled.
  template <int P, int Stride>
  REPRISE_INLINE void sum(const float* const* lines, const float* w, const V& bias, std::int64_t column) const {
    const std::int64_t stride = Stride > 0 ? Stride : s_.stride[1], dilation = s_.dilation[1];
    V result[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) result[p] = bias;
    for (std::int64_t k = 0; k < s_.kernel[0]; ++k) {
      const float* from = lines[k] + column * stride * W;
      for (std::int64_t j = 0; j < s_.kernel[1]; ++j, w += W, from += dilation * W) {
        const V tap = load<V>(w);
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) result[p] += load<V>(from + p * stride * W) * tap;
      }
    }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) store(sums_ + (column + p) * W, result[p]);
  }

  template <Activation kind>
  REPRISE_INLINE void finish(std::int64_t block, std::int64_t row) const {
    const std::int64_t at = (job_.image * s_.out_rows + row) * s_.out_columns * s_.channels + block * W, lanes = lanes_of(block);
    E* y = reinterpret_cast<E*>(s_.y.at(job_.bindings)) + at;
    const E* addend = s_.has_addend ? reinterpret_cast<const E*>(s_.addend.at(job_.bindings)) + at : nullptr;
    if (addend == nullptr && lanes == W) {
      for (std::int64_t i = 0; i < s_.out_columns; ++i) store(y + i * s_.channels, activate<kind>(load<V>(sums_ + i * W)));
      return;
    }
    for (std::int64_t i = 0; i < s_.out_columns; ++i) {
      V v = load<V>(sums_ + i * W);
      if (addend != nullptr) v += load_first<V>(addend + i * s_.channels, lanes);
      store_first(y + i * s_.channels, activate<kind>(v), lanes);
    }
  }

  const Job& job_;
  const ConvShape& s_;
  std::int64_t positions_, ring_;
  const E* x_ = nullptr;
  const float* weights_ = nullptr;
  float *zeros_ = nullptr, *sums_ = nullptr;
};

template <int W>
struct F32Loop {
  static void run(const Job& job) { Walk<W, float>(job).run(); }
};
template <int W>
struct Bf16Loop {
  static void run(const Job& job) { Walk<W, BFloat16>(job).run(); }
};

template <class E>
void pack(const ConvShape& s, std::int64_t width, const std::byte* from, std::byte* to) {
  const auto* w = reinterpret_cast<const E*>(from);
  auto* packed = reinterpret_cast<float*>(to);
  for (std::int64_t c = 0; c < (s.channels + width - 1) / width * width; ++c) {
    for (std::int64_t t = 0; t < s.taps(); ++t) {
      const std::int64_t at = c * s.w.strides[0] + t / s.kernel[1] * s.tap_stride(0) + t % s.kernel[1] * s.tap_stride(1);
      packed[(c / width * s.taps() + t) * width + c % width] = c < s.channels ? tensor::convert<float>(w[at]) : 0.0F;
    }
  }
}

bool takes(const ConvShape& s) {
  return s.groups == s.channels && s.channels == s.out_channels && s.w.sizes[1] == 1 && s.kernel[0] <= kMostTaps && has_vector_form(s.activation);
}

/// How a step is shared out: images, then groups of blocks, then bands of rows.
struct Split {
  std::int64_t groups = 1, bands = 1;
  int threads = 1;
};

/// Groups whose rings stay in the second-level cache; bands where that does not give all threads the same.
Split split(Depthwise& conv) {
  constexpr std::int64_t kRingBytes = 1 << 15, kSmall = 1 << 17;
  const ConvShape& s = conv.shape;
  Split result{.threads = s.pixels() * s.channels * s.taps() < kSmall ? 1 : s.threads};
  const std::int64_t most = std::max<std::int64_t>(1, kRingBytes / (conv.ring_items() * 4)), blocks = conv.blocks();
  result.groups = (blocks + most - 1) / most;
  if (s.batch * result.groups % result.threads != 0 && blocks >= result.threads)
    result.groups = std::min(blocks, (result.groups + result.threads - 1) / result.threads * result.threads);
  if (s.batch * result.groups % result.threads != 0 || blocks % result.groups * 4 > blocks) result.bands = std::min<std::int64_t>(result.threads, s.out_rows);
  conv.job_blocks = (blocks + result.groups - 1) / result.groups;
  return result;
}

}  // namespace

StepPtr make_depthwise(const Contraction& contraction, WeightCache& cache) {
  constexpr std::int64_t kMostScratch = 1 << 20;  // bytes of a worker
  const auto shape = describe_conv(contraction);
  if (!shape || !takes(*shape)) return nullptr;
  const Isa isa = active_isa();
  Depthwise conv{.shape = *shape, .weights = {}, .width = isa >= Isa::avx512 ? 16 : isa == Isa::avx2 ? 8 : 4};
  const Split parts = split(conv);
  const std::int64_t bytes = (conv.scratch_items() * 4 + 63) / 64 * 64;
  if (bytes > kMostScratch) return nullptr;
  const ConvShape& s = *shape;
  const bool narrow = s.x.dtype == DType::bf16;
  conv.weights = cache.pack(
      contraction.spec, s.w, {kDepthwiseForm, conv.width, s.w.strides[0], s.tap_stride(0), s.tap_stride(1), s.channels, s.kernel[0], s.kernel[1]},
      static_cast<std::size_t>(conv.blocks() * s.taps() * conv.width * 4),
      [s, width = conv.width, narrow](const std::byte* from, std::byte* to) { narrow ? pack<BFloat16>(s, width, from, to) : pack<float>(s, width, from, to); });
  const auto kernel = narrow ? of_best_width<Bf16Loop>() : of_best_width<F32Loop>();
  return reference::make_step(static_cast<std::size_t>(bytes * parts.threads), [=](void* const* bindings, std::byte* scratch) {
    parallel_jobs(parts.threads, conv.shape.batch * parts.groups * parts.bands, [&](std::int64_t job, int worker) {
      const std::int64_t group = job / parts.bands % parts.groups, band = job % parts.bands, rows = conv.shape.out_rows;
      kernel({.conv = &conv,
              .bindings = bindings,
              .image = job / parts.bands / parts.groups,
              .first = conv.blocks() * group / parts.groups,
              .last = conv.blocks() * (group + 1) / parts.groups,
              .begin = rows * band / parts.bands,
              .end = rows * (band + 1) / parts.bands,
              .scratch = reinterpret_cast<float*>(scratch + worker * bytes)});
    });
  });
}

}  // namespace reprise::kernels::cpu
