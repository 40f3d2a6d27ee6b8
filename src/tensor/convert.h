// Conversion of one element, with PyTorch's rules.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tensor/half.h"

namespace reprise::tensor {

template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
inline constexpr bool kIsReal = std::is_floating_point_v<T> || kIsHalf<T>;

/// Toward zero to `Wide`, its lowest value where that does not fit: what x86 does.
template <std::signed_integral Wide>
constexpr Wide truncate_to(double v) {
  constexpr double kLow = static_cast<double>(std::numeric_limits<Wide>::min());
  const bool fits = v < -kLow && (sizeof(Wide) == 8 ? v >= kLow : v > kLow - 1);  // false for NaN
  return fits ? static_cast<Wide>(v) : std::numeric_limits<Wide>::min();
}

/// Toward zero; values that do not fit give what PyTorch gives on x86: narrow types by way of i32, u32 of i64.
template <std::integral To>
constexpr To truncate(double v) {
  if constexpr (std::is_same_v<To, std::uint64_t>) {
    constexpr double kHalf = 0x1p63;
    return v >= kHalf ? static_cast<To>(truncate_to<std::int64_t>(v - kHalf)) ^ (To{1} << 63) : static_cast<To>(truncate_to<std::int64_t>(v));
  } else {
    using Wide = std::conditional_t<sizeof(To) == 8 || std::is_same_v<To, std::uint32_t>, std::int64_t, std::int32_t>;
    return static_cast<To>(truncate_to<Wide>(v));
  }
}

/// Float to integer truncates, to bool is != 0; integers wrap; to f16 and bf16 rounds to nearest even (a f64 by way of f32, as PyTorch does).
template <class To, class From>
constexpr To convert(From v) {
  if constexpr (std::is_same_v<To, From>) {
    return v;
  } else if constexpr (kIsHalf<From>) {
    return convert<To>(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, bool>) {
    return v != From{};
  } else if constexpr (kIsHalf<To>) {
    return To(static_cast<float>(v));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return truncate<To>(v);
  } else {
    return static_cast<To>(v);
  }
}

}  // namespace reprise::tensor
