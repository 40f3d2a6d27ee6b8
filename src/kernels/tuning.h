// What tuners of all devices need: which commands are worth a measurement, and what to measure them with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernel.h"

namespace reprise::kernels {

/// Multiplications of a matmul or conv; 0 for other ops, and where operands are missing.
std::int64_t multiplications(const StepSpec& spec);

/// `bytes` bytes of values that any kernel may multiply: small numbers of both signs, ones and zeros of integers and bools.
std::vector<std::byte> sample_values(DType dtype, std::size_t bytes);

}  // namespace reprise::kernels
