// Operands seen as lines along one axis (or over several), for ops that work on one line at a time.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/reference/step.h"
#include "kernels/reference/strided.h"

namespace reprise::kernels::reference {

/// The dimensions of an operand split in two: positions in `around` name lines, positions in `line` elements of one.
struct Lines {
  OperandRef operand;
  Window around, line;

  [[nodiscard]] std::byte* at(void* const* bindings, std::int64_t index) const {
    return operand.at(bindings) + around.offset(index) * static_cast<std::int64_t>(item_size(operand.dtype));
  }
};

/// Lines over the dimensions `dims` (ascending).
inline Lines lines_over(const OperandRef& operand, std::span<const int> dims) {
  std::vector<int> others;
  for (int d = 0; d < operand.rank; ++d) {
    if (std::find(dims.begin(), dims.end(), d) == dims.end()) others.push_back(d);
  }
  return {operand, window_of(operand, others), window_of(operand, dims)};
}
/// The attribute `axis` as a list of dimensions: none for a scalar, which is a line of one.
inline std::vector<int> axis_list(const StepSpec& spec, int rank) {
  if (rank == 0) return {};
  return {axis_of(spec, spec.attrs->integer("axis"), rank)};
}

/// Folds n values with a commutative, associative `combine`, in lanes that the compiler may keep in vectors.
template <class T, class Combine>
T fold(const T* values, std::int64_t n, T start, const Combine& combine) {
  constexpr std::int64_t kLanes = 128 / sizeof(T);
  if (n < kLanes) {
    for (std::int64_t i = 0; i < n; ++i) start = combine(start, values[i]);
    return start;
  }
  T lanes[kLanes];
  std::copy_n(values, kLanes, lanes);
  std::int64_t i = kLanes;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = combine(lanes[lane], values[i + lane]);
  }
  for (; i < n; ++i) lanes[0] = combine(lanes[0], values[i]);
  for (const T value : lanes) start = combine(start, value);
  return start;
}

}  // namespace reprise::kernels::reference
