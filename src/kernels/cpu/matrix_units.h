// What kernels on matrix units (AMX) share, and those that have the instructions for bf16 alone. x86-64 only; the configuration is the thread's own and stays
// until it is released.
#pragma once

#include <immintrin.h>

#include <cstdint>

/// Of functions that run where `active_isa()` is avx512_bf16 or more.
#define REPRISE_BF16_TARGET "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16"
#define REPRISE_BF16 __attribute__((target(REPRISE_BF16_TARGET)))
#define REPRISE_BF16_INLINE [[gnu::always_inline]] REPRISE_BF16 inline
/// Where it is amx.
#define REPRISE_AMX __attribute__((target("amx-tile,amx-bf16," REPRISE_BF16_TARGET)))

namespace reprise::kernels::cpu {

/// What LDTILECFG reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

/// Memory is as the program says: the compiler does not see what tile instructions read and write.
[[gnu::always_inline]] inline void settle_memory() { __asm__ volatile("" ::: "memory"); }

REPRISE_AMX inline void configure(const TileConfig& config) {
  settle_memory();
  _tile_loadconfig(&config);
}

}  // namespace reprise::kernels::cpu
