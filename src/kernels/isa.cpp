#include "kernels/isa.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "base/check.h"
#include "reprise/device.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace reprise {
namespace kernels {
namespace {

constexpr std::array<std::string_view, 5> kNames{"plain", "avx2", "avx512", "avx512_bf16", "amx"};

#if defined(__x86_64__)
/// What this compiler's __builtin_cpu_supports has no name for: CPUID leaf 7.
bool has_matrix_units() {
  unsigned eax = 7, ebx = 0, ecx = 0, edx = 0;
  __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  constexpr unsigned kAmxBf16 = 1U << 22, kAmxTile = 1U << 24;
  return (edx & kAmxBf16) != 0 && (edx & kAmxTile) != 0;
}

/// The system saves the units' registers for a process that asked for it.
bool may_use_matrix_units() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Isa detect() {
  const bool avx512 =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (avx512 && !__builtin_cpu_supports("avx512bf16")) return Isa::avx512;
  if (avx512) return has_matrix_units() && may_use_matrix_units() ? Isa::amx : Isa::avx512_bf16;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Isa::avx2 : Isa::plain;
}
#else
Isa detect() { return Isa::plain; }
#endif

Isa parse(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Isa>(i);
  }
  REPRISE_FAIL(InvalidArgument, "[kernels/isa] unknown instruction set (got {}, want plain, avx2, avx512, avx512_bf16 or amx)", name);
}

std::atomic<Isa>& most() {
  static std::atomic<Isa> isa = [] {
    const char* wish = std::getenv("REPRISE_CPU_ISA");
    return wish == nullptr ? Isa::amx : parse(wish);
  }();
  return isa;
}

}  // namespace

Isa machine_isa() {
  static const Isa isa = detect();
  return isa;
}

Isa active_isa() { return std::min(machine_isa(), most().load(std::memory_order_relaxed)); }

}  // namespace kernels

void set_max_cpu_isa(std::string_view name) { kernels::most() = kernels::parse(name); }

std::string_view cpu_isa() { return kernels::kNames[static_cast<std::size_t>(kernels::active_isa())]; }

}  // namespace reprise
