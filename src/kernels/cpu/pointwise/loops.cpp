#include "kernels/cpu/pointwise/loops.h"

#include <type_traits>

#include "kernels/cpu/rows/row_loops.h"
#include "kernels/cpu/vector_math.h"

namespace reprise::kernels::cpu {
namespace {

using core::ScalarOp;

template <ScalarOp kOp, class V>
REPRISE_INLINE V apply(V a, V b) {
  if constexpr (kOp == ScalarOp::add) return a + b;
  if constexpr (kOp == ScalarOp::sub) return a - b;
  if constexpr (kOp == ScalarOp::mul) return a * b;
  if constexpr (kOp == ScalarOp::div) return a / b;
  if constexpr (kOp == ScalarOp::minimum) return minimum_of(a, b);
  if constexpr (kOp == ScalarOp::maximum) return maximum_of(a, b);
  if constexpr (kOp == ScalarOp::neg) return -a;
  if constexpr (kOp == ScalarOp::abs) return absolute(a);
  if constexpr (kOp == ScalarOp::reciprocal) return 1.0F / a;
  if constexpr (kOp == ScalarOp::exp) return exp_of(a);
  if constexpr (kOp == ScalarOp::sigmoid) return sigmoid_of(a);
  if constexpr (kOp == ScalarOp::tanh) return tanh_of(a);
  if constexpr (kOp == ScalarOp::erf) return erf_of(a);
}

/// Of one operand, two, or one and a float.
enum class Form : std::uint8_t { one, two, with_float };

template <ScalarOp kOp, Form kForm>
struct Loop {
  template <int W>
  struct OfWidth {
    REPRISE_INLINE static void run(void* d, const void* a, const void* b, const void* /*c*/, std::int64_t n) {
      using V = Floats<W>;
      const auto *x = static_cast<const float*>(a), *y = static_cast<const float*>(b);
      auto* to = static_cast<float*>(d);
      const V all = kForm == Form::with_float ? broadcast<V>(*y) : V{};
      std::int64_t i = 0;
      for (; i + std::int64_t{2} * W <= n; i += std::int64_t{2} * W) {
        V u = load<V>(x + i), v = load<V>(x + i + W);
        u = apply<kOp>(u, kForm == Form::two ? load<V>(y + i) : all);
        v = apply<kOp>(v, kForm == Form::two ? load<V>(y + i + W) : all);
        store(to + i, u);
        store(to + i + W, v);
      }
      for (; i < n; i += W) {
        const std::int64_t count = std::min<std::int64_t>(W, n - i);
        const V u = apply<kOp>(load_upto<V>(x + i, count), kForm == Form::two ? load_upto<V>(y + i, count) : all);
        if (count == W)
          store(to + i, u);
        else
          store_some(to + i, count, u);
      }
    }
  };
};

template <ScalarOp kOp>
FloatLoop unary() {
  return of_best_width<Loop<kOp, Form::one>::template OfWidth>();
}
template <ScalarOp kOp>
FloatLoop binary(bool scalar_b) {
  return scalar_b ? of_best_width<Loop<kOp, Form::with_float>::template OfWidth>() : of_best_width<Loop<kOp, Form::two>::template OfWidth>();
}

template <int W, class E>
struct Round {
  REPRISE_INLINE static void run(void* d, const void* a, const void*, const void*, std::int64_t n) {
    using V = Floats<W>;
    map_row<V>(static_cast<const float*>(a), n, static_cast<float*>(d), [](V v, std::int64_t, std::int64_t) REPRISE_INLINE_LAMBDA {
      if constexpr (std::is_same_v<E, BFloat16>) return reinterpret_cast<V>(reinterpret_cast<Bits<V>>(rounded_to_bf16(v)) & 0xffff0000);
      E lanes[W];
      store(lanes, v);
      return load<V>(lanes);
    });
  }
};

template <int W, class E>
struct Load {
  REPRISE_INLINE static void run(const void* from, std::int64_t stride, std::int64_t n, float* to) { ReadRows<W, E>::run(from, 0, stride, 1, n, to, n); }
};
template <int W, class E>
struct Store {
  REPRISE_INLINE static void run(const float* from, std::int64_t n, void* to, std::int64_t stride) { WriteRows<W, E>::run(from, 0, 1, n, to, 0, stride); }
};

}  // namespace

FloatLoop float_loop(ScalarOp op, bool scalar_b) {
  switch (op) {
    case ScalarOp::add:
      return binary<ScalarOp::add>(scalar_b);
    case ScalarOp::sub:
      return binary<ScalarOp::sub>(scalar_b);
    case ScalarOp::mul:
      return binary<ScalarOp::mul>(scalar_b);
    case ScalarOp::div:
      return binary<ScalarOp::div>(scalar_b);
    case ScalarOp::minimum:
      return binary<ScalarOp::minimum>(scalar_b);
    case ScalarOp::maximum:
      return binary<ScalarOp::maximum>(scalar_b);
    case ScalarOp::neg:
      return unary<ScalarOp::neg>();
    case ScalarOp::abs:
      return unary<ScalarOp::abs>();
    case ScalarOp::reciprocal:
      return unary<ScalarOp::reciprocal>();
    case ScalarOp::exp:
      return unary<ScalarOp::exp>();
    case ScalarOp::sigmoid:
      return unary<ScalarOp::sigmoid>();
    case ScalarOp::tanh:
      return unary<ScalarOp::tanh>();
    case ScalarOp::erf:
      return unary<ScalarOp::erf>();
    default:
      return nullptr;
  }
}

FloatLoop rounding_loop(DType dtype) { return of_best_width<Round>(dtype); }
LoadRun load_run(DType dtype) { return of_best_width<Load>(dtype); }
StoreRun store_run(DType dtype) { return of_best_width<Store>(dtype); }

}  // namespace reprise::kernels::cpu
