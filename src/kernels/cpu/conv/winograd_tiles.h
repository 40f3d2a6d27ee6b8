// Winograd's minimal filtering F(M x M, 3 x 3) on tensors with the channels innermost: what is done with tiles of M x M outputs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "kernels/cpu/activate.h"
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/vector.h"

namespace reprise::kernels::cpu::winograd {

constexpr std::int64_t kPanel = 64;  // output channels of a panel of weights
constexpr std::int64_t kRows = 6;    // tiles that a product takes at a time
constexpr std::int64_t kLine = 64;   // bytes of a line of the cache

/// The tiles of an image.
struct Grid {
  int m = 4;
  std::int64_t images = 0, down = 0, across = 0;

  /// Elements of a patch: (M + 2)², each of which is a matrix product of its own.
  [[nodiscard]] std::int64_t elements() const { return side() * side(); }
  [[nodiscard]] std::int64_t side() const { return m + 2; }
  [[nodiscard]] std::int64_t tiles() const { return images * down * across; }
};

// The transforms of a line: Bᵀ of a patch's, G of the weights', Aᵀ of what comes out.
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
REPRISE_INLINE void transform_weights(const V (&g)[3], V (&to)[4]) {
  const V ends = 0.5F * (g[0] + g[2]), middle = 0.5F * g[1];
  to[0] = g[0];
  to[1] = ends + middle;
  to[2] = ends - middle;
  to[3] = g[2];
}
template <class V>
REPRISE_INLINE void transform_weights(const V (&g)[3], V (&to)[6]) {
  const V ends = (-1.0F / 6) * (g[0] + g[2]), middle = (1.0F / 6) * g[1], far = (1.0F / 24) * g[0] + (1.0F / 6) * g[2], half = 0.5F * middle;
  to[0] = 0.25F * g[0];
  to[1] = ends - middle;
  to[2] = ends + middle;
  to[3] = far + half;
  to[4] = far - half;
  to[5] = g[2];
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

/// One tile's patch of the image, or its products, for all elements: floats from one to the next.
struct Place {
  float* data = nullptr;
  std::int64_t stride = 0;
};

/// Of tensors of E, with sums in f32.
template <int W, int M, class E>
class Tiles {
  using V = Floats<W>;
  static constexpr std::int64_t kLanes = W;
  static constexpr int kSide = M + 2;
  static constexpr int kVectors = W == 16 ? 4 : 2;  // of a product's columns at a time

 public:
  REPRISE_INLINE Tiles(const ConvShape& shape, const Grid& grid, void* const* bindings) : s_(shape), grid_(grid), bindings_(bindings) {}

  /// The transformed patch of all channels.
  REPRISE_INLINE void gather(std::int64_t tile, Place to) const {
    const Output at = output(tile);
    const std::int64_t row0 = at.row - s_.padding[0], column0 = at.column - s_.padding[1];
    const auto* x = reinterpret_cast<const E*>(s_.x.at(bindings_)) + at.image * s_.rows * s_.columns * s_.channels;
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
        for (int j = 0; j < kSide; ++j) store(to.data + (i * kSide + j) * to.stride + c, d[i][j]);
      }
    }
  }

  /// Weights of `channels` channels and kPanel outputs: [channel][3][3][kPanel] becomes [element][channel][kPanel], with elements `stride` floats apart.
  REPRISE_INLINE static void transform(const E* from, std::int64_t channels, float* to, std::int64_t stride) {
    for (std::int64_t k = 0; k < channels; ++k, from += 9 * kPanel, to += kPanel) {
      for (std::int64_t c = 0; c < kPanel; c += W) {
        V d[3][kSide];  // by columns of the window
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) {
          const V taps[3] = {load<V>(from + j * kPanel + c), load<V>(from + (3 + j) * kPanel + c), load<V>(from + (6 + j) * kPanel + c)};
          transform_weights(taps, d[j]);
        }
#pragma GCC unroll 6
        for (int i = 0; i < kSide; ++i) {
          const V line[3] = {d[0][i], d[1][i], d[2][i]};
          V elements[kSide];
          transform_weights(line, elements);
#pragma GCC unroll 6
          for (int j = 0; j < kSide; ++j) store(to + (i * kSide + j) * stride + c, elements[j]);
        }
      }
    }
  }

  /// y[rows, kPanel] = or += a[rows, depth] times w[depth, kPanel]; rows of `a` and `y` are so many floats apart. `next`: what the first rows ask for
  /// meanwhile, a line for each step along the depth.
  REPRISE_INLINE static void multiply(std::int64_t rows, const float* a, std::int64_t a_stride, const float* w, std::int64_t depth, float* y,
                                      std::int64_t y_stride, bool add, const void* next) {
    const std::int64_t blocks = (rows + kRows - 1) / kRows;
    for (std::int64_t b = 0; b < blocks; ++b, next = w) {
      const std::int64_t first = rows * b / blocks, count = rows * (b + 1) / blocks - first;
      block(count, {a + first * a_stride, a_stride, w, depth, y + first * y_stride, y_stride, add, next}, std::make_integer_sequence<int, kRows>());
    }
  }

  /// Output channels [begin, end) of a tile, of which `from` has the products of the first one.
  template <Activation kind>
  REPRISE_INLINE void scatter(std::int64_t tile, Place from, std::int64_t begin, std::int64_t end) const {
    const Output at = output(tile);
    const std::int64_t base = at.image * s_.out_rows * s_.out_columns;
    const std::int64_t rows = std::min<std::int64_t>(M, s_.out_rows - at.row), columns = std::min<std::int64_t>(M, s_.out_columns - at.column);
    const auto* bias = s_.has_bias ? reinterpret_cast<const E*>(s_.bias.at(bindings_)) : nullptr;
    const auto* addend = s_.has_addend ? reinterpret_cast<const E*>(s_.addend.at(bindings_)) : nullptr;
    auto* y = reinterpret_cast<E*>(s_.y.at(bindings_));
    for (std::int64_t c = begin; c < end; c += W) {
      V d[M][kSide];
      for (int j = 0; j < kSide; ++j) {
        V line[kSide];
#pragma GCC unroll 6
        for (int i = 0; i < kSide; ++i) line[i] = load<V>(from.data + (i * kSide + j) * from.stride + c - begin);
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

 private:
  struct Output {
    std::int64_t image, row, column;
  };
  /// The first of a tile; tiles count in row-major order.
  REPRISE_INLINE Output output(std::int64_t tile) const {
    return {tile / grid_.across / grid_.down, tile / grid_.across % grid_.down * M, tile % grid_.across * M};
  }

  struct Product {
    const float* a;
    std::int64_t a_stride;
    const float* w;
    std::int64_t depth;
    float* y;
    std::int64_t y_stride;
    bool add;
    const void* next;
  };
  template <int... Less>
  REPRISE_INLINE static void block(std::int64_t rows, const Product& p, std::integer_sequence<int, Less...>) {
    (void)((rows == kRows - Less && (block<kRows - Less>(p), true)) || ...);
  }
  template <int R>
  REPRISE_INLINE static void block(const Product& p) {
    for (std::int64_t c = 0; c < kPanel; c += kVectors * kLanes) {
      V sum[R][kVectors] = {};
      if (p.add) {
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) sum[r][v] = load<V>(p.y + r * p.y_stride + c + v * kLanes);
        }
      }
      for (std::int64_t k = 0; k < p.depth; ++k) {
        const float* b = p.w + k * kPanel + c;
        __builtin_prefetch(static_cast<const std::byte*>(p.next) + k * kLine, 0, 2);
        V column[kVectors];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) column[v] = load<V>(b + v * kLanes);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const float x = p.a[r * p.a_stride + k];
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v) sum[r][v] += x * column[v];
        }
      }
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) store(p.y + r * p.y_stride + c + v * kLanes, sum[r][v]);
      }
    }
  }

  const ConvShape& s_;
  const Grid& grid_;
  void* const* bindings_;
};

}  // namespace reprise::kernels::cpu::winograd
