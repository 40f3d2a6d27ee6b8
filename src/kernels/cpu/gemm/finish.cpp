#include "kernels/cpu/gemm/tiles.h"

#include <limits>

#include "kernels/reference/convert.h"
#include "kernels/reference/vector_math.h"

namespace reprise::kernels::cpu {
namespace {

using reference::fast_erf;
using reference::vector_sigmoid;
using reference::vector_tanh;
using tensor::convert;

template <Activation kind>
[[gnu::always_inline]] inline float activate(float x) {
  if constexpr (kind == Activation::relu) return x < 0.0F ? 0.0F : x;  // NaN stays
  if constexpr (kind == Activation::gelu) return 0.5F * x * (1.0F + fast_erf(x * 0.70710678F));
  if constexpr (kind == Activation::gelu_tanh) return x * vector_sigmoid(1.59576912F * (x + 0.044715F * x * x * x));  // (1 + tanh u) / 2 = sigmoid 2u
  if constexpr (kind == Activation::silu) return x * vector_sigmoid(x);
  if constexpr (kind == Activation::sigmoid) return vector_sigmoid(x);
  if constexpr (kind == Activation::tanh) return vector_tanh(x);
  if constexpr (kind == Activation::hardsigmoid || kind == Activation::hardswish) {
    const float shifted = x + 3.0F, above = shifted < 0.0F ? 0.0F : shifted, gate = (above > 6.0F ? 6.0F : above) * (1.0F / 6.0F);
    return kind == Activation::hardswish ? x * gate : gate;
  }
  return x;
}

template <Activation kind, class E>
struct FinishRows {
  static void run(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                  std::int64_t columns) {
    const auto* bias = static_cast<const E*>(to.bias);
    for (std::int64_t r = 0; r < rows; ++r, tile += tile_stride) {
      const auto* addend = static_cast<const E*>(to.addend);
      E* y = static_cast<E*>(to.y) + (row + r) * to.y_stride + column;
      if (addend != nullptr) addend += (row + r) * to.addend_stride + column;
      if (bias != nullptr && addend != nullptr)
        store(y, columns, [=](std::int64_t c) { return tile[c] + convert<float>(bias[column + c]) + convert<float>(addend[c]); });
      else if (bias != nullptr)
        store(y, columns, [=](std::int64_t c) { return tile[c] + convert<float>(bias[column + c]); });
      else if (addend != nullptr)
        store(y, columns, [=](std::int64_t c) { return tile[c] + convert<float>(addend[c]); });
      else
        store(y, columns, [=](std::int64_t c) { return tile[c]; });
    }
  }

 private:
  template <class Value>
  [[gnu::always_inline]] static inline void store(E* y, std::int64_t columns, const Value& value) {
    // The usual numbers, in loops without an end of their own.
    if (std::is_same_v<E, float> && columns == 48) return store_columns(y, 48, value);
    if (columns == 32) return store_columns(y, 32, value);
    store_columns(y, columns, value);
  }
  template <class Value>
  [[gnu::always_inline]] static inline void store_columns(E* y, std::int64_t columns, const Value& value) {
#pragma GCC ivdep
    for (std::int64_t c = 0; c < columns; ++c) y[c] = convert<E>(activate<kind>(value(c)));
  }
};

template <class E>
Finish::Run kernel_for(Activation activation) {
  switch (activation) {
    case Activation::identity:
      return best<FinishRows<Activation::identity, E>>();
    case Activation::relu:
      return best<FinishRows<Activation::relu, E>>();
    case Activation::gelu:
      return best<FinishRows<Activation::gelu, E>>();
    case Activation::gelu_tanh:
      return best<FinishRows<Activation::gelu_tanh, E>>();
    case Activation::silu:
      return best<FinishRows<Activation::silu, E>>();
    case Activation::sigmoid:
      return best<FinishRows<Activation::sigmoid, E>>();
    case Activation::tanh:
      return best<FinishRows<Activation::tanh, E>>();
    case Activation::hardswish:
      return best<FinishRows<Activation::hardswish, E>>();
    case Activation::hardsigmoid:
      return best<FinishRows<Activation::hardsigmoid, E>>();
    case Activation::other:
      break;
  }
  return nullptr;
}

Finish::Run kernel_for(Activation activation, DType result) {
  if (result == DType::f32) return kernel_for<float>(activation);
  if (result == DType::bf16 && active_isa() >= Isa::avx512_bf16) {
    if (const Finish::Run kernel = bf16_finish_kernel(activation)) return kernel;
  }
  return result == DType::bf16 ? kernel_for<BFloat16>(activation) : nullptr;
}

}  // namespace

Finish finish_with(Activation activation, DType result) {
  Finish finish;
  finish.run = kernel_for(activation, result);
  finish.clamps = activation == Activation::identity || activation == Activation::relu;
  finish.least = activation == Activation::relu ? 0.0F : -std::numeric_limits<float>::infinity();
  return finish;
}

}  // namespace reprise::kernels::cpu
