// Loops compiled for several instruction sets, the best chosen at run time.
//
// `best<F>` is a struct's static `run` compiled three times: plain, with AVX2, with AVX-512. Everything `run` calls and that can be inlined is compiled with
// it.
#pragma once

namespace reprise::kernels {

enum class Isa { plain, avx2, avx512 };

#if defined(__x86_64__)
#define REPRISE_AVX2 __attribute__((target("avx2,fma,bmi,bmi2,f16c"), flatten))
#define REPRISE_AVX512 __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx2,fma,bmi,bmi2,f16c"), flatten))
inline Isa machine_isa() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
    return Isa::avx512;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Isa::avx2 : Isa::plain;
}
#else
#define REPRISE_AVX2
#define REPRISE_AVX512
inline Isa machine_isa() { return Isa::plain; }
#endif

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
  const Isa isa = machine_isa();
  return isa == Isa::avx512 ? &run_avx512<F, Args...> : isa == Isa::avx2 ? &run_avx2<F, Args...> : plain;
}
/// The variant of F::run for this machine.
template <class F>
auto best() {
  return best<F>(&F::run);
}

}  // namespace reprise::kernels
