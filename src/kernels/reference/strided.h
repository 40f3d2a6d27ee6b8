// Strided windows read and written as if they were vectors: position i is the i-th element in row-major order of the window's sizes.
//
// Everything that is not worth a loop of its own for each layout goes through these: whatever the strides, a kernel sees runs of elements of the type it
// computes in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kernel.h"

namespace reprise::kernels::reference {

/// Sizes and strides of a window with dimensions of size 1 dropped and neighbours merged where the strides allow.
class Window {
 public:
  Window() = default;
  Window(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides);

  [[nodiscard]] std::int64_t numel() const { return numel_; }
  /// Elements follow each other without gaps.
  [[nodiscard]] bool dense() const { return rank_ == 0 || (rank_ == 1 && strides_[0] == 1); }
  /// One element repeated.
  [[nodiscard]] bool uniform() const { return rank_ == 0 || (rank_ == 1 && strides_[0] == 0); }
  /// Offset of the element at `position`.
  [[nodiscard]] std::int64_t offset(std::int64_t position) const;

  /// Calls f(offset, stride, n) for the runs of [begin, begin + n), n elements each `stride` apart, in order.
  template <class F>
  void for_each_run(std::int64_t begin, std::int64_t n, F&& f) const {
    if (n == 0) return;
    if (rank_ <= 1) return f(rank_ == 0 ? 0 : begin * strides_[0], rank_ == 0 ? 0 : strides_[0], n);
    std::array<std::int64_t, kMaxRank> index;
    std::int64_t at = locate(begin, index);
    const int last = rank_ - 1;
    while (true) {
      const std::int64_t run = n < sizes_[last] - index[last] ? n : sizes_[last] - index[last];
      f(at, strides_[last], run);
      if ((n -= run) == 0) return;
      at -= index[last] * strides_[last];
      index[last] = 0;
      for (int d = last - 1; d >= 0; --d) {
        at += strides_[d];
        if (++index[d] < sizes_[d]) break;
        at -= sizes_[d] * strides_[d];
        index[d] = 0;
      }
    }
  }

 private:
  std::int64_t locate(std::int64_t position, std::array<std::int64_t, kMaxRank>& index) const;

  int rank_ = 0;
  std::int64_t numel_ = 1;
  std::array<std::int64_t, kMaxRank> sizes_{}, strides_{};
};

/// dst[i] = src[i * stride] converted, for n elements.
using ReadRun = void (*)(void* dst, const std::byte* src, std::int64_t stride, std::int64_t n);
/// dst[i * stride] = src[i] converted.
using WriteRun = void (*)(std::byte* dst, std::int64_t stride, const void* src, std::int64_t n);

/// Memory of dtype `memory` seen as `value`: f32, f64, i64, u64, or `memory` itself.
ReadRun read_run(DType memory, DType value);
WriteRun write_run(DType memory, DType value);

class Reader {
 public:
  Reader() = default;
  Reader(DType memory, const Window& window, DType value)
      : window_(window), run_(read_run(memory, value)), item_(item_size(memory)), value_item_(item_size(value)), direct_(memory == value && window.dense()) {}
  Reader(const OperandRef& operand, DType value)
      : Reader(operand.dtype, Window(operand.shape(), {operand.strides.data(), static_cast<std::size_t>(operand.rank)}), value) {}

  /// The elements [begin, begin + n) of the window whose first element is at `base`.
  void read(const std::byte* base, std::int64_t begin, std::int64_t n, void* dst) const {
    window_.for_each_run(begin, n, [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
      run_(dst, base + offset * static_cast<std::int64_t>(item_), stride, count);
      dst = static_cast<std::byte*>(dst) + count * static_cast<std::int64_t>(value_item_);
    });
  }
  /// The same without a copy where memory already holds them as wanted, otherwise read into `buffer`.
  template <class T>
  const T* view(const std::byte* base, std::int64_t begin, std::int64_t n, T* buffer) const {
    if (direct_) return reinterpret_cast<const T*>(base) + begin;
    read(base, begin, n, buffer);
    return buffer;
  }
  [[nodiscard]] const Window& window() const { return window_; }
  [[nodiscard]] bool direct() const { return direct_; }
  [[nodiscard]] std::size_t item() const { return item_; }

 private:
  Window window_;
  ReadRun run_ = nullptr;
  std::size_t item_ = 0, value_item_ = 0;
  bool direct_ = false;
};

class Writer {
 public:
  Writer() = default;
  Writer(DType memory, const Window& window, DType value)
      : window_(window), run_(write_run(memory, value)), item_(item_size(memory)), value_item_(item_size(value)), direct_(memory == value && window.dense()) {}
  Writer(const OperandRef& operand, DType value)
      : Writer(operand.dtype, Window(operand.shape(), {operand.strides.data(), static_cast<std::size_t>(operand.rank)}), value) {}

  void write(std::byte* base, std::int64_t begin, std::int64_t n, const void* src) const {
    window_.for_each_run(begin, n, [&](std::int64_t offset, std::int64_t stride, std::int64_t count) {
      run_(base + offset * static_cast<std::int64_t>(item_), stride, src, count);
      src = static_cast<const std::byte*>(src) + count * static_cast<std::int64_t>(value_item_);
    });
  }
  [[nodiscard]] const Window& window() const { return window_; }
  [[nodiscard]] bool direct() const { return direct_; }
  [[nodiscard]] std::size_t item() const { return item_; }

 private:
  Window window_;
  WriteRun run_ = nullptr;
  std::size_t item_ = 0, value_item_ = 0;
  bool direct_ = false;
};

/// A part of an operand's dimensions, in the order given.
Window window_of(const OperandRef& operand, std::span<const int> dims);

}  // namespace reprise::kernels::reference
