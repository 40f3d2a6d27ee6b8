// Loops over runs of values, one per scalar op and type: what the interpreter of pointwise programs calls.
#pragma once

#include <cstdint>

#include "core/scalar_program.h"
#include "kernels/isa.h"
#include "reprise/dtype.h"

namespace reprise::kernels::reference {

/// d[i] = op(a[i], b[i], c[i]) for n values; operands that the op lacks are not read. d may be one of the operands if the item sizes are equal.
using ScalarKernel = void (*)(void* d, const void* a, const void* b, const void* c, std::int64_t n);

/// The loop for an instruction with operands of dtype `operand` and result of dtype `result`; values of f16 and bf16 are held as f32. Leaves excepted.
/// nullptr: there is no such instruction.
ScalarKernel scalar_kernel(core::ScalarOp op, DType operand, DType result);

// By kind of op; `type` is a type that values are held in.
ScalarKernel cast_kernel(DType from, DType to);  // element dtypes: rounds to f16 and bf16
ScalarKernel arithmetic_kernel(core::ScalarOp op, DType type);
ScalarKernel relation_kernel(core::ScalarOp op, DType type);
ScalarKernel real_function_kernel(core::ScalarOp op, DType type);

template <class T, class R, class F>
struct UnaryLoop {
  static void run(void* d, const void* a, const void*, const void*, std::int64_t n) {
    auto* out = static_cast<R*>(d);
    const auto* x = static_cast<const T*>(a);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) out[i] = F{}(x[i]);
  }
};

template <class T, class R, class F>
struct BinaryLoop {
  static void run(void* d, const void* a, const void* b, const void*, std::int64_t n) {
    auto* out = static_cast<R*>(d);
    const auto* x = static_cast<const T*>(a);
    const auto* y = static_cast<const T*>(b);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) out[i] = F{}(x[i], y[i]);
  }
};

template <class Loop, class T>
ScalarKernel loop_for() {
  if constexpr (std::is_same_v<T, float>)
    return best<Loop>();
  else
    return &Loop::run;
}

/// `F` is the type of a lambda without captures, T → R.
template <class T, class R = T, class F>
ScalarKernel unary(F) {
  return loop_for<UnaryLoop<T, R, F>, T>();
}
template <class T, class R = T, class F>
ScalarKernel binary(F) {
  return loop_for<BinaryLoop<T, R, F>, T>();
}

}  // namespace reprise::kernels::reference
