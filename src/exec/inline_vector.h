// A fixed-size array that lives on the stack up to N elements: what a call needs before it owns an execution context.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace reprise::exec {

template <class T, std::size_t N>
class InlineVector {
 public:
  explicit InlineVector(std::size_t size) : size_(size) {
    if (size > N) heap_ = std::make_unique<T[]>(size);
  }
  [[nodiscard]] T* data() { return heap_ != nullptr ? heap_.get() : inline_.data(); }
  [[nodiscard]] const T* data() const { return heap_ != nullptr ? heap_.get() : inline_.data(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] T& operator[](std::size_t i) { return data()[i]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return data()[i]; }
  [[nodiscard]] std::span<T> span() { return {data(), size_}; }
  [[nodiscard]] std::span<const T> span() const { return {data(), size_}; }

 private:
  std::size_t size_;
  std::array<T, N> inline_{};
  std::unique_ptr<T[]> heap_;
};

}  // namespace reprise::exec
