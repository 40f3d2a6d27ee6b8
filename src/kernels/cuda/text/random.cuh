// Random numbers by position: the CPU's, draw for draw.
#pragma once
#include "dims.cuh"

// Philox 4x32 with ten rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four words from a counter and a key.
struct Words {
  u32_t v[4];
};
__device__ inline Words philox(u64_t counter, u64_t stream, u64_t key) {
  Words c{{static_cast<u32_t>(counter), static_cast<u32_t>(counter >> 32), static_cast<u32_t>(stream), static_cast<u32_t>(stream >> 32)}};
  u32_t k0 = static_cast<u32_t>(key), k1 = static_cast<u32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const u64_t p0 = u64_t{0xD2511F53} * c.v[0], p1 = u64_t{0xCD9E8D57} * c.v[2];
    c = {{static_cast<u32_t>(p1 >> 32) ^ c.v[1] ^ k0, static_cast<u32_t>(p1), static_cast<u32_t>(p0 >> 32) ^ c.v[3] ^ k1, static_cast<u32_t>(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

enum Draw { kUniform, kNormal, kIntegers };

__device__ inline f64_t unit(u32_t high, u32_t low) {
  return static_cast<f64_t>((static_cast<u64_t>(high) << 21) ^ (low >> 11)) * 1.1102230246251565e-16;  // 2^-53
}

// `run` counts the runs of the step, each of which draws a stream of its own.
template <class E, Draw kDraw, class Index>
__global__ void draw(E* y, const u64_t* run, i64_t count, u64_t key, f64_t low, f64_t high, const Dims<Index, 1> dims) {
  wait_for_earlier_kernels();
  const Index i = thread_position<Index>();
  if (i >= count) return;
  Index at[1];
  dims.locate(i, at);
  const Words words = philox(static_cast<u64_t>(i), *run, key);
  const f64_t u = unit(words.v[0], words.v[1]);
  f64_t value = __dadd_rn(low, __dmul_rn(u, __dsub_rn(high, low)));
  if constexpr (kDraw == kIntegers) value = floor(value);
  if constexpr (kDraw == kNormal) value = low + high * sqrt(-2 * log1p(-u)) * cos(6.283185307179586 * unit(words.v[2], words.v[3]));  // mean low, deviation high
  y[at[0]] = convert<E>(value);
}

extern "C" __global__ void count_run(u64_t* run) {
  wait_for_earlier_kernels();
  ++*run;
}
