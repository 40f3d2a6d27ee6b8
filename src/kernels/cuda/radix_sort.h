// CUB's radix sort, compiled ahead: for rows so long that merging rounds cost more than passes over digits.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

namespace reprise::kernels::cuda {

/// Unsigned keys of 4 or 8 bytes, of which the bits from `first_bit` to before `last_bit` count, beside 32-bit positions. Stable.
struct RadixSort {
  std::int64_t count = 0;  // below 2^32
  int key_bytes = 4;
  int first_bit = 0, last_bit = 32;

  /// Temporary memory. With the GPU's context current.
  [[nodiscard]] std::size_t temporary_bytes() const;
  /// Adds it to `stream`; `keys` and `positions` stay as they are. Throws DeviceError.
  void enqueue(void* temporary, std::size_t bytes, const void* keys, void* sorted_keys, const std::uint32_t* positions, std::uint32_t* sorted_positions,
               CUstream stream) const;
};

}  // namespace reprise::kernels::cuda
