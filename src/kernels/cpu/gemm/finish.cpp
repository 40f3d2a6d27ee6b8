#include "kernels/cpu/gemm/tiles.h"

#include <limits>

#include "kernels/cpu/activate.h"
#include "kernels/reference/convert.h"
#include "kernels/reference/vector_math.h"

namespace reprise::kernels::cpu {
namespace {

using reference::fast_erf;
using reference::vector_sigmoid;
using reference::vector_tanh;
using tensor::convert;

/// Those that have no form for vectors: loops that the compiler makes vectors of.
template <Activation kind>
[[gnu::always_inline]] inline float activate_one(float x) {
  if constexpr (kind == Activation::gelu) return 0.5F * x * (1.0F + fast_erf(x * 0.70710678F));
  if constexpr (kind == Activation::gelu_tanh) return x * vector_sigmoid(1.59576912F * (x + 0.044715F * x * x * x));  // (1 + tanh u) / 2 = sigmoid 2u
  return vector_tanh(x);
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
    for (std::int64_t c = 0; c < columns; ++c) y[c] = convert<E>(activate_one<kind>(value(c)));
  }
};

template <Activation kind>
struct FinishVectors {
  template <int W, class E>
  struct Loop {
    static void run(const Finish& to, const float* tile, std::int64_t tile_stride, std::int64_t row, std::int64_t rows, std::int64_t column,
                    std::int64_t columns) {
      Row at{tile, nullptr, nullptr, nullptr};
      if (to.bias != nullptr) at.bias = static_cast<const E*>(to.bias) + column;
      for (std::int64_t r = row; r < row + rows; ++r, at.sums += tile_stride) {
        if (to.addend != nullptr) at.addend = static_cast<const E*>(to.addend) + r * to.addend_stride + column;
        at.y = static_cast<E*>(to.y) + r * to.y_stride + column;
        finish<W>(at, columns);
      }
    }

   private:
    struct Row {
      const float* sums;
      const E *bias, *addend;  // null: none
      E* y;
    };

    /// The last vector overlaps the one before, so that none is cut off; it is read first, as the addend may lie where results go.
    template <int L>
    REPRISE_INLINE static void finish(const Row& at, std::int64_t columns) {
      if (columns >= L) {
        const Floats<L> last = value<Floats<L>>(at, columns - L);
        for (std::int64_t c = 0; c + L < columns; c += L) store(at.y + c, value<Floats<L>>(at, c));
        store(at.y + columns - L, last);
      } else if constexpr (L > 4) {
        finish<L / 2>(at, columns);
      } else {
        Floats<L> v = load_first<Floats<L>>(at.sums, columns);
        if (at.bias != nullptr) v += load_first<Floats<L>>(at.bias, columns);
        if (at.addend != nullptr) v += load_first<Floats<L>>(at.addend, columns);
        store_first(at.y, activate<kind>(v), columns);
      }
    }
    template <class V>
    REPRISE_INLINE static V value(const Row& at, std::int64_t c) {
      V v = load<V>(at.sums + c);
      if (at.bias != nullptr) v += load<V>(at.bias + c);
      if (at.addend != nullptr) v += load<V>(at.addend + c);
      return activate<kind>(v);
    }
  };
};

template <class E>
Finish::Run kernel_of_loops(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return best<FinishRows<Activation::gelu, E>>();
    case Activation::gelu_tanh:
      return best<FinishRows<Activation::gelu_tanh, E>>();
    case Activation::tanh:
      return best<FinishRows<Activation::tanh, E>>();
    default:
      return nullptr;
  }
}

Finish::Run kernel_for(Activation activation, DType result) {
  if (result != DType::f32 && result != DType::bf16) return nullptr;
  Finish::Run kernel = result == DType::bf16 && active_isa() >= Isa::avx512_bf16 ? bf16_finish_kernel(activation) : nullptr;
  if (kernel == nullptr && has_vector_form(activation))
    with_activation(activation, [&]<Activation kind>() { kernel = of_best_width<FinishVectors<kind>::template Loop>(result); });
  if (kernel == nullptr) kernel = result == DType::f32 ? kernel_of_loops<float>(activation) : kernel_of_loops<BFloat16>(activation);
  return kernel;
}

}  // namespace

Finish finish_with(Activation activation, DType result) {
  Finish finish;
  finish.run = kernel_for(activation, result);
  if (activation == Activation::identity || activation == Activation::relu) finish.simple = Finish::Simple::clamp;
  if (activation == Activation::hardswish) finish.simple = Finish::Simple::hardswish;
  finish.least = activation == Activation::relu ? 0.0F : -std::numeric_limits<float>::infinity();
  return finish;
}

}  // namespace reprise::kernels::cpu
