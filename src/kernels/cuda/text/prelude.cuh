// Types, conversions and what every kernel uses. No header of CUDA's is needed to compile it.
#pragma once

typedef unsigned char u8_t;
typedef signed char i8_t;
typedef short i16_t;
typedef int i32_t;
typedef long long i64_t;
typedef unsigned short u16_t;
typedef unsigned int u32_t;
typedef unsigned long long u64_t;
typedef float f32_t;
typedef double f64_t;
struct f16_t {
  u16_t bits;
};
struct bf16_t {
  u16_t bits;
};

// ---- type traits ----

template <class A, class B>
struct is_same {
  static constexpr bool value = false;
};
template <class A>
struct is_same<A, A> {
  static constexpr bool value = true;
};
template <class A, class B>
inline constexpr bool kSame = is_same<A, B>::value;
template <bool condition, class A, class B>
struct conditional {
  using type = A;
};
template <class A, class B>
struct conditional<false, A, B> {
  using type = B;
};
template <bool condition, class A, class B>
using conditional_t = typename conditional<condition, A, B>::type;

template <class T>
inline constexpr bool kIsHalf = kSame<T, f16_t> || kSame<T, bf16_t>;
template <class T>
inline constexpr bool kIsFloat = kSame<T, float> || kSame<T, double>;  // computed in
template <class T>
inline constexpr bool kIsReal = kIsHalf<T> || kIsFloat<T>;
template <class T>
inline constexpr bool kIsSigned = kIsReal<T> || kSame<T, i8_t> || kSame<T, i16_t> || kSame<T, i32_t> || kSame<T, i64_t>;

/// What values of an element type are computed in.
template <class T>
using compute_t = conditional_t<kIsHalf<T>, float, T>;

__device__ inline float infinity() { return __int_as_float(0x7f800000); }
__device__ inline float not_a_number() { return __int_as_float(0x7fc00000); }

template <class T>
struct Limits;
template <>
struct Limits<float> {
  __device__ static float lowest() { return -infinity(); }
  __device__ static float highest() { return infinity(); }
};
template <>
struct Limits<double> {
  __device__ static double lowest() { return -infinity(); }
  __device__ static double highest() { return infinity(); }
};
template <>
struct Limits<bool> {
  __device__ static bool lowest() { return false; }
  __device__ static bool highest() { return true; }
};
template <class T>
struct Limits {
  __device__ static T lowest() { return kIsSigned<T> ? (T)((u64_t)1 << (sizeof(T) * 8 - 1)) : (T)0; }
  __device__ static T highest() { return kIsSigned<T> ? (T)(((u64_t)1 << (sizeof(T) * 8 - 1)) - 1) : (T) ~(T)0; }
};

// ---- conversion ----

__device__ inline float widen(f16_t x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
__device__ inline float widen(bf16_t x) { return __uint_as_float((u32_t)x.bits << 16); }
template <class T>
__device__ inline T widen(T x) {
  return x;
}

/// Toward zero to `Wide`, its lowest value where that does not fit.
template <class Wide>
__device__ inline Wide truncate_to(double v) {
  constexpr double kHigh = sizeof(Wide) == 8 ? 9223372036854775808.0 : 2147483648.0;
  const bool fits = v < kHigh && (sizeof(Wide) == 8 ? v >= -kHigh : v > -kHigh - 1);
  return fits ? (Wide)v : (Wide)((u64_t)1 << (sizeof(Wide) * 8 - 1));
}
template <class Wide>
__device__ inline Wide truncate_to(float v) {
  constexpr float kHigh = sizeof(Wide) == 8 ? 9223372036854775808.0f : 2147483648.0f;
  return v < kHigh && v >= -kHigh ? (Wide)v : (Wide)((u64_t)1 << (sizeof(Wide) * 8 - 1));
}
/// Narrow types by way of i32, u32 of i64, as on the host.
template <class To, class From>
__device__ inline To truncate(From v) {
  if constexpr (kSame<To, u64_t>) {
    constexpr From kHalf = 9223372036854775808.0;
    return v >= kHalf ? (To)truncate_to<i64_t>(v - kHalf) ^ ((To)1 << 63) : (To)truncate_to<i64_t>(v);
  } else {
    using Wide = conditional_t<sizeof(To) == 8 || kSame<To, u32_t>, i64_t, i32_t>;
    return (To)truncate_to<Wide>(v);
  }
}

/// Float to integer truncates, to bool is != 0; integers wrap; to f16 and bf16 rounds to nearest even (f64 by way of f32).
template <class To, class From>
__device__ inline To convert(From v) {
  if constexpr (kSame<To, From>) {
    return v;
  } else if constexpr (kIsHalf<From>) {
    return convert<To>(widen(v));
  } else if constexpr (kSame<To, bool>) {
    return v != (From)0;
  } else if constexpr (kSame<To, f16_t>) {
    f16_t y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"((float)v));
    return y;
  } else if constexpr (kSame<To, bf16_t>) {
    bf16_t y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"((float)v));
    return y;
  } else if constexpr (kIsFloat<From> && !kIsFloat<To>) {
    return truncate<To>(v);
  } else {
    return (To)v;
  }
}
/// Rounds a value to an element type and back.
template <class T, class From>
__device__ inline compute_t<T> round_to(From v) {
  return widen(convert<T>(v));
}

template <class To, class From>
__device__ inline To bit_cast(From v) {
  static_assert(sizeof(To) == sizeof(From));
  union Bits {
    From from;
    To to;
    __device__ Bits() {}
  } bits;
  bits.from = v;
  return bits.to;
}

// ---- memory ----

/// `count` elements that are loaded and stored at once.
template <class T, int count>
struct alignas(sizeof(T) * count) Vector {
  T at[count];
};

/// Division by a number that is known when a shape is bound (32-bit; by multiplication, exact for numerators below 2^31).
struct FastDivisor {
  u32_t divisor, multiplier, shift;
};
__device__ inline u32_t divide(u32_t n, const FastDivisor& d) { return (__umulhi(n, d.multiplier) + n) >> d.shift; }
struct PlainDivisor {
  i64_t divisor;
};
__device__ inline i64_t divide(i64_t n, const PlainDivisor& d) { return n / d.divisor; }

// ---- programmatic launch (KernelLaunch::programmatic) ----

/// What earlier kernels wrote may be read and what they read may be written after this. Once all blocks are here, the next kernel may start (and wait in turn).
__device__ inline void wait_for_earlier_kernels() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}
