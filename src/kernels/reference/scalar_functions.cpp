// Functions of reals. f32 has vector forms of the ones that models spend time in; special functions compute in f64.
#include <cmath>

#include "kernels/reference/scalar_kernels.h"
#include "kernels/reference/special.h"
#include "kernels/reference/vector_math.h"

namespace reprise::kernels::reference {
namespace {

using core::ScalarOp;

float exponential(float x) { return vector_exp(x); }
double exponential(double x) { return std::exp(x); }
float logistic(float x) { return vector_sigmoid(x); }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
float hyperbolic_tangent(float x) { return vector_tanh(x); }
double hyperbolic_tangent(double x) { return std::tanh(x); }
float error_function(float x) { return vector_erf(x); }
double error_function(double x) { return std::erf(x); }

template <class T>
ScalarKernel algebraic_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::reciprocal:
      return unary<T>([](T x) { return 1 / x; });
    case ScalarOp::sqrt:
      return unary<T>([](T x) { return std::sqrt(x); });
    case ScalarOp::rsqrt:
      return unary<T>([](T x) { return 1 / std::sqrt(x); });
    case ScalarOp::floor:
      return unary<T>([](T x) { return std::floor(x); });
    case ScalarOp::ceil:
      return unary<T>([](T x) { return std::ceil(x); });
    case ScalarOp::trunc:
      return unary<T>([](T x) { return std::trunc(x); });
    case ScalarOp::round:
      return unary<T>([](T x) { return std::nearbyint(x); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel exponential_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::exp:
      return unary<T>([](T x) { return exponential(x); });
    case ScalarOp::exp2:
      return unary<T>([](T x) { return std::exp2(x); });
    case ScalarOp::expm1:
      return unary<T>([](T x) { return std::expm1(x); });
    case ScalarOp::log:
      return unary<T>([](T x) { return std::log(x); });
    case ScalarOp::log2:
      return unary<T>([](T x) { return std::log2(x); });
    case ScalarOp::log10:
      return unary<T>([](T x) { return std::log10(x); });
    case ScalarOp::log1p:
      return unary<T>([](T x) { return std::log1p(x); });
    case ScalarOp::sigmoid:
      return unary<T>([](T x) { return logistic(x); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel trigonometric_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::sin:
      return unary<T>([](T x) { return std::sin(x); });
    case ScalarOp::cos:
      return unary<T>([](T x) { return std::cos(x); });
    case ScalarOp::tan:
      return unary<T>([](T x) { return std::tan(x); });
    case ScalarOp::asin:
      return unary<T>([](T x) { return std::asin(x); });
    case ScalarOp::acos:
      return unary<T>([](T x) { return std::acos(x); });
    case ScalarOp::atan:
      return unary<T>([](T x) { return std::atan(x); });
    case ScalarOp::sinh:
      return unary<T>([](T x) { return std::sinh(x); });
    case ScalarOp::cosh:
      return unary<T>([](T x) { return std::cosh(x); });
    case ScalarOp::asinh:
      return unary<T>([](T x) { return std::asinh(x); });
    case ScalarOp::acosh:
      return unary<T>([](T x) { return std::acosh(x); });
    case ScalarOp::atanh:
      return unary<T>([](T x) { return std::atanh(x); });
    case ScalarOp::tanh:
      return unary<T>([](T x) { return hyperbolic_tangent(x); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel special_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::erf:
      return unary<T>([](T x) { return error_function(x); });
    case ScalarOp::erfc:
      return unary<T>([](T x) { return std::erfc(x); });
    case ScalarOp::erfinv:
      return unary<T>([](T x) { return static_cast<T>(erf_inverse(x)); });
    case ScalarOp::erfcx:
      return unary<T>([](T x) { return static_cast<T>(erfcx(x)); });
    case ScalarOp::lgamma:
      return unary<T>([](T x) { return static_cast<T>(log_gamma(x)); });
    case ScalarOp::digamma:
      return unary<T>([](T x) { return static_cast<T>(digamma(x)); });
    case ScalarOp::i0:
      return unary<T>([](T x) { return static_cast<T>(bessel_i0(x)); });
    case ScalarOp::i0e:
      return unary<T>([](T x) { return static_cast<T>(bessel_i0e(x)); });
    case ScalarOp::i1:
      return unary<T>([](T x) { return static_cast<T>(bessel_i1(x)); });
    case ScalarOp::i1e:
      return unary<T>([](T x) { return static_cast<T>(bessel_i1e(x)); });
    case ScalarOp::ndtri:
      return unary<T>([](T x) { return static_cast<T>(ndtri(x)); });
    case ScalarOp::log_ndtr:
      return unary<T>([](T x) { return static_cast<T>(log_ndtr(x)); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel two_operand_kernel(ScalarOp op) {
  switch (op) {
    case ScalarOp::div:
      return binary<T>([](T x, T y) { return x / y; });
    case ScalarOp::atan2:
      return binary<T>([](T x, T y) { return std::atan2(x, y); });
    case ScalarOp::hypot:
      return binary<T>([](T x, T y) { return std::hypot(x, y); });
    case ScalarOp::copysign:
      return binary<T>([](T x, T y) { return std::copysign(x, y); });
    case ScalarOp::nextafter:
      return binary<T>([](T x, T y) { return std::nextafter(x, y); });
    case ScalarOp::ldexp:
      return binary<T>([](T x, T y) { return x * std::exp2(y); });
    case ScalarOp::igamma:
      return binary<T>([](T x, T y) { return static_cast<T>(igamma(x, y)); });
    case ScalarOp::igammac:
      return binary<T>([](T x, T y) { return static_cast<T>(igammac(x, y)); });
    case ScalarOp::zeta:
      return binary<T>([](T x, T y) { return static_cast<T>(hurwitz_zeta(x, y)); });
    case ScalarOp::polygamma:
      return binary<T>([](T x, T y) { return static_cast<T>(polygamma(x, y)); });
    default:
      return nullptr;
  }
}

template <class T>
ScalarKernel function_of(ScalarOp op) {
  for (const auto find : {algebraic_kernel<T>, exponential_kernel<T>, trigonometric_kernel<T>, special_kernel<T>, two_operand_kernel<T>}) {
    if (const ScalarKernel kernel = find(op); kernel != nullptr) return kernel;
  }
  return nullptr;
}

}  // namespace

ScalarKernel real_function_kernel(ScalarOp op, DType type) {
  if (type == DType::f32) return function_of<float>(op);
  return type == DType::f64 ? function_of<double>(op) : nullptr;
}

}  // namespace reprise::kernels::reference
