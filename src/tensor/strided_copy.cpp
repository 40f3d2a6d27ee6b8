#include "tensor/strided_copy.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "tensor/convert.h"

namespace reprise::tensor {
namespace {

struct Loop {
  std::int64_t size, dst, src;  // strides in bytes
};

/// Most tensors: their loops need no memory from the heap.
constexpr std::size_t kInlineRank = 16;

/// Outermost first, by falling dst stride; loops that continue each other on both sides become one. `room` holds one per dimension, and at least one.
std::span<const Loop> plan_loops(std::span<const std::int64_t> dst_strides, std::span<const std::int64_t> src_strides, std::span<const std::int64_t> sizes,
                                 std::int64_t item, std::span<Loop> room) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 1) continue;
    const Loop loop{sizes[i], dst_strides[i] * item, src_strides[i] * item};
    const auto behind = std::upper_bound(room.begin(), room.begin() + count, loop, [](const Loop& a, const Loop& b) { return a.dst > b.dst; });
    std::copy_backward(behind, room.begin() + count, room.begin() + count + 1);
    *behind = loop;
    ++count;
  }
  std::size_t merged = 0;
  for (const Loop& loop : room.first(count)) {
    if (merged > 0 && room[merged - 1].dst == loop.dst * loop.size && room[merged - 1].src == loop.src * loop.size) {
      room[merged - 1] = {room[merged - 1].size * loop.size, loop.dst, loop.src};
    } else {
      room[merged++] = loop;
    }
  }
  if (merged == 0) room[merged++] = {1, item, item};
  return room.first(merged);
}

template <class T>
void copy_row(std::byte* dst, const std::byte* src, const Loop& loop) {
  if (loop.dst == sizeof(T) && loop.src == sizeof(T)) {
    std::memcpy(dst, src, static_cast<std::size_t>(loop.size) * sizeof(T));
    return;
  }
  for (std::int64_t i = 0; i < loop.size; ++i) std::memcpy(dst + i * loop.dst, src + i * loop.src, sizeof(T));
}

template <class T>
void copy_loops(std::byte* dst, const std::byte* src, std::span<const Loop> loops) {
  if (loops.size() == 1) return copy_row<T>(dst, src, loops[0]);
  for (std::int64_t i = 0; i < loops[0].size; ++i) copy_loops<T>(dst + i * loops[0].dst, src + i * loops[0].src, loops.subspan(1));
}

}  // namespace

std::vector<std::int64_t> contiguous_strides(std::span<const std::int64_t> sizes) {
  std::vector<std::int64_t> strides(sizes.size(), 1);
  for (std::size_t i = sizes.size(); i-- > 1;) {
    // Sizes beside a 0 may be anything; their product is not used and must not overflow loudly.
    if (__builtin_mul_overflow(strides[i], std::max<std::int64_t>(sizes[i], 1), &strides[i - 1])) strides[i - 1] = 1;
  }
  return strides;
}

std::int64_t checked_numel(std::span<const std::int64_t> sizes) {
  const bool is_empty = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
  std::int64_t n = is_empty ? 0 : 1;
  for (std::int64_t size : sizes) {
    REPRISE_CHECK(size >= 0, InvalidArgument, "[tensor/size] negative size (got {})", size);
    REPRISE_CHECK(!__builtin_mul_overflow(n, size, &n), InvalidArgument, "[tensor/size] more than 2^63 elements (rank {})", sizes.size());
  }
  return n;
}

void strided_copy(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                  std::span<const std::int64_t> sizes, std::size_t item_size) {
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return;
  std::array<Loop, kInlineRank> few;
  std::vector<Loop> many(sizes.size() > kInlineRank ? sizes.size() : 0);
  const auto loops = plan_loops(dst_strides, src_strides, sizes, static_cast<std::int64_t>(item_size), many.empty() ? std::span<Loop>(few) : many);
  auto* to = static_cast<std::byte*>(dst);
  const auto* from = static_cast<const std::byte*>(src);
  switch (item_size) {
    case 1:
      return copy_loops<std::uint8_t>(to, from, loops);
    case 2:
      return copy_loops<std::uint16_t>(to, from, loops);
    case 4:
      return copy_loops<std::uint32_t>(to, from, loops);
    default:
      return copy_loops<std::uint64_t>(to, from, loops);
  }
}

void convert_elements(void* dst, DType dst_type, const void* src, DType src_type, std::int64_t n, std::int64_t src_stride) {
  dispatch(dst_type, [&](auto to) {
    dispatch(src_type, [&](auto from) {
      using To = decltype(to);
      using From = decltype(from);
      auto* out = static_cast<To*>(dst);
      const auto* in = static_cast<const From*>(src);
      for (std::int64_t i = 0; i < n; ++i) out[i] = convert<To>(in[i * src_stride]);
    });
  });
}

void copy_into(const Tensor& dst, const Tensor& src) {
  REPRISE_CHECK(dst.dtype() == src.dtype(), InvalidArgument, "[tensor/copy] dtypes differ (got {}, want {})", name(src.dtype()), name(dst.dtype()));
  REPRISE_CHECK(dst.sizes() == src.sizes(), InvalidArgument, "[tensor/copy] sizes differ (got [{}], want [{}])", fmt::join(src.sizes(), ", "),
                fmt::join(dst.sizes(), ", "));
  strided_copy(dst.data(), dst.strides(), src.data(), src.strides(), src.sizes(), item_size(src.dtype()));
}

}  // namespace reprise::tensor
