// Depthwise convolution of bf16 by dot products of pairs (AVX512_BF16): two lines of the image side by side times two rows of taps. What windows next to each
// other share is read once.
#include "kernels/cpu/activate.h"
#include "kernels/cpu/conv/depthwise.h"

#if defined(__x86_64__)

#include <array>
#include <cstring>

#include "kernels/cpu/matrix_units.h"

namespace reprise::kernels::cpu {
namespace {

constexpr std::int64_t kBlock = 32, kHalf = 16;  // channels; the last block may have a half's only

/// Of a block's packed weights.
std::int64_t block_bytes(const ConvShape& s) { return (s.kernel[0] + 1) / 2 * s.kernel[1] * kBlock * 4; }

/// Sums of a block of channels: the first and the last four of each eight are a vector each. `lanes`: those that there are.
struct WholeBlock {
  static constexpr int kVectors = 2;
  using Row = __m512i;

  REPRISE_BF16_INLINE static Row load(__mmask32 lanes, const std::uint16_t* from) { return _mm512_maskz_loadu_epi16(lanes, from); }
  /// Of each channel the elements of two rows.
  REPRISE_BF16_INLINE static void interleave(const Row& a, const Row& b, __m512i (&pairs)[2]) {
    pairs[0] = _mm512_unpacklo_epi16(a, b);
    pairs[1] = _mm512_unpackhi_epi16(a, b);
  }
  REPRISE_BF16_INLINE static void store(std::uint16_t* to, __mmask32 lanes, const Floats<16> (&sums)[2]) {
    const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(sums[1], sums[0]));
    _mm512_mask_storeu_epi16(to, lanes, _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), both));
  }
  /// Channel of the block whose sum is in a lane of the vectors.
  static std::int64_t channel(std::int64_t lane) { return lane % 16 / 4 * 8 + lane / 16 * 4 + lane % 4; }
};
/// Of half a block: one vector.
struct HalfBlock {
  static constexpr int kVectors = 1;
  using Row = __m256i;

  REPRISE_BF16_INLINE static Row load(__mmask32 lanes, const std::uint16_t* from) { return _mm256_maskz_loadu_epi16(static_cast<__mmask16>(lanes), from); }
  REPRISE_BF16_INLINE static void interleave(const Row& a, const Row& b, __m512i (&pairs)[1]) {
    pairs[0] = _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
  }
  REPRISE_BF16_INLINE static void store(std::uint16_t* to, __mmask32 lanes, const Floats<16> (&sums)[1]) {
    _mm256_mask_storeu_epi16(to, static_cast<__mmask16>(lanes), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sums[0])));
  }
  static std::int64_t channel(std::int64_t lane) { return lane; }
};

/// Two lines of the image under two rows of taps; a line outside of it is not read.
struct Pair {
  const std::uint16_t *even, *odd;
  __mmask32 has_even, has_odd;  // all or none
  std::int64_t taps;            // bytes before them, of half a block
};

template <int Width, int Stride>
class Dots {
 public:
  REPRISE_BF16 static void run(const DepthwiseJob& job) { Dots(job).run_all(); }

 private:
  static constexpr int kPixels = Width > 5 ? 5 : 7, kReach = (kPixels - 1) * Stride + Width;

  explicit Dots(const DepthwiseJob& job)
      : job_(job),
        s_(job.conv->shape),
        image_(reinterpret_cast<const std::uint16_t*>(s_.x.at(job.bindings)) + job.image * s_.rows * s_.columns * s_.channels),
        bias_(s_.has_bias ? reinterpret_cast<const std::uint16_t*>(s_.bias.at(job.bindings)) : nullptr),
        addend_(s_.has_addend ? reinterpret_cast<const std::uint16_t*>(s_.addend.at(job.bindings)) : nullptr),
        y_(reinterpret_cast<std::uint16_t*>(s_.y.at(job.bindings))),
        weights_(job.conv->weights.at(job.bindings)) {
    with_activation(s_.activation, [this]<Activation kind>() {
      finish_ = &Dots::finish<WholeBlock, kind>;
      finish_half_ = &Dots::finish<HalfBlock, kind>;
    });
  }

  /// Of a small image some blocks after the other: their taps stay in the nearest cache. The memory of others is walked through once.
  REPRISE_BF16 void run_all() {
    constexpr std::int64_t kSmall = 256, kBlocks = 2;
    const std::int64_t together = s_.rows * s_.columns <= kSmall ? kBlocks : job_.last - job_.first;
    for (first_ = job_.first; first_ < job_.last; first_ = last_) {
      last_ = std::min(first_ + together, job_.last);
      for (std::int64_t row = job_.begin; row < job_.end; ++row) run_row(row);
    }
  }

  REPRISE_BF16 void run_row(std::int64_t row) {
    find_pairs(row);
    const NextLines next(s_, row, first_ == 0 && last_ == job_.conv->blocks());
    const std::int64_t taps_bytes = block_bytes(s_);
    const std::int64_t pixel = Stride * s_.channels, line = s_.columns * s_.channels;
    for (std::int64_t column = 0; column < s_.out_columns; column += kPixels) {
      for (std::int64_t d = 0; d < next.count; ++d) {
        const std::uint16_t* from = image_ + (next.first + d) * line + column * pixel;
        for (std::int64_t at = 0; at < kPixels * pixel; at += kBlock) _mm_prefetch(reinterpret_cast<const char*>(from + at), _MM_HINT_T1);
      }
      const std::int64_t at = ((job_.image * s_.out_rows + row) * s_.out_columns + column) * s_.channels;
      const std::int64_t first = column * Stride - s_.padding[1];
      const bool is_inside = first >= 0 && first + kReach <= s_.columns;
      for (std::int64_t block = first_; block < last_; ++block) {
        const std::int64_t channel = block * kBlock, left = s_.channels - channel;
        const bool half = left <= kHalf;
        const Place place{column, channel, at + channel, block * taps_bytes, left >= kBlock ? ~0U : (1U << left) - 1};
        if (is_inside)
          half ? sum<HalfBlock, true>(place) : sum<WholeBlock, true>(place);
        else
          half ? sum<HalfBlock, false>(place) : sum<WholeBlock, false>(place);
      }
    }
  }

  void find_pairs(std::int64_t row) {
    count_ = 0;
    for (std::int64_t k = 0; k < s_.kernel[0]; k += 2) {
      const std::int64_t even = row * s_.stride[0] - s_.padding[0] + k * s_.dilation[0], odd = even + s_.dilation[0];
      const bool has_even = even >= 0 && even < s_.rows, has_odd = k + 1 < s_.kernel[0] && odd >= 0 && odd < s_.rows;
      if (!has_even && !has_odd) continue;
      const std::uint16_t *at_even = line_at(has_even ? even : odd), *at_odd = line_at(has_odd ? odd : even);
      pairs_[count_++] = {at_even, at_odd, has_even ? ~0U : 0U, has_odd ? ~0U : 0U, k / 2 * Width * kHalf * 4};
    }
  }
  [[nodiscard]] const std::uint16_t* line_at(std::int64_t row) const { return image_ + row * s_.columns * s_.channels; }

  /// A block of channels of kPixels outputs from `column` on, as many as there are.
  struct Place {
    std::int64_t column, channel, at, taps;  // in the output; bytes
    __mmask32 lanes;
  };

  template <class Form, bool is_inside>
  REPRISE_BF16 void sum(const Place& place) const {
    __m512 sums[kPixels][Form::kVectors];
    bias<Form>(place, sums);
    for (int k = 0; k < count_; ++k) add<Form, is_inside>(pairs_[static_cast<std::size_t>(k)], place, sums);
    float stored[kPixels * Form::kVectors * 16];
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 2
      for (int v = 0; v < Form::kVectors; ++v) _mm512_storeu_ps(stored + (p * Form::kVectors + v) * 16, sums[p][v]);
    (this->*(Form::kVectors == 2 ? finish_ : finish_half_))(stored, place);
  }

  template <class Form>
  REPRISE_BF16_INLINE void bias(const Place& place, __m512 (&sums)[kPixels][Form::kVectors]) const {
    __m512i pairs[Form::kVectors];
    const typename Form::Row none{};
    Form::interleave(none, bias_ == nullptr ? none : Form::load(place.lanes, bias_ + place.channel), pairs);
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p)
#pragma GCC unroll 2
      for (int v = 0; v < Form::kVectors; ++v) sums[p][v] = _mm512_castsi512_ps(pairs[v]);
  }

  template <class Form, bool is_inside>
  REPRISE_BF16_INLINE void add(const Pair& pair, const Place& place, __m512 (&sums)[kPixels][Form::kVectors]) const {
    const __mmask32 of_even = place.lanes & pair.has_even, of_odd = place.lanes & pair.has_odd;
    __m512bh tap[Width][Form::kVectors];
#pragma GCC unroll 8
    for (int j = 0; j < Width; ++j)
#pragma GCC unroll 2
      for (int v = 0; v < Form::kVectors; ++v)
        tap[j][v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(pair.taps * Form::kVectors + weights_ + place.taps + 64 * (j * Form::kVectors + v)));
    // What is not there is not read, from a place that is: processors take long over addresses that are in no page, even where no lane is read.
    const std::int64_t channels = s_.channels, columns = s_.columns, first = place.column * Stride - s_.padding[1];
    const std::int64_t begin = (is_inside ? first : std::clamp<std::int64_t>(first, 0, columns - 1)) * channels + place.channel;
    const std::uint16_t *even = pair.even + begin, *odd = pair.odd + begin;
#pragma GCC unroll 32
    for (int i = 0; i < kReach; ++i) {
      const __mmask32 is_there = is_inside || (first + i >= 0 && first + i < columns) ? ~0U : 0U;
      __m512i pixel[Form::kVectors];
      Form::interleave(Form::load(of_even & is_there, even), Form::load(of_odd & is_there, odd), pixel);
      const std::int64_t step = is_inside || (first + i >= 0 && first + i < columns - 1) ? channels : 0;
      even += step;
      odd += step;
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        const int j = i - p * Stride;
        if (j < 0 || j >= Width) continue;
#pragma GCC unroll 2
        for (int v = 0; v < Form::kVectors; ++v) sums[p][v] = _mm512_dpbf16_ps(sums[p][v], reinterpret_cast<__m512bh>(pixel[v]), tap[j][v]);
      }
    }
  }

  template <class Form, Activation kind>
  REPRISE_BF16 void finish(const float* stored, const Place& place) const {
    std::int64_t at = place.at;
    const std::int64_t count = std::min<std::int64_t>(kPixels, s_.out_columns - place.column);
    for (std::int64_t p = 0; p < count; ++p, at += s_.channels) {
      Floats<16> sums[Form::kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < Form::kVectors; ++v) sums[v] = _mm512_loadu_ps(stored + (p * Form::kVectors + v) * 16);
      if (addend_ != nullptr) {
        __m512i pairs[Form::kVectors];
        Form::interleave(typename Form::Row{}, Form::load(place.lanes, addend_ + at), pairs);
#pragma GCC unroll 2
        for (int v = 0; v < Form::kVectors; ++v) sums[v] += _mm512_castsi512_ps(pairs[v]);
      }
#pragma GCC unroll 2
      for (int v = 0; v < Form::kVectors; ++v) activate_in_place<kind>(sums[v]);
      Form::store(y_ + at, place.lanes, sums);
    }
  }

  const DepthwiseJob& job_;
  const ConvShape& s_;
  const std::uint16_t *image_, *bias_, *addend_;  // null: none
  std::uint16_t* y_;
  const std::byte* weights_;
  using Ends = void (Dots::*)(const float* stored, const Place& place) const;
  Ends finish_ = nullptr, finish_half_ = nullptr;
  std::int64_t first_ = 0, last_ = 0;  // blocks of this walk
  int count_ = 0;
  std::array<Pair, kMostTaps / 2> pairs_;
};

/// [block][pair of rows][tap][lane][row], zeros where there are no more.
template <class Form>
void pack_block(const ConvShape& s, std::int64_t first, const std::uint16_t* w, std::uint16_t* packed) {
  for (std::int64_t k = 0; k < s.kernel[0]; k += 2) {
    for (std::int64_t j = 0; j < s.kernel[1]; ++j) {
      for (std::int64_t i = 0; i < Form::kVectors * 32; ++i) {
        const std::int64_t channel = first + Form::channel(i / 2), row = k + i % 2;
        const bool is_there = channel < s.channels && row < s.kernel[0];
        *packed++ = is_there ? w[channel * s.w.strides[0] + row * s.tap_stride(0) + j * s.tap_stride(1)] : std::uint16_t{0};
      }
    }
  }
}

void pack(const ConvShape& s, std::int64_t, const std::byte* from, std::byte* to) {
  const auto* w = reinterpret_cast<const std::uint16_t*>(from);
  const std::int64_t bytes = block_bytes(s);
  for (std::int64_t channel = 0; channel < s.channels; channel += kBlock, to += bytes) {
    auto* packed = reinterpret_cast<std::uint16_t*>(to);
    if (s.channels - channel > kHalf) {
      pack_block<WholeBlock>(s, channel, w, packed);
    } else {
      pack_block<HalfBlock>(s, channel, w, packed);
      std::memset(to + bytes / 2, 0, static_cast<std::size_t>(bytes / 2));
    }
  }
}

}  // namespace

DepthwiseKernel depthwise_dots(const ConvShape& s) {
  if (s.x.dtype != DType::bf16 || active_isa() < Isa::avx512_bf16 || s.dilation[1] != 1) return {};
  DepthwiseKernel kernel{.width = kBlock, .bytes = block_bytes(s), .pack = &pack};
  const std::int64_t width = s.kernel[1], stride = s.stride[1];
  if (width == 3 && stride == 1) kernel.run = &Dots<3, 1>::run;
  if (width == 3 && stride == 2) kernel.run = &Dots<3, 2>::run;
  if (width == 5 && stride == 1) kernel.run = &Dots<5, 1>::run;
  if (width == 5 && stride == 2) kernel.run = &Dots<5, 2>::run;
  if (width == 7 && stride == 1) kernel.run = &Dots<7, 1>::run;
  return kernel;
}

}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {

DepthwiseKernel depthwise_dots(const ConvShape&) { return {}; }

}  // namespace reprise::kernels::cpu

#endif
