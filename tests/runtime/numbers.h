// Numbers for weights and inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace reprise::test {

/// In [-1/8, 1/8), the same of one seed.
inline std::vector<float> numbers(std::int64_t count, unsigned seed) {
  std::vector<float> all(static_cast<std::size_t>(count));
  for (auto& value : all) value = static_cast<float>((seed = seed * 1664525u + 1013904223u) >> 16 & 255u) / 1024.0F - 0.125F;
  return all;
}

}  // namespace reprise::test
