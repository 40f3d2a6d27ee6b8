// Walks several strided windows of the same sizes at once, and picks a type by its size where only bytes move.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "kernels/kernel.h"

namespace reprise::kernels::reference {

/// Calls f(offsets) for every position of `sizes` in row-major order; offsets[k] counts elements by `strides[k]`.
template <std::size_t N, class F>
void walk(std::span<const std::int64_t> sizes, const std::array<const std::int64_t*, N>& strides, const F& f) {
  std::array<std::int64_t, N> offsets{};
  std::array<std::int64_t, kMaxRank> index{};
  const int rank = static_cast<int>(sizes.size());
  for (const auto size : sizes) {
    if (size == 0) return;
  }
  while (true) {
    f(offsets);
    int d = rank - 1;
    for (; d >= 0; --d) {
      for (std::size_t k = 0; k < N; ++k) offsets[k] += strides[k][d];
      if (++index[d] < sizes[d]) break;
      for (std::size_t k = 0; k < N; ++k) offsets[k] -= strides[k][d] * sizes[d];
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

/// Calls f(T{}) with an unsigned type of `bytes` bytes.
template <class F>
decltype(auto) with_bits(std::size_t bytes, const F& f) {
  switch (bytes) {
    case 1:
      return f(std::uint8_t{});
    case 2:
      return f(std::uint16_t{});
    case 4:
      return f(std::uint32_t{});
    default:
      return f(std::uint64_t{});
  }
}

/// An index counted from the end when negative. Throws ShapeError naming the step when it is outside.
inline std::int64_t wrapped(std::int64_t index, std::int64_t size, const std::string& name) {
  REPRISE_CHECK(index >= -size && index < size, ShapeError, "[run/{}] index {} is out of range for a dimension of size {}", name, index, size);
  return index < 0 ? index + size : index;
}

/// The dimensions of `x` but `axis`, as sizes and strides.
struct Others {
  std::array<std::int64_t, kMaxRank> sizes{}, strides{};
  int rank = 0;
  Others(const OperandRef& x, int axis) {
    for (int d = 0; d < x.rank; ++d) {
      if (d == axis) continue;
      sizes[static_cast<std::size_t>(rank)] = x.sizes[static_cast<std::size_t>(d)];
      strides[static_cast<std::size_t>(rank++)] = x.strides[static_cast<std::size_t>(d)];
    }
  }
  [[nodiscard]] std::span<const std::int64_t> shape() const { return {sizes.data(), static_cast<std::size_t>(rank)}; }
};

/// Same slot, offset and layout: the output may be the input's own memory.
inline bool same_memory(const OperandRef& a, const OperandRef& b) { return a.slot == b.slot && a.offset == b.offset && a.strides == b.strides; }

}  // namespace reprise::kernels::reference
