// Which bytes a tensor touches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "reprise/tensor.h"

namespace reprise::runtime {

/// First byte and one past the last; of a tensor with elements.
inline std::pair<std::uintptr_t, std::uintptr_t> byte_range(const Tensor& tensor) {
  std::int64_t last = 0;
  for (std::size_t d = 0; d < tensor.sizes().size(); ++d) last += (tensor.sizes()[d] - 1) * tensor.strides()[d];
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data());
  return {begin, begin + (static_cast<std::size_t>(last) + 1) * item_size(tensor.dtype())};
}

inline bool overlap(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined() || a.numel() == 0 || b.numel() == 0) return false;
  const auto [a_begin, a_end] = byte_range(a);
  const auto [b_begin, b_end] = byte_range(b);
  return a_begin < b_end && b_begin < a_end;
}

inline bool is_aligned(const Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.data()) % item_size(tensor.dtype()) == 0; }

}  // namespace reprise::runtime
