#include "kernels/reference/special.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace reprise::kernels::reference {
namespace {

constexpr double kPi = std::numbers::pi, kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// B_2k / (2k)! for Euler–Maclaurin sums.
constexpr double kBernoulli[] = {
    1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160, -691.0 / 1307674368000.0, 1.0 / 74724249600.0, -3617.0 / 10670622842880000.0};

bool is_integer(double x) { return x == std::floor(x); }

double sqr(double x) { return x * x; }

/// x^a e^-x / Γ(a) without overflow.
double gamma_density(double a, double x) { return std::exp(a * std::log(x) - x - log_gamma(a)); }

// Σ x^n / (a (a+1) … (a+n)): for x below a + 1.
double igamma_series(double a, double x) {
  double term = 1 / a, sum = term;
  for (double n = 1; term > sum * kEpsilon && n < 1e6; ++n) sum += term *= x / (a + n);
  return sum * gamma_density(a, x);
}

// Legendre's continued fraction of Γ(a, x), evaluated forward (Lentz): for x above a + 1.
double igammac_fraction(double a, double x) {
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a, c = 1 / kTiny, d = 1 / b, result = d;
  for (double n = 1; n < 1e6; ++n) {
    const double numerator = -n * (n - a);
    b += 2;
    d = 1 / (std::abs(numerator * d + b) < kTiny ? kTiny : numerator * d + b);
    c = b + numerator / c;
    if (std::abs(c) < kTiny) c = kTiny;
    result *= c * d;
    if (std::abs(c * d - 1) < kEpsilon) break;
  }
  return result * gamma_density(a, x);
}

/// Values of igamma at the borders of its domain; nan inside.
double igamma_border(double a, double x) {
  if (std::isinf(a)) return std::isinf(x) ? kNan : 0;
  return a == 0 || std::isinf(x) ? 1 : 0;
}
bool igamma_outside(double a, double x) { return !(x >= 0) || !(a >= 0) || (a == 0 && x == 0); }
bool igamma_at_border(double a, double x) { return a == 0 || x == 0 || std::isinf(a) || std::isinf(x); }

/// e^-|x| I_order(x) for x >= 0, order 0 or 1: the power series (all terms positive), and Hankel's expansion where that has converged.
double bessel_scaled(int order, double x) {
  if (x <= 36) {
    const double quarter = x * x / 4;
    double term = order == 0 ? 1 : x / 2, sum = term;
    for (double n = 1; term > sum * kEpsilon; ++n) sum += term *= quarter / (n * (n + order));
    return sum * std::exp(-x);
  }
  double term = 1, sum = 1;
  for (double n = 1; n < 30 && std::abs(term) > kEpsilon; ++n) sum += term *= (sqr(2 * n - 1) - 4.0 * order) / (8 * n * x);
  return sum / std::sqrt(2 * kPi * x);
}

}  // namespace

double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);  // std::lgamma writes a global
}

double digamma(double x) {
  if (x == 0) return std::copysign(kInf, -x);
  if (x < 0) return is_integer(x) ? kNan : digamma(1 - x) - kPi / std::tan(kPi * (x - std::floor(x)));
  double result = 0;
  for (; x < 10; ++x) result -= 1 / x;
  const double y = 1 / (x * x);
  const double tail = y * (1.0 / 12 - y * (1.0 / 120 - y * (1.0 / 252 - y * (1.0 / 240 - y * (1.0 / 132 - y * (691.0 / 32760 - y / 12))))));
  return result + std::log(x) - 0.5 / x - tail;
}

double hurwitz_zeta(double x, double q) {
  if (x == 1) return kInf;
  if (!(x > 1) || std::isinf(x)) return kNan;
  if (q <= 0) {
    if (is_integer(q)) return kInf;
    if (!is_integer(x)) return kNan;  // q^-x is not real
  }
  double sum = 0;
  for (; q < 12; ++q) {
    const double term = std::pow(q, -x);
    sum += term;
    if (q > 0 && std::abs(term) < std::abs(sum) * kEpsilon / 64) return sum;
  }
  double power = std::pow(q, -x), result = sum + power * q / (x - 1) + power / 2;
  double rising = x * power / q;  // x (x+1) … q^-(x+2k+1)
  for (int k = 0; k < 8; ++k) {
    result += kBernoulli[k] * rising;
    rising *= (x + 2 * k + 1) * (x + 2 * k + 2) / (q * q);
  }
  return result;
}

double polygamma(double order, double x) {
  if (order == 0) return digamma(x);
  const double sign = std::fmod(order, 2) == 0 ? -1 : 1;
  return sign * std::exp(log_gamma(order + 1)) * hurwitz_zeta(order + 1, x);
}

double igamma(double a, double x) {
  if (igamma_outside(a, x)) return kNan;
  if (igamma_at_border(a, x)) return igamma_border(a, x);
  return x < a + 1 ? igamma_series(a, x) : 1 - igammac_fraction(a, x);
}

double igammac(double a, double x) {
  if (igamma_outside(a, x)) return kNan;
  if (igamma_at_border(a, x)) return 1 - igamma_border(a, x);
  return x < a + 1 ? 1 - igamma_series(a, x) : igammac_fraction(a, x);
}

// Winitzki's estimate, then Newton on erfc(y) = 1 - |x|, which keeps its digits near 1.
double erf_inverse(double x) {
  const double magnitude = std::abs(x);
  if (!(magnitude <= 1)) return kNan;
  if (magnitude == 1) return std::copysign(kInf, x);
  if (magnitude < 1e-8) return x * std::sqrt(kPi) / 2;
  const double log_term = std::log1p(-x * x), a = 0.147, half = 2 / (kPi * a) + log_term / 2;
  double y = std::sqrt(std::sqrt(half * half - log_term / a) - half);
  for (int i = 0; i < 4; ++i) {
    const double error = magnitude < 0.5 ? magnitude - std::erf(y) : std::erfc(y) - (1 - magnitude);
    const double step = error * std::sqrt(kPi) / 2 * std::exp(y * y);
    y += step / (1 - y * step);  // Halley
  }
  return std::copysign(y, x);
}

double erfcx(double x) {
  if (x < 25) return std::exp(x * x) * std::erfc(x);
  const double y = 1 / (2 * x * x);
  return (1 - y * (1 - 3 * y * (1 - 5 * y * (1 - 7 * y * (1 - 9 * y))))) / (x * std::sqrt(kPi));
}

double log_ndtr(double x) {
  const double scaled = x / std::numbers::sqrt2;
  return x < -1 ? std::log(erfcx(-scaled) / 2) - scaled * scaled : std::log1p(-std::erfc(scaled) / 2);
}

// Newton on log Φ(x) = log p, which is concave: from the left it converges without overshooting.
double ndtri(double p) {
  if (!(p >= 0 && p <= 1)) return kNan;
  if (p == 0 || p == 1) return p == 0 ? -kInf : kInf;
  if (p > 0.5) return std::numbers::sqrt2 * erf_inverse(2 * p - 1);
  const double target = std::log(p);
  double x = p > 0.02 ? std::numbers::sqrt2 * erf_inverse(2 * p - 1) : -std::sqrt(-2 * target);
  for (int i = 0; i < 12; ++i) {
    const double value = log_ndtr(x), slope = std::exp(-x * x / 2 - value) / std::sqrt(2 * kPi);
    const double step = (value - target) / slope;
    x -= step;
    if (std::abs(step) < 1e-15 * std::abs(x)) break;
  }
  return x;
}

double bessel_i0e(double x) { return bessel_scaled(0, std::abs(x)); }
double bessel_i1e(double x) { return std::copysign(bessel_scaled(1, std::abs(x)), x); }
double bessel_i0(double x) { return std::exp(std::abs(x)) * bessel_i0e(x); }
double bessel_i1(double x) { return std::exp(std::abs(x)) * bessel_i1e(x); }

}  // namespace reprise::kernels::reference
