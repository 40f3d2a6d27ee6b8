// Special functions of reals in double precision; results at poles, infinities and outside the domain are PyTorch's. As kernels/reference/special.cpp.
#pragma once
#include "prelude.cuh"

__device__ inline double log_gamma(double x);
#define kPi 3.14159265358979323846
#define kSqrt2 1.41421356237309504880
#define kEpsilon 2.220446049250313e-16
#define kInf ((double)infinity())
#define kNan ((double)not_a_number())
// B_2k / (2k)! for Euler–Maclaurin sums.
__device__ const double kBernoulli[] = {
    1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000.0, 1.0 / 74724249600.0, -3617.0 / 10670622842880000.0};

__device__ inline bool is_integer(double x) { return x == floor(x); }

__device__ inline double sqr(double x) { return x * x; }

/// x^a e^-x / Γ(a) without overflow.
__device__ inline double gamma_density(double a, double x) { return exp(a * log(x) - x - log_gamma(a)); }

// Σ x^n / (a (a+1) … (a+n)): for x below a + 1.
__device__ inline double igamma_series(double a, double x) {
  double term = 1 / a, sum = term;
  for (double n = 1; term > sum * kEpsilon && n < 1e6; ++n) sum += term *= x / (a + n);
  return sum * gamma_density(a, x);
}

// Legendre's continued fraction of Γ(a, x), evaluated forward (Lentz): for x above a + 1.
__device__ inline double igammac_fraction(double a, double x) {
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a, c = 1 / kTiny, d = 1 / b, result = d;
  for (double n = 1; n < 1e6; ++n) {
    const double numerator = -n * (n - a);
    b += 2;
    d = 1 / (fabs(numerator * d + b) < kTiny ? kTiny : numerator * d + b);
    c = b + numerator / c;
    if (fabs(c) < kTiny) c = kTiny;
    result *= c * d;
    if (fabs(c * d - 1) < kEpsilon) break;
  }
  return result * gamma_density(a, x);
}

/// Values of igamma at the borders of its domain; nan inside.
__device__ inline double igamma_border(double a, double x) {
  if (isinf(a)) return isinf(x) ? kNan : 0;
  return a == 0 || isinf(x) ? 1 : 0;
}
__device__ inline bool igamma_outside(double a, double x) { return !(x >= 0) || !(a >= 0) || (a == 0 && x == 0); }
__device__ inline bool igamma_at_border(double a, double x) { return a == 0 || x == 0 || isinf(a) || isinf(x); }

/// e^-|x| I_order(x) for x >= 0, order 0 or 1: the power series (all terms positive), and Hankel's expansion where that has converged.
__device__ inline double bessel_scaled(int order, double x) {
  if (x <= 36) {
    const double quarter = x * x / 4;
    double term = order == 0 ? 1 : x / 2, sum = term;
    for (double n = 1; term > sum * kEpsilon; ++n) sum += term *= quarter / (n * (n + order));
    return sum * exp(-x);
  }
  double term = 1, sum = 1;
  for (double n = 1; n < 30 && fabs(term) > kEpsilon; ++n) sum += term *= (sqr(2 * n - 1) - 4.0 * order) / (8 * n * x);
  return sum / sqrt(2 * kPi * x);
}

__device__ inline double log_gamma(double x) { return lgamma(x); }

__device__ inline double digamma(double x) {
  if (x == 0) return copysign(kInf, -x);
  if (x < 0) return is_integer(x) ? kNan : digamma(1 - x) - kPi / tan(kPi * (x - floor(x)));
  double result = 0;
  for (; x < 10; ++x) result -= 1 / x;
  const double y = 1 / (x * x);
  const double tail = y * (1.0 / 12 - y * (1.0 / 120 - y * (1.0 / 252 - y * (1.0 / 240 - y * (1.0 / 132 - y * (691.0 / 32760 - y / 12))))));
  return result + log(x) - 0.5 / x - tail;
}

__device__ inline double hurwitz_zeta(double x, double q) {
  if (x == 1) return kInf;
  if (!(x > 1) || isinf(x)) return kNan;
  if (q <= 0) {
    if (is_integer(q)) return kInf;
    if (!is_integer(x)) return kNan;  // q^-x is not real
  }
  double sum = 0;
  for (; q < 12; ++q) {
    const double term = pow(q, -x);
    sum += term;
    if (q > 0 && fabs(term) < fabs(sum) * kEpsilon / 64) return sum;
  }
  double power = pow(q, -x), result = sum + power * q / (x - 1) + power / 2;
  double rising = x * power / q;  // x (x+1) … q^-(x+2k+1)
  for (int k = 0; k < 8; ++k) {
    result += kBernoulli[k] * rising;
    rising *= (x + 2 * k + 1) * (x + 2 * k + 2) / (q * q);
  }
  return result;
}

__device__ inline double polygamma(double order, double x) {
  if (order == 0) return digamma(x);
  const double sign = fmod(order, 2) == 0 ? -1 : 1;
  return sign * exp(log_gamma(order + 1)) * hurwitz_zeta(order + 1, x);
}

__device__ inline double igamma(double a, double x) {
  if (igamma_outside(a, x)) return kNan;
  if (igamma_at_border(a, x)) return igamma_border(a, x);
  return x < a + 1 ? igamma_series(a, x) : 1 - igammac_fraction(a, x);
}

__device__ inline double igammac(double a, double x) {
  if (igamma_outside(a, x)) return kNan;
  if (igamma_at_border(a, x)) return 1 - igamma_border(a, x);
  return x < a + 1 ? 1 - igamma_series(a, x) : igammac_fraction(a, x);
}

// Winitzki's estimate, then Newton on erfc(y) = 1 - |x|, which keeps its digits near 1.
__device__ inline double erf_inverse(double x) {
  const double magnitude = fabs(x);
  if (!(magnitude <= 1)) return kNan;
  if (magnitude == 1) return copysign(kInf, x);
  if (magnitude < 1e-8) return x * sqrt(kPi) / 2;
  const double log_term = log1p(-x * x), a = 0.147, half = 2 / (kPi * a) + log_term / 2;
  double y = sqrt(sqrt(half * half - log_term / a) - half);
  for (int i = 0; i < 4; ++i) {
    const double error = magnitude < 0.5 ? magnitude - erf(y) : erfc(y) - (1 - magnitude);
    const double step = error * sqrt(kPi) / 2 * exp(y * y);
    y += step / (1 - y * step);  // Halley
  }
  return copysign(y, x);
}

__device__ inline double scaled_erfc(double x) {
  if (x < 25) return exp(x * x) * erfc(x);
  const double y = 1 / (2 * x * x);
  return (1 - y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y * (1 - 9 * y))))) / (x * sqrt(kPi));
}

__device__ inline double log_ndtr(double x) {
  const double scaled = x / kSqrt2;
  return x < -1 ? log(scaled_erfc(-scaled) / 2) - scaled * scaled : log1p(-erfc(scaled) / 2);
}

// Newton on log Φ(x) = log p, which is concave: from the left it converges without overshooting.
__device__ inline double ndtri(double p) {
  if (!(p >= 0 && p <= 1)) return kNan;
  if (p == 0 || p == 1) return p == 0 ? -kInf : kInf;
  if (p > 0.5) return kSqrt2 * erf_inverse(2 * p - 1);
  const double target = log(p);
  double x = p > 0.02 ? kSqrt2 * erf_inverse(2 * p - 1) : -sqrt(-2 * target);
  for (int i = 0; i < 12; ++i) {
    const double value = log_ndtr(x), slope = exp(-x * x / 2 - value) / sqrt(2 * kPi);
    const double step = (value - target) / slope;
    x -= step;
    if (fabs(step) < 1e-15 * fabs(x)) break;
  }
  return x;
}

__device__ inline double bessel_i0e(double x) { return bessel_scaled(0, fabs(x)); }
__device__ inline double bessel_i1e(double x) { return copysign(bessel_scaled(1, fabs(x)), x); }
__device__ inline double bessel_i0(double x) { return exp(fabs(x)) * bessel_i0e(x); }
__device__ inline double bessel_i1(double x) { return exp(fabs(x)) * bessel_i1e(x); }

__device__ inline double op_erfinv(double x) { return erf_inverse(x); }
__device__ inline float op_erfinv(float x) { return (float)erf_inverse((double)x); }
__device__ inline double op_erfcx(double x) { return scaled_erfc(x); }
__device__ inline float op_erfcx(float x) { return (float)scaled_erfc((double)x); }
__device__ inline double op_lgamma(double x) { return log_gamma(x); }
__device__ inline float op_lgamma(float x) { return (float)log_gamma((double)x); }
__device__ inline double op_digamma(double x) { return digamma(x); }
__device__ inline float op_digamma(float x) { return (float)digamma((double)x); }
__device__ inline double op_i0(double x) { return bessel_i0(x); }
__device__ inline float op_i0(float x) { return (float)bessel_i0((double)x); }
__device__ inline double op_i0e(double x) { return bessel_i0e(x); }
__device__ inline float op_i0e(float x) { return (float)bessel_i0e((double)x); }
__device__ inline double op_i1(double x) { return bessel_i1(x); }
__device__ inline float op_i1(float x) { return (float)bessel_i1((double)x); }
__device__ inline double op_i1e(double x) { return bessel_i1e(x); }
__device__ inline float op_i1e(float x) { return (float)bessel_i1e((double)x); }
__device__ inline double op_ndtri(double x) { return ndtri(x); }
__device__ inline float op_ndtri(float x) { return (float)ndtri((double)x); }
__device__ inline double op_log_ndtr(double x) { return log_ndtr(x); }
__device__ inline float op_log_ndtr(float x) { return (float)log_ndtr((double)x); }
__device__ inline double op_igamma(double x, double y) { return igamma(x, y); }
__device__ inline float op_igamma(float x, float y) { return (float)igamma((double)x, (double)y); }
__device__ inline double op_igammac(double x, double y) { return igammac(x, y); }
__device__ inline float op_igammac(float x, float y) { return (float)igammac((double)x, (double)y); }
__device__ inline double op_zeta(double x, double y) { return hurwitz_zeta(x, y); }
__device__ inline float op_zeta(float x, float y) { return (float)hurwitz_zeta((double)x, (double)y); }
__device__ inline double op_polygamma(double x, double y) { return polygamma(x, y); }
__device__ inline float op_polygamma(float x, float y) { return (float)polygamma((double)x, (double)y); }
