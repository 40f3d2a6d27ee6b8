#include "kernels/reference/scalar_kernels.h"

#include <bit>

#include "kernels/reference/convert.h"
#include "kernels/reference/scalar_primitives.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::reference {
namespace {

using core::ScalarOp;

template <class T>
struct WhereLoop {
  static void run(void* d, const void* a, const void* b, const void* c, std::int64_t n) {
    auto* out = static_cast<T*>(d);
    const auto* condition = static_cast<const std::uint8_t*>(a);
    const auto* x = static_cast<const T*>(b);
    const auto* y = static_cast<const T*>(c);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) out[i] = condition[i] != 0 ? x[i] : y[i];
  }
};

template <class T>
struct FmaLoop {
  static void run(void* d, const void* a, const void* b, const void* c, std::int64_t n) {
    auto* out = static_cast<T*>(d);
    const auto *x = static_cast<const T*>(a), *y = static_cast<const T*>(b), *z = static_cast<const T*>(c);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < n; ++i) out[i] = add(multiply(x[i], y[i]), z[i]);
  }
};

ScalarKernel where_kernel(DType type) {
  return tensor::dispatch(type, [](auto t) -> ScalarKernel { return loop_for<WhereLoop<decltype(t)>, decltype(t)>(); });
}

ScalarKernel fma_kernel(DType type) {
  return tensor::dispatch(type, [](auto t) -> ScalarKernel {
    if constexpr (kIsHalf<decltype(t)>)
      return nullptr;
    else
      return loop_for<FmaLoop<decltype(t)>, decltype(t)>();
  });
}

/// Values of f16 and bf16, held as f32, go through their own bits.
ScalarKernel bitcast_kernel(DType from, DType to) {
  return tensor::dispatch(from, [to](auto source) {
    return tensor::dispatch(to, [](auto target) -> ScalarKernel {
      using S = decltype(source);
      using E = decltype(target);
      if constexpr (sizeof(S) != sizeof(E) || std::is_same_v<S, bool> || std::is_same_v<E, bool>)
        return nullptr;
      else
        return unary<compute_t<S>, compute_t<E>>(
            [](compute_t<S> x) { return static_cast<compute_t<E>>(convert<compute_t<E>>(std::bit_cast<E>(convert<S>(x)))); });
    });
  });
}

bool is_relation(ScalarOp op) { return op >= ScalarOp::eq && op <= ScalarOp::signbit; }

}  // namespace

ScalarKernel cast_kernel(DType from, DType to) {
  return tensor::dispatch(from, [to](auto source) {
    return tensor::dispatch(to, [](auto target) -> ScalarKernel {
      using T = compute_t<decltype(source)>;
      using E = decltype(target);
      const auto round = [](T x) { return static_cast<compute_t<E>>(convert<E>(x)); };
      return unary<T, compute_t<E>>(round);
    });
  });
}

ScalarKernel scalar_kernel(ScalarOp op, DType operand, DType result) {
  if (op == ScalarOp::cast) return cast_kernel(operand, result);
  if (op == ScalarOp::bitcast) return bitcast_kernel(operand, result);
  if (op == ScalarOp::where) return where_kernel(compute_dtype(result));
  if (op == ScalarOp::fma) return fma_kernel(compute_dtype(result));
  const DType type = compute_dtype(operand);
  if (is_relation(op)) return relation_kernel(op, type);
  const ScalarKernel arithmetic = arithmetic_kernel(op, type);
  return arithmetic != nullptr ? arithmetic : real_function_kernel(op, type);
}

}  // namespace reprise::kernels::reference
