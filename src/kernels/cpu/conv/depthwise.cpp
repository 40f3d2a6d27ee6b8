// Depthwise convolution: each output is a sum of taps times pixels where they lie, several pixels or blocks of channels as wide as a vector at a time.
#include <algorithm>
#include <array>
#include <type_traits>

#include "kernels/cpu/activate.h"
#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/conv/depthwise.h"
#include "kernels/parallel.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/step.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kWideForm = 1, kDotForm = 8;  // WeightCache

template <int W, class E>
class Walk {
 public:
  REPRISE_INLINE explicit Walk(const DepthwiseJob& job)
      : job_(job), s_(job.conv->shape), image_(reinterpret_cast<const E*>(s_.x.at(job.bindings)) + job.image * s_.rows * s_.columns * s_.channels) {
    weights_ = reinterpret_cast<const float*>(job.conv->weights.at(job.bindings));
    bias_ = s_.has_bias ? reinterpret_cast<const E*>(s_.bias.at(job.bindings)) : nullptr;
    const std::int64_t reach = (s_.kernel[1] - 1) * s_.dilation[1], room = s_.columns - 1 - reach + s_.padding[1];
    inside_ = std::min((s_.padding[1] + s_.stride[1] - 1) / s_.stride[1], s_.out_columns);
    outside_ = std::clamp(room < 0 ? 0 : room / s_.stride[1] + 1, inside_, s_.out_columns);
  }

  /// Of a small image some blocks after the other: their taps stay in the nearest cache. The memory of others is walked through once.
  REPRISE_INLINE void run() {
    constexpr std::int64_t kSmall = 256;  // pixels
    const std::int64_t together = s_.rows * s_.columns <= kSmall ? kBlocks : job_.last - job_.first;
    for (first_ = job_.first; first_ < job_.last; first_ = last_) {
      last_ = std::min(first_ + together, job_.last);
      whole_ = std::min(last_, s_.channels / W);
      for (std::int64_t row = job_.begin; row < job_.end; ++row) run_row(row);
    }
  }

 private:
  static constexpr int kBlocks = 6;  // of a pixel at a time

  /// A line of the image under a row of taps.
  struct Line {
    const E* pixels;
    const float* taps;
  };
  /// Taps of a line that are inside.
  struct Taps {
    std::int64_t begin, end;
  };

  REPRISE_INLINE void run_row(std::int64_t row) {
    find_lines(row);
    next_ = {s_, row, first_ == 0 && last_ == job_.conv->blocks()};
    std::int64_t column = 0;
    for (; column < inside_; ++column) border(column);
    for (; column + 7 <= outside_; column += 7) interior<7, 1>(column);
    for (; column + 5 <= outside_; column += 5) interior<5, 2>(column);
    for (; column + 3 <= outside_; column += 3) interior<3, 2>(column);
    for (; column < s_.out_columns; ++column) border(column);
  }

  REPRISE_INLINE void find_lines(std::int64_t row) {
    lines_ = 0;
    at_ = (job_.image * s_.out_rows + row) * s_.out_columns * s_.channels;
    for (std::int64_t k = 0; k < s_.kernel[0]; ++k) {
      const std::int64_t i = row * s_.stride[0] - s_.padding[0] + k * s_.dilation[0];
      if (i >= 0 && i < s_.rows) line_[lines_++] = {image_ + (i * s_.columns - s_.padding[1]) * s_.channels, weights_ + k * s_.kernel[1] * W};
    }
  }

  REPRISE_INLINE std::int64_t lanes_of(std::int64_t block) const { return std::min<std::int64_t>(W, s_.channels - block * W); }

  /// What the same columns of the next row read that this one does not.
  REPRISE_INLINE void fetch(std::int64_t column, std::int64_t count) const {
    const std::int64_t pixel = s_.stride[1] * s_.channels;
    for (std::int64_t d = 0; d < next_.count; ++d) {
      const auto* from = reinterpret_cast<const std::byte*>(image_ + (next_.first + d) * s_.columns * s_.channels + column * pixel);
      for (std::int64_t at = 0; at < count * pixel * std::int64_t{sizeof(E)}; at += 64) __builtin_prefetch(from + at, 0, 2);
    }
  }

  /// P pixels, B blocks at a time.
  template <int P, int B>
  REPRISE_INLINE void interior(std::int64_t column) const {
    const Taps taps{0, s_.kernel[1]};
    fetch(column, P);
    std::int64_t block = first_;
    for (; block + B <= whole_; block += B) sum<W, P, B>(block, column, taps);
    for (; B > 1 && block < whole_; ++block) sum<W, P, 1>(block, column, taps);
    if (whole_ == last_) return;
    if (lanes_of(whole_) == W / 2) return sum<W / 2, P, 1>(whole_, column, taps);
    for (int p = 0; p < P; ++p) sum_first(column + p, taps);
  }

  /// A pixel whose window may reach over the border.
  REPRISE_INLINE void border(std::int64_t column) const {
    const std::int64_t first = column * s_.stride[1] - s_.padding[1], dilation = s_.dilation[1];
    const Taps taps{first < 0 ? (dilation - 1 - first) / dilation : 0,
                    std::clamp<std::int64_t>((s_.columns - first + dilation - 1) / dilation, 0, s_.kernel[1])};
    std::int64_t block = first_;
    for (; block + kBlocks <= whole_; block += kBlocks) sum<W, 1, kBlocks>(block, column, taps);
    for (; block < whole_; ++block) sum<W, 1, 1>(block, column, taps);
    if (whole_ == last_) return;
    if (lanes_of(whole_) == W / 2) return sum<W / 2, 1, 1>(whole_, column, taps);
    sum_first(column, taps);
  }

  /// P pixels of B blocks of L channels.
  template <int L, int P, int B>
  REPRISE_INLINE void sum(std::int64_t block, std::int64_t column, const Taps& taps) const {
    using V = Floats<L>;
    V result[P * B];
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) {
      const V bias = bias_ != nullptr ? load<V>(bias_ + (block + b) * W) : V{};
      for (int p = 0; p < P; ++p) result[b * P + p] = bias;
    }
    if (!add_of_form<L, P, B>(block, column, result)) add<L, P, B>(block, column, taps, result);
    float sums[P * B * L];
#pragma GCC unroll 8
    for (int i = 0; i < P * B; ++i) store(sums + i * L, result[i]);
    with_activation(s_.activation, [&]<Activation kind>() REPRISE_INLINE_LAMBDA { finish<kind, L, P, B>(sums, at_ + column * s_.channels + block * W); });
  }

  template <int L, int P, int B>
  REPRISE_INLINE void add(std::int64_t block, std::int64_t column, const Taps& taps, Floats<L> (&result)[P * B]) const {
    using V = Floats<L>;
    const std::int64_t pixel = s_.stride[1] * s_.channels, step = s_.dilation[1] * s_.channels, block_taps = s_.taps() * W;
    for (int k = 0; k < lines_; ++k) {
      const E* from = line_[k].pixels + column * pixel + block * W + taps.begin * step;
      const float* w = line_[k].taps + block * block_taps + taps.begin * W;
      for (std::int64_t j = taps.begin; j < taps.end; ++j, from += step, w += W) {
#pragma GCC unroll 8
        for (int b = 0; b < B; ++b) {
          const V tap = load<V>(w + b * block_taps);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) result[b * P + p] += load<V>(from + p * pixel + b * W) * tap;
        }
      }
    }
  }

  /// By the next for windows where that is faster. False: it has no code for them.
  template <int L, int P, int B>
  REPRISE_INLINE bool add_of_form(std::int64_t block, std::int64_t column, Floats<L> (&result)[P * B]) const {
    if constexpr (P == 7 || (P > 1 && std::is_same_v<E, BFloat16>)) {
      const std::int64_t width = s_.kernel[1], stride = s_.stride[1];
      if (s_.dilation[1] != 1) return false;
      if (width == 5 && stride == 1) return add_shared<L, P, B, 5, 1>(block, column, result), true;
      if constexpr (std::is_same_v<E, BFloat16>) {
        if (width == 3 && stride == 1) return add_shared<L, P, B, 3, 1>(block, column, result), true;
        if (width == 3 && stride == 2) return add_shared<L, P, B, 3, 2>(block, column, result), true;
        if (width == 5 && stride == 2) return add_shared<L, P, B, 5, 2>(block, column, result), true;
      }
    }
    return false;
  }

  /// The same for windows Width wide and Stride apart: what they share is loaded, and widened, once.
  template <int L, int P, int B, int Width, int Stride>
  REPRISE_INLINE void add_shared(std::int64_t block, std::int64_t column, Floats<L> (&result)[P * B]) const {
    using V = Floats<L>;
    constexpr int kPixels = (P - 1) * Stride + Width;
    const std::int64_t block_taps = s_.taps() * W;
    for (int k = 0; k < lines_; ++k) {
      const E* from = line_[k].pixels + column * Stride * s_.channels + block * W;
      const float* w = line_[k].taps + block * block_taps;
#pragma GCC unroll 8
      for (int b = 0; b < B; ++b) {
        V pixels[kPixels];
#pragma GCC unroll 32
        for (int i = 0; i < kPixels; ++i) pixels[i] = load<V>(from + i * s_.channels + b * W);
#pragma GCC unroll 8
        for (int j = 0; j < Width; ++j) {
          const V tap = load<V>(w + b * block_taps + std::int64_t{j} * W);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) result[b * P + p] += pixels[p * Stride + j] * tap;
        }
      }
    }
  }

  template <Activation kind, int L, int P, int B>
  REPRISE_INLINE void finish(const float* sums, std::int64_t at) const {
    using V = Floats<L>;
    E* y = reinterpret_cast<E*>(s_.y.at(job_.bindings)) + at;
    const E* addend = s_.has_addend ? reinterpret_cast<const E*>(s_.addend.at(job_.bindings)) + at : nullptr;
    for (int b = 0; b < B; ++b) {
      for (int p = 0; p < P; ++p) {
        V v = load<V>(sums + std::int64_t{b * P + p} * L);
        if (addend != nullptr) v += load<V>(addend + p * s_.channels + b * W);
        store(y + p * s_.channels + b * W, activate<kind>(v));
      }
    }
  }

  /// Of the last block, which has other numbers of channels.
  REPRISE_INLINE void sum_first(std::int64_t column, const Taps& taps) const {
    using V = Floats<W>;
    const std::int64_t block = s_.channels / W, lanes = lanes_of(block), at = at_ + column * s_.channels + block * W;
    V result = bias_ != nullptr ? load_first<V>(bias_ + block * W, lanes) : V{};
    for (int k = 0; k < lines_; ++k) {
      for (std::int64_t j = taps.begin; j < taps.end; ++j) {
        const E* from = line_[k].pixels + (column * s_.stride[1] + j * s_.dilation[1]) * s_.channels + block * W;
        result += load_first<V>(from, lanes) * load<V>(line_[k].taps + (block * s_.taps() + j) * W);
      }
    }
    if (s_.has_addend) result += load_first<V>(reinterpret_cast<const E*>(s_.addend.at(job_.bindings)) + at, lanes);
    with_activation(s_.activation, [&]<Activation kind>() REPRISE_INLINE_LAMBDA {
      store_first(reinterpret_cast<E*>(s_.y.at(job_.bindings)) + at, activate<kind>(result), lanes);
    });
  }

  const DepthwiseJob& job_;
  const ConvShape& s_;
  const E *image_, *bias_ = nullptr;
  const float* weights_ = nullptr;
  std::int64_t inside_ = 0, outside_ = 0;          // columns whose windows do not reach over the border
  std::int64_t first_ = 0, last_ = 0, whole_ = 0;  // blocks of this walk, whole ones before `whole_`
  std::int64_t at_ = 0;                            // of the row in the output
  int lines_ = 0;
  NextLines next_;
  std::array<Line, kMostTaps> line_;
};

template <int W>
struct F32Loop {
  static void run(const DepthwiseJob& job) { Walk<W, float>(job).run(); }
};
template <int W>
struct Bf16Loop {
  static void run(const DepthwiseJob& job) { Walk<W, BFloat16>(job).run(); }
};

std::int64_t vector_width() { return active_isa() >= Isa::avx512 ? 16 : active_isa() == Isa::avx2 ? 8 : 4; }

/// f32, [block of channels][tap][channel].
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

DepthwiseKernel of_vectors(const ConvShape& s) {
  const bool narrow = s.x.dtype == DType::bf16;
  const std::int64_t width = vector_width();
  return {.run = narrow ? of_best_width<Bf16Loop>() : of_best_width<F32Loop>(),
          .width = width,
          .bytes = s.taps() * width * 4,
          .pack = narrow ? &pack<BFloat16> : &pack<float>};
}

bool takes(const ConvShape& s) {
  return s.groups == s.channels && s.channels == s.out_channels && s.w.sizes[1] == 1 && s.kernel[0] <= kMostTaps && has_vector_form(s.activation);
}

/// How a step is shared out: images, then bands of rows, or groups of blocks where there are few rows.
struct Split {
  std::int64_t groups = 1, bands = 1;
  int threads = 1;
};

Split split(const Depthwise& conv) {
  constexpr std::int64_t kSmall = 1 << 17, kManyRows = 4;
  const ConvShape& s = conv.shape;
  Split result{.threads = s.pixels() * s.channels * s.taps() < kSmall ? 1 : s.threads};
  if (s.batch % result.threads == 0) return result;
  (s.out_rows >= kManyRows * result.threads ? result.bands : result.groups) = result.threads;
  result.groups = std::min(result.groups, conv.blocks());
  return result;
}

}  // namespace

StepPtr make_depthwise(const Contraction& contraction, WeightCache& cache) {
  const auto shape = describe_conv(contraction);
  if (!shape || !takes(*shape)) return nullptr;
  Depthwise conv{.shape = *shape, .weights = {}};
  const ConvShape& s = *shape;
  DepthwiseKernel kernel = depthwise_dots(s);
  const bool dots = kernel.run != nullptr;
  if (!dots) kernel = of_vectors(s);
  conv.width = kernel.width;
  conv.weights = cache.pack(
      contraction.spec, s.w, {dots ? kDotForm : kWideForm, conv.width, s.w.strides[0], s.tap_stride(0), s.tap_stride(1), s.channels, s.kernel[0], s.kernel[1]},
      static_cast<std::size_t>(conv.blocks() * kernel.bytes), [s, kernel](const std::byte* from, std::byte* to) { kernel.pack(s, kernel.width, from, to); });
  const Split parts = split(conv);
  return reference::make_step([=](void* const* bindings) {
    parallel_jobs(parts.threads, conv.shape.batch * parts.groups * parts.bands, [&](std::int64_t job, int) {
      const std::int64_t group = job / parts.bands % parts.groups, band = job % parts.bands, rows = conv.shape.out_rows;
      kernel.run({.conv = &conv,
                  .bindings = bindings,
                  .image = job / parts.bands / parts.groups,
                  .first = conv.blocks() * group / parts.groups,
                  .last = conv.blocks() * (group + 1) / parts.groups,
                  .begin = rows * band / parts.bands,
                  .end = rows * (band + 1) / parts.bands});
    });
  });
}

}  // namespace reprise::kernels::cpu
