// Special functions of reals in double precision; results at poles, infinities and outside the domain are PyTorch's.
#pragma once

namespace reprise::kernels::reference {

double log_gamma(double x);
double digamma(double x);
double polygamma(double order, double x);
double hurwitz_zeta(double x, double q);
double igamma(double a, double x);   // regularized lower incomplete gamma
double igammac(double a, double x);  // 1 - igamma, without cancellation
double erf_inverse(double x);
double erfcx(double x);
double ndtri(double p);
double log_ndtr(double x);
double bessel_i0e(double x);
double bessel_i1e(double x);
double bessel_i0(double x);
double bessel_i1(double x);

}  // namespace reprise::kernels::reference
