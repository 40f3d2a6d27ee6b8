// The types that values of each dtype are computed in.
#pragma once

#include <cstdint>
#include <type_traits>

#include "reprise/dtype.h"
#include "tensor/convert.h"

namespace reprise::kernels::reference {

using tensor::convert;
using tensor::kIsHalf;

/// The type that values of an element type are computed in.
template <class E>
using compute_t = std::conditional_t<kIsHalf<E>, float, E>;

constexpr DType compute_dtype(DType t) { return t == DType::f16 || t == DType::bf16 ? DType::f32 : t; }

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return DType::u64;
}

}  // namespace reprise::kernels::reference
