// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace reprise {

/// The numbers are part of the `.rpz` format: append, never renumber.
enum class DType : std::uint8_t { boolean = 0, u8 = 1, i8 = 2, i16 = 3, i32 = 4, i64 = 5, f16 = 6, bf16 = 7, f32 = 8, f64 = 9, u16 = 10, u32 = 11, u64 = 12 };

inline constexpr int kDTypeCount = 13;

/// Bytes of one element.
constexpr std::size_t item_size(DType t) {
  constexpr std::size_t kSizes[] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8, 2, 4, 8};
  return kSizes[static_cast<std::size_t>(t)];
}

/// "bool", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "u16", "u32", "u64".
std::string_view name(DType t);

/// The inverse of `name`; also takes PyTorch's and NumPy's names ("float32", "int64", "uint8", "bfloat16", "half", …).
/// Throws InvalidArgument for anything else.
DType parse_dtype(std::string_view text);

constexpr bool is_floating(DType t) { return t == DType::f16 || t == DType::bf16 || t == DType::f32 || t == DType::f64; }
constexpr bool is_integral(DType t) { return !is_floating(t) && t != DType::boolean; }  // bool excluded
constexpr bool is_signed(DType t) { return is_floating(t) || (t >= DType::i8 && t <= DType::i64); }

}  // namespace reprise
