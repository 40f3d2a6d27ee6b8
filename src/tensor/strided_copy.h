// Copies between strided views of host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/check.h"
#include "reprise/dtype.h"
#include "reprise/tensor.h"
#include "tensor/half.h"

namespace reprise::tensor {

/// Row-major strides in elements; a size of 0 counts as 1, so strides stay positive.
std::vector<std::int64_t> contiguous_strides(std::span<const std::int64_t> sizes);
/// Product of sizes. Throws InvalidArgument on a negative size or when the product exceeds int64.
std::int64_t checked_numel(std::span<const std::int64_t> sizes);

/// dst[i...] = src[i...] for all indices below `sizes`. Strides count elements of `item_size` bytes (1, 2, 4 or 8) and may be 0 or negative in
/// `src`; dst elements must be distinct and not overlap src. Loops are ordered by dst's strides and merged where both sides allow.
void strided_copy(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                  std::span<const std::int64_t> sizes, std::size_t item_size);

/// dst[i] = convert(src[i]) for n elements each `stride` elements apart; the conversion rules are Tensor::to's.
void convert_elements(void* dst, DType dst_type, const void* src, DType src_type, std::int64_t n, std::int64_t src_stride = 1);

/// Calls `f(T{})` with the C++ type of `t`: bool, std::uint8_t …, Half, BFloat16, float, double.
template <class F>
decltype(auto) dispatch(DType t, F&& f) {
  switch (t) {
    case DType::boolean:
      return f(bool{});
    case DType::u8:
      return f(std::uint8_t{});
    case DType::i8:
      return f(std::int8_t{});
    case DType::i16:
      return f(std::int16_t{});
    case DType::i32:
      return f(std::int32_t{});
    case DType::i64:
      return f(std::int64_t{});
    case DType::f16:
      return f(Half{});
    case DType::bf16:
      return f(BFloat16{});
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::u16:
      return f(std::uint16_t{});
    case DType::u32:
      return f(std::uint32_t{});
    case DType::u64:
      return f(std::uint64_t{});
  }
  REPRISE_FAIL(InvalidArgument, "[tensor/dtype] not an element type (got {})", static_cast<int>(t));
}

/// Copies between host tensors of equal sizes and dtype, whatever their strides. Throws InvalidArgument when they differ.
void copy_into(const Tensor& dst, const Tensor& src);

}  // namespace reprise::tensor
