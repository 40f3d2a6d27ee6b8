#include "kernels/reference/convert.h"
#include "kernels/reference/scalar_kernels.h"
#include "kernels/reference/scalar_primitives.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::reference {
namespace {

using core::ScalarOp;

template <class T>
ScalarKernel ring_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::add:
      return binary<T>([](T a, T b) { return add(a, b); });
    case ScalarOp::sub:
      return binary<T>([](T a, T b) { return subtract(a, b); });
    case ScalarOp::mul:
      return binary<T>([](T a, T b) { return multiply(a, b); });
    case ScalarOp::pow:
      return binary<T>([](T a, T b) { return power(a, b); });
    case ScalarOp::neg:
      return unary<T>([](T a) { return negate(a); });
    case ScalarOp::abs:
      return unary<T>([](T a) { return absolute(a); });
    case ScalarOp::sign:
      return unary<T>([](T a) { return sign(a); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel division_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::floor_div:
      return binary<T>([](T a, T b) { return floor_div(a, b); });
    case ScalarOp::trunc_div:
      return binary<T>([](T a, T b) { return trunc_div(a, b); });
    case ScalarOp::remainder:
      return binary<T>([](T a, T b) { return floor_remainder(a, b); });
    case ScalarOp::fmod:
      return binary<T>([](T a, T b) { return remainder_of_trunc(a, b); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel extreme_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::minimum:
      return binary<T>([](T a, T b) { return smaller<false>(a, b); });
    case ScalarOp::maximum:
      return binary<T>([](T a, T b) { return larger<false>(a, b); });
    case ScalarOp::fmin:
      return binary<T>([](T a, T b) { return smaller<true>(a, b); });
    case ScalarOp::fmax:
      return binary<T>([](T a, T b) { return larger<true>(a, b); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel bit_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::bit_and:
      return binary<T>([](T a, T b) { return static_cast<T>(a & b); });
    case ScalarOp::bit_or:
      return binary<T>([](T a, T b) { return static_cast<T>(a | b); });
    case ScalarOp::bit_xor:
      return binary<T>([](T a, T b) { return static_cast<T>(a ^ b); });
    case ScalarOp::bit_not:
      if constexpr (std::is_same_v<T, bool>)
        return unary<T>([](T a) { return !a; });
      else
        return unary<T>([](T a) { return static_cast<T>(~a); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel integer_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::shift_left:
      return binary<T>([](T a, T b) { return shift_left(a, b); });
    case ScalarOp::shift_right:
      return binary<T>([](T a, T b) { return shift_right(a, b); });
    case ScalarOp::gcd:
      return binary<T>([](T a, T b) { return greatest_divisor(a, b); });
    default:
      return nullptr;
  }
}

ScalarKernel logic_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::logical_and:
      return binary<bool>([](bool a, bool b) { return a && b; });
    case ScalarOp::logical_or:
      return binary<bool>([](bool a, bool b) { return a || b; });
    case ScalarOp::logical_xor:
      return binary<bool>([](bool a, bool b) { return a != b; });
    case ScalarOp::logical_not:
      return unary<bool>([](bool a) { return !a; });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel comparison_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::eq:
      return binary<T, bool>([](T a, T b) { return a == b; });
    case ScalarOp::ne:
      return binary<T, bool>([](T a, T b) { return a != b; });
    case ScalarOp::lt:
      return binary<T, bool>([](T a, T b) { return a < b; });
    case ScalarOp::le:
      return binary<T, bool>([](T a, T b) { return a <= b; });
    case ScalarOp::gt:
      return binary<T, bool>([](T a, T b) { return a > b; });
    case ScalarOp::ge:
      return binary<T, bool>([](T a, T b) { return a >= b; });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel class_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::is_nan:
      return unary<T, bool>([](T a) { return is_nan(a); });
    case ScalarOp::is_inf:
      return unary<T, bool>([](T a) { return !is_nan(a) && !is_finite(a); });
    case ScalarOp::is_finite:
      return unary<T, bool>([](T a) { return is_finite(a); });
    case ScalarOp::signbit:
      return unary<T, bool>([](T a) { return is_negative(a); });
    default:
      return nullptr;
  }
}

/// The first of several kernels that exists.
template <class... Find>
ScalarKernel first_of(ScalarOp op, Find... find) {
  ScalarKernel kernel = nullptr;
  ((kernel = kernel != nullptr ? kernel : find(op)), ...);
  return kernel;
}

template <class T>
ScalarKernel arithmetic_of(ScalarOp op) {
  if constexpr (kIsHalf<T>)
    return nullptr;
  else if constexpr (std::is_floating_point_v<T>)
    return first_of(op, ring_kernel<T>, division_kernel<T>, extreme_kernel<T>);
  else if constexpr (std::is_same_v<T, bool>)
    return first_of(op, extreme_kernel<T>, bit_kernel<T>);
  else
    return first_of(op, ring_kernel<T>, division_kernel<T>, extreme_kernel<T>, bit_kernel<T>, integer_kernel<T>);
}

template <class T>
ScalarKernel relation_of(ScalarOp op) {
  if constexpr (kIsHalf<T>)
    return nullptr;
  else if constexpr (std::is_same_v<T, bool>)
    return first_of(op, comparison_kernel<T>, class_kernel<T>, logic_kernel);
  else
    return first_of(op, comparison_kernel<T>, class_kernel<T>);
}

}  // namespace

ScalarKernel arithmetic_kernel(ScalarOp op, DType type) {
  return tensor::dispatch(type, [op](auto t) { return arithmetic_of<decltype(t)>(op); });
}

ScalarKernel relation_kernel(ScalarOp op, DType type) {
  return tensor::dispatch(type, [op](auto t) { return relation_of<decltype(t)>(op); });
}

}  // namespace reprise::kernels::reference
