// One owner for a C handle: pointer-sized, move-only, released by a function known at compile time.
#pragma once

#include <utility>

namespace reprise::base {

/// `Destroy` is called once on a handle that differs from `T{}`, and must not throw.
template <class T, auto Destroy>
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(T handle) noexcept : handle_(handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(other.release()) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~UniqueHandle() { reset(); }

  [[nodiscard]] T get() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != T{}; }
  [[nodiscard]] T release() noexcept { return std::exchange(handle_, T{}); }
  void reset(T handle = T{}) noexcept {
    T old = std::exchange(handle_, handle);
    if (old != T{}) Destroy(old);
  }

 private:
  T handle_{};
};

}  // namespace reprise::base
