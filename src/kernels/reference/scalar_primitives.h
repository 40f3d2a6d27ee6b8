// Scalar arithmetic for every element type. Integers wrap; an integer divided by zero gives 0 (PyTorch raises; a loop over elements has no place to).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace reprise::kernels::reference {

// Unsigned and at least as wide as int, so that nothing overflows.
template <class T>
using wrap_t = std::conditional_t<sizeof(T) <= 4, std::uint32_t, std::uint64_t>;
template <class T>
constexpr wrap_t<T> wide(T x) {
  return static_cast<wrap_t<T>>(x);
}

template <class T>
T add(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return a + b;
  else
    return static_cast<T>(wide(a) + wide(b));
}
template <class T>
T subtract(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return a - b;
  else
    return static_cast<T>(wide(a) - wide(b));
}
template <class T>
T negate(T a) {
  if constexpr (std::is_floating_point_v<T>)
    return -a;
  else
    return static_cast<T>(0 - wide(a));
}
template <class T>
T multiply(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return a * b;
  else
    return static_cast<T>(wide(a) * wide(b));
}

template <class T>
T trunc_div(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return std::trunc(a / b);
  else if constexpr (std::is_signed_v<T>)
    return b == 0 ? T{} : b == -1 ? negate(a) : static_cast<T>(a / b);
  else
    return b == 0 ? T{} : static_cast<T>(a / b);
}

template <class T>
T remainder_of_trunc(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return std::fmod(a, b);
  else if constexpr (std::is_signed_v<T>)
    return b == 0 || b == -1 ? T{} : static_cast<T>(a % b);
  else
    return b == 0 ? T{} : static_cast<T>(a % b);
}

template <class T>
T floor_remainder(T a, T b) {
  const T r = remainder_of_trunc(a, b);
  return r != T{} && (r < T{}) != (b < T{}) ? add(r, b) : r;
}

// (a - a mod b) / b is an integer but for rounding: take the nearest, and keep the sign of a zero.
template <class T>
T floor_div_real(T a, T b) {
  if (b == 0) return a / b;
  const T mod = std::fmod(a, b);
  T quotient = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(T{0}, a / b);
  const T whole = std::floor(quotient);
  return quotient - whole > T{0.5} ? whole + 1 : whole;
}

template <class T>
T floor_div(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return floor_div_real(a, b);
  else if constexpr (std::is_signed_v<T>)
    return static_cast<T>(trunc_div(a, b) - (b != 0 && (a < 0) != (b < 0) && remainder_of_trunc(a, b) != 0));
  else
    return trunc_div(a, b);
}

template <class T>
T power(T base, T exponent) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::pow(base, exponent);
  } else {
    if constexpr (std::is_signed_v<T>) {
      if (exponent < 0) return base == 1 ? T{1} : base == -1 ? static_cast<T>(exponent % 2 == 0 ? 1 : -1) : T{0};
    }
    wrap_t<T> result = 1, square = wide(base);
    for (auto e = wide(exponent); e != 0; e >>= 1, square *= square) {
      if ((e & 1) != 0) result *= square;
    }
    return static_cast<T>(result);
  }
}

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return x != x;
  else
    return false;
}
template <class T>
bool is_finite(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::abs(x) <= std::numeric_limits<T>::max();
  else
    return true;
}
template <class T>
bool is_negative(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::signbit(x);
  else
    return x < T{};
}

template <class T>
T sign(T x) {
  return static_cast<T>((x > T{}) - (x < T{}));
}

template <class T>
T absolute(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::abs(x);
  else
    return x < T{} ? negate(x) : x;
}

// Amounts that are negative or reach the width shift everything out.
template <class T>
T shift_left(T a, T b) {
  return wide(b) < sizeof(T) * 8 ? static_cast<T>(wide(a) << wide(b)) : T{};
}
template <class T>
T shift_right(T a, T b) {
  return wide(b) < sizeof(T) * 8 ? static_cast<T>(a >> wide(b)) : static_cast<T>(a < T{} ? -1 : 0);
}

template <class T>
T greatest_divisor(T a, T b) {
  auto x = wide(absolute(a)), y = wide(absolute(b));
  while (y != 0) {
    const auto r = x % y;
    x = y;
    y = r;
  }
  return static_cast<T>(x);
}

/// `ignore_nan`: the other operand where one is NaN; otherwise NaN.
template <bool ignore_nan, class T>
T larger(T a, T b) {
  if constexpr (ignore_nan)
    return is_nan(b) || a > b ? a : b;
  else
    return is_nan(a) || a > b ? a : b;
}
template <bool ignore_nan, class T>
T smaller(T a, T b) {
  if constexpr (ignore_nan)
    return is_nan(b) || a < b ? a : b;
  else
    return is_nan(a) || a < b ? a : b;
}

}  // namespace reprise::kernels::reference
