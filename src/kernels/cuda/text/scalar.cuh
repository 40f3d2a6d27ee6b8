// The operations of scalar programs (core/scalar_program.h). Integers wrap; an integer divided by zero gives 0.
#pragma once
#include "prelude.cuh"

template <class T>
using wrap_t = conditional_t<sizeof(T) <= 4, u32_t, u64_t>;
template <class T>
__device__ inline wrap_t<T> wide(T x) {
  return (wrap_t<T>)x;
}

#define REPRISE_RING(name, op)                     \
  template <class T>                               \
  __device__ inline T name(T a, T b) {             \
    if constexpr (kIsFloat<T>)                     \
      return a op b;                               \
    else                                           \
      return (T)(wide(a) op wide(b));              \
  }
REPRISE_RING(op_add, +)
REPRISE_RING(op_sub, -)
REPRISE_RING(op_mul, *)

template <class T>
__device__ inline T op_neg(T a) {
  if constexpr (kIsFloat<T>)
    return -a;
  else
    return (T)(0 - wide(a));
}
template <class T>
__device__ inline T op_fma(T a, T b, T c) {
  return op_add(op_mul(a, b), c);
}
__device__ inline float op_div(float a, float b) { return __fdiv_rn(a, b); }
__device__ inline double op_div(double a, double b) { return a / b; }

template <class T>
__device__ inline T op_trunc_div(T a, T b) {
  if constexpr (kIsFloat<T>)
    return trunc(a / b);
  else if constexpr (kIsSigned<T>)
    return b == 0 ? (T)0 : b == -1 ? op_neg(a) : (T)(a / b);
  else
    return b == 0 ? (T)0 : (T)(a / b);
}
template <class T>
__device__ inline T op_fmod(T a, T b) {
  if constexpr (kIsFloat<T>)
    return fmod(a, b);
  else if constexpr (kIsSigned<T>)
    return b == 0 || b == -1 ? (T)0 : (T)(a % b);
  else
    return b == 0 ? (T)0 : (T)(a % b);
}
template <class T>
__device__ inline T op_remainder(T a, T b) {
  const T r = op_fmod(a, b);
  return r != (T)0 && (r < (T)0) != (b < (T)0) ? op_add(r, b) : r;
}
// (a - a mod b) / b is an integer but for rounding: take the nearest, and keep the sign of a zero.
template <class T>
__device__ inline T floor_div_real(T a, T b) {
  if (b == 0) return a / b;
  const T mod = fmod(a, b);
  T quotient = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) quotient -= 1;
  if (quotient == 0) return copysign((T)0, a / b);
  const T whole = floor(quotient);
  return quotient - whole > (T)0.5 ? whole + 1 : whole;
}
template <class T>
__device__ inline T op_floor_div(T a, T b) {
  if constexpr (kIsFloat<T>)
    return floor_div_real(a, b);
  else if constexpr (kIsSigned<T>)
    return (T)(op_trunc_div(a, b) - (T)(b != 0 && (a < 0) != (b < 0) && op_fmod(a, b) != 0));
  else
    return op_trunc_div(a, b);
}
template <class T>
__device__ inline T op_pow(T base, T exponent) {
  if constexpr (kIsFloat<T>) {
    return pow(base, exponent);
  } else {
    if constexpr (kIsSigned<T>) {
      if (exponent < 0) return base == 1 ? (T)1 : base == -1 ? (T)(exponent % 2 == 0 ? 1 : -1) : (T)0;
    }
    wrap_t<T> result = 1, square = wide(base);
    for (auto e = wide(exponent); e != 0; e >>= 1, square *= square) {
      if ((e & 1) != 0) result *= square;
    }
    return (T)result;
  }
}

template <class T>
__device__ inline bool op_is_nan(T x) {
  if constexpr (kIsFloat<T>)
    return x != x;
  else
    return false;
}
template <class T>
__device__ inline bool op_is_finite(T x) {
  if constexpr (kIsFloat<T>)
    return isfinite(x);
  else
    return true;
}
template <class T>
__device__ inline bool op_is_inf(T x) {
  return !op_is_nan(x) && !op_is_finite(x);
}
template <class T>
__device__ inline bool op_signbit(T x) {
  if constexpr (kIsFloat<T>)
    return signbit(x);
  else
    return x < (T)0;
}
template <class T>
__device__ inline T op_sign(T x) {
  return (T)((x > (T)0) - (x < (T)0));
}
template <class T>
__device__ inline T op_abs(T x) {
  if constexpr (kIsFloat<T>)
    return fabs(x);
  else
    return x < (T)0 ? op_neg(x) : x;
}

#define REPRISE_EXTREME(name, ignored, better)              \
  template <class T>                                        \
  __device__ inline T name(T a, T b) {                      \
    return op_is_nan(ignored) || a better b ? a : b;        \
  }
REPRISE_EXTREME(op_maximum, a, >)
REPRISE_EXTREME(op_minimum, a, <)
REPRISE_EXTREME(op_fmax, b, >)
REPRISE_EXTREME(op_fmin, b, <)

template <class T>
__device__ inline T op_shift_left(T a, T b) {
  return wide(b) < sizeof(T) * 8 ? (T)(wide(a) << wide(b)) : (T)0;
}
template <class T>
__device__ inline T op_shift_right(T a, T b) {
  return wide(b) < sizeof(T) * 8 ? (T)(a >> wide(b)) : (T)(a < (T)0 ? -1 : 0);
}
template <class T>
__device__ inline T op_gcd(T a, T b) {
  auto x = wide(op_abs(a)), y = wide(op_abs(b));
  while (y != 0) {
    const auto r = x % y;
    x = y;
    y = r;
  }
  return (T)x;
}
template <class T>
__device__ inline T op_bit_and(T a, T b) {
  return (T)(a & b);
}
template <class T>
__device__ inline T op_bit_or(T a, T b) {
  return (T)(a | b);
}
template <class T>
__device__ inline T op_bit_xor(T a, T b) {
  return (T)(a ^ b);
}
template <class T>
__device__ inline T op_bit_not(T a) {
  if constexpr (kSame<T, bool>)
    return !a;
  else
    return (T)~a;
}

#define REPRISE_RELATION(name, op)          \
  template <class T>                        \
  __device__ inline bool name(T a, T b) {   \
    return a op b;                          \
  }
REPRISE_RELATION(op_eq, ==)
REPRISE_RELATION(op_ne, !=)
REPRISE_RELATION(op_lt, <)
REPRISE_RELATION(op_le, <=)
REPRISE_RELATION(op_gt, >)
REPRISE_RELATION(op_ge, >=)
__device__ inline bool op_logical_and(bool a, bool b) { return a && b; }
__device__ inline bool op_logical_or(bool a, bool b) { return a || b; }
__device__ inline bool op_logical_xor(bool a, bool b) { return a != b; }
__device__ inline bool op_logical_not(bool a) { return !a; }

#define REPRISE_REAL(name, function)                                     \
  __device__ inline float name(float x) { return function##f(x); }       \
  __device__ inline double name(double x) { return function(x); }
REPRISE_REAL(op_exp, exp)
REPRISE_REAL(op_exp2, exp2)
REPRISE_REAL(op_expm1, expm1)
REPRISE_REAL(op_log, log)
REPRISE_REAL(op_log2, log2)
REPRISE_REAL(op_log10, log10)
REPRISE_REAL(op_log1p, log1p)
REPRISE_REAL(op_sin, sin)
REPRISE_REAL(op_cos, cos)
REPRISE_REAL(op_tan, tan)
REPRISE_REAL(op_asin, asin)
REPRISE_REAL(op_acos, acos)
REPRISE_REAL(op_atan, atan)
REPRISE_REAL(op_sinh, sinh)
REPRISE_REAL(op_cosh, cosh)
REPRISE_REAL(op_tanh, tanh)
REPRISE_REAL(op_asinh, asinh)
REPRISE_REAL(op_acosh, acosh)
REPRISE_REAL(op_atanh, atanh)
REPRISE_REAL(op_erf, erf)
REPRISE_REAL(op_erfc, erfc)
REPRISE_REAL(op_floor, floor)
REPRISE_REAL(op_ceil, ceil)
REPRISE_REAL(op_trunc, trunc)
REPRISE_REAL(op_round, rint)
__device__ inline float op_sqrt(float x) { return __fsqrt_rn(x); }
__device__ inline double op_sqrt(double x) { return sqrt(x); }
__device__ inline float op_reciprocal(float x) { return __fdiv_rn(1.0f, x); }
__device__ inline double op_reciprocal(double x) { return 1 / x; }
__device__ inline float op_rsqrt(float x) { return __fdiv_rn(1.0f, __fsqrt_rn(x)); }
__device__ inline double op_rsqrt(double x) { return 1 / sqrt(x); }
__device__ inline float op_sigmoid(float x) { return __fdiv_rn(1.0f, 1.0f + expf(-x)); }
__device__ inline double op_sigmoid(double x) { return 1 / (1 + exp(-x)); }

#define REPRISE_REALS(name, function)                                                  \
  __device__ inline float name(float x, float y) { return function##f(x, y); }         \
  __device__ inline double name(double x, double y) { return function(x, y); }
REPRISE_REALS(op_atan2, atan2)
REPRISE_REALS(op_hypot, hypot)
REPRISE_REALS(op_copysign, copysign)
REPRISE_REALS(op_nextafter, nextafter)
__device__ inline float op_ldexp(float x, float y) { return x * exp2f(y); }
__device__ inline double op_ldexp(double x, double y) { return x * exp2(y); }
