// Numbers: extremes that keep NaN, keys that order as the numbers do.
#pragma once
#include "prelude.cuh"

template <class C>
__device__ inline bool is_not_number(C x) {
  return x != x;
}
template <class C>
__device__ inline C larger(C a, C b) {
  return is_not_number(a) || a > b ? a : b;
}
template <class C>
__device__ inline C smaller(C a, C b) {
  return is_not_number(a) || a < b ? a : b;
}

// Unsigned keys in the order of the values: equal zeros, NaN last.
__device__ inline u32_t order_key(f32_t x) {
  if (is_not_number(x)) return 0xffffffffu;
  const u32_t bits = x == 0 ? 0 : __float_as_uint(x);
  return bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
}
__device__ inline u64_t order_key(f64_t x) {
  if (is_not_number(x)) return ~u64_t{0};
  const u64_t bits = x == 0 ? 0 : static_cast<u64_t>(__double_as_longlong(x));
  return bits ^ ((bits >> 63) != 0 ? ~u64_t{0} : u64_t{1} << 63);
}
template <class C>
__device__ inline auto order_key(C x) {
  if constexpr (sizeof(C) == 8)
    return static_cast<u64_t>(x) ^ (kIsSigned<C> ? u64_t{1} << 63 : 0);
  else
    return static_cast<u32_t>(static_cast<i64_t>(x)) ^ (kIsSigned<C> ? 0x80000000u : 0u);
}
