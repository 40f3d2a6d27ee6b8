// Softmax of one row, for the op and for attention.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/reference/lines.h"
#include "kernels/reference/scalar_primitives.h"
#include "kernels/reference/vector_math.h"

namespace reprise::kernels::reference {

inline float exponential_of(float x) { return vector_exp(x); }
inline double exponential_of(double x) { return std::exp(x); }

/// row[i] = exp(row[i] - max); gives the maximum and the sum, which is accumulated in f64.
template <class T>
struct ExponentiateRow {
  static void run(T* row, std::int64_t n, T* maximum, double* sum) {
    const T max = fold(row, n, -std::numeric_limits<T>::infinity(), [](T a, T b) { return larger<false>(a, b); });
    constexpr std::int64_t kLanes = 16;
    double lanes[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += row[i + lane] = exponential_of(row[i + lane] - max);
    }
    for (; i < n; ++i) lanes[0] += row[i] = exponential_of(row[i] - max);
    double total = 0;
    for (const double lane : lanes) total += lane;
    *maximum = max;
    *sum = total;
  }
};

}  // namespace reprise::kernels::reference
