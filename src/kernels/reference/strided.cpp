#include "kernels/reference/strided.h"

#include <algorithm>

#include "kernels/isa.h"
#include "kernels/reference/convert.h"
#include "tensor/strided_copy.h"

namespace reprise::kernels::reference {

Window::Window(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) {
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    numel_ *= sizes[d];
    if (sizes[d] == 1) continue;
    if (rank_ > 0 && strides_[rank_ - 1] == sizes[d] * strides[d]) {
      sizes_[rank_ - 1] *= sizes[d];
      strides_[rank_ - 1] = strides[d];
    } else {
      sizes_[rank_] = sizes[d];
      strides_[rank_++] = strides[d];
    }
  }
}

std::int64_t Window::offset(std::int64_t position) const {
  if (rank_ <= 1) return rank_ == 0 ? 0 : position * strides_[0];
  std::array<std::int64_t, kMaxRank> index;
  return locate(position, index);
}

std::int64_t Window::locate(std::int64_t position, std::array<std::int64_t, kMaxRank>& index) const {
  std::int64_t at = 0;
  for (int d = rank_ - 1; d >= 0; --d) {
    index[d] = position % sizes_[d];
    position /= sizes_[d];
    at += index[d] * strides_[d];
  }
  return at;
}

Window window_of(const OperandRef& operand, std::span<const int> dims) {
  std::array<std::int64_t, kMaxRank> sizes, strides;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    sizes[i] = operand.sizes[dims[i]];
    strides[i] = operand.strides[dims[i]];
  }
  return {{sizes.data(), dims.size()}, {strides.data(), dims.size()}};
}

namespace {

template <class E, class T>
struct Read {
  static void run(void* dst_bytes, const std::byte* src_bytes, std::int64_t stride, std::int64_t n) {
    auto* dst = static_cast<T*>(dst_bytes);
    const auto* src = reinterpret_cast<const E*>(src_bytes);
    if (stride == 1) {
      for (std::int64_t i = 0; i < n; ++i) dst[i] = convert<T>(src[i]);
    } else if (stride == 0) {
      std::fill_n(dst, n, convert<T>(*src));
    } else {
      for (std::int64_t i = 0; i < n; ++i) dst[i] = convert<T>(src[i * stride]);
    }
  }
};

template <class E, class T>
struct Write {
  static void run(std::byte* dst_bytes, std::int64_t stride, const void* src_bytes, std::int64_t n) {
    auto* dst = reinterpret_cast<E*>(dst_bytes);
    const auto* src = static_cast<const T*>(src_bytes);
    if (stride == 1) {
      for (std::int64_t i = 0; i < n; ++i) dst[i] = convert<E>(src[i]);
    } else {
      for (std::int64_t i = 0; i < n; ++i) dst[i * stride] = convert<E>(src[i]);
    }
  }
};

// Half precision is worth wide vectors; the other conversions are bound by memory.
template <template <class, class> class Loop, class E, class T>
auto variant() {
  if constexpr (kIsHalf<E> && std::is_same_v<T, float>)
    return best<Loop<E, T>>();
  else
    return &Loop<E, T>::run;
}

template <template <class, class> class Loop>
auto run_for(DType memory, DType value) {
  return tensor::dispatch(memory, [&](auto element) -> decltype(&Loop<float, float>::run) {
    using E = decltype(element);
    switch (value) {
      case DType::f32:
        return variant<Loop, E, float>();
      case DType::f64:
        return variant<Loop, E, double>();
      case DType::i64:
        return variant<Loop, E, std::int64_t>();
      case DType::u64:
        return variant<Loop, E, std::uint64_t>();
      default:
        REPRISE_CHECK(value == memory, InvalidArgument, "[kernels/convert] no conversion (got {} to {})", name(memory), name(value));
        return variant<Loop, E, E>();
    }
  });
}

}  // namespace

ReadRun read_run(DType memory, DType value) { return run_for<Read>(memory, value); }
WriteRun write_run(DType memory, DType value) { return run_for<Write>(memory, value); }

}  // namespace reprise::kernels::reference
