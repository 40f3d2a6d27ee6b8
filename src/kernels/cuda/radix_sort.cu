#include "kernels/cuda/radix_sort.h"

#include <cub/device/device_radix_sort.cuh>
#include <string>

#include "reprise/error.h"

namespace reprise::kernels::cuda {
namespace {

void check(cudaError_t result) {
  if (result != cudaSuccess) throw DeviceError(std::string("[kernels/sort] sorting failed (") + cudaGetErrorString(result) + ")");
}

template <class Key>
void sort(void* temporary, std::size_t& bytes, const void* keys, void* sorted_keys, const std::uint32_t* positions, std::uint32_t* sorted_positions,
          const RadixSort& sort, CUstream stream) {
  check(cub::DeviceRadixSort::SortPairs(temporary, bytes, static_cast<const Key*>(keys), static_cast<Key*>(sorted_keys), positions, sorted_positions,
                                        static_cast<std::uint32_t>(sort.count), sort.first_bit, sort.last_bit, stream));
}

}  // namespace

std::size_t RadixSort::temporary_bytes() const {
  std::size_t bytes = 0;
  const auto ask = key_bytes == 8 ? sort<std::uint64_t> : sort<std::uint32_t>;
  ask(nullptr, bytes, nullptr, nullptr, nullptr, nullptr, *this, nullptr);
  return bytes;
}

void RadixSort::enqueue(void* temporary, std::size_t bytes, const void* keys, void* sorted_keys, const std::uint32_t* positions,
                        std::uint32_t* sorted_positions, CUstream stream) const {
  const auto run = key_bytes == 8 ? sort<std::uint64_t> : sort<std::uint32_t>;
  run(temporary, bytes, keys, sorted_keys, positions, sorted_positions, *this, stream);
}

}  // namespace reprise::kernels::cuda
