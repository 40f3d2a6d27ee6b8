// Loops compiled for several instruction sets, the best chosen at run time.
//
// `best<F>` is a struct's static `run` compiled three times: plain, with AVX2, with AVX-512. Everything `run` calls and that can be inlined is compiled with
// it.
#pragma once

namespace reprise::kernels {

/// Each has what those before it have. avx512_bf16: dot products of bf16, amx: matrix units.
enum class Isa { plain, avx2, avx512, avx512_bf16, amx };

#if defined(__x86_64__)
#define REPRISE_AVX2 __attribute__((target("avx2,fma,bmi,bmi2,f16c"), flatten))
#define REPRISE_AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx2,fma,bmi,bmi2,f16c"), flatten))
#else
#define REPRISE_AVX2
#define REPRISE_AVX512
#endif

/// The best that processor and system have.
Isa machine_isa();
/// The best that kernels made from now on may use: the machine's, or less where the environment's REPRISE_CPU_ISA or `set_max_cpu_isa` says so.
Isa active_isa();

template <class F, class... Args>
REPRISE_AVX512 void run_avx512(Args... args) {
  F::run(args...);
}
template <class F, class... Args>
REPRISE_AVX2 void run_avx2(Args... args) {
  F::run(args...);
}

template <class F, class... Args>
auto best(void (*plain)(Args...)) -> void (*)(Args...) {
  const Isa isa = active_isa();
  return isa >= Isa::avx512 ? &run_avx512<F, Args...> : isa == Isa::avx2 ? &run_avx2<F, Args...> : plain;
}
/// The variant of F::run for this machine.
template <class F>
auto best() {
  return best<F>(&F::run);
}

}  // namespace reprise::kernels
