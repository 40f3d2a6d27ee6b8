// Calls a generic function with the C++ type of a dtype's elements.
#pragma once

#include <cstdint>

#include "reprise/dtype.h"
#include "tensor/half.h"

namespace reprise::kernels::reference {

template <class F>
decltype(auto) visit(DType dtype, const F& f) {
  switch (dtype) {
    case DType::boolean:
      return f(bool{});
    case DType::u8:
      return f(std::uint8_t{});
    case DType::i8:
      return f(std::int8_t{});
    case DType::i16:
      return f(std::int16_t{});
    case DType::i32:
      return f(std::int32_t{});
    case DType::i64:
      return f(std::int64_t{});
    case DType::f16:
      return f(Half{});
    case DType::bf16:
      return f(BFloat16{});
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::u16:
      return f(std::uint16_t{});
    case DType::u32:
      return f(std::uint32_t{});
    case DType::u64:
      break;
  }
  return f(std::uint64_t{});
}

}  // namespace reprise::kernels::reference
