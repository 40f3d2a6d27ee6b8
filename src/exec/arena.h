// Memory of one execution context that grows in place: address space for the most that can be needed, pages as they are needed.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "device/device.h"

namespace reprise::exec {

class Arena {
 public:
  /// `reserve_bytes`: the most that will be asked for; 0 when no bound is known. Nothing is reserved before the first `ensure`.
  Arena(device::DevicePtr device, std::size_t reserve_bytes) : device_(std::move(device)), reserve_bytes_(reserve_bytes) {}

  /// At least `bytes` bytes of memory behind base(). Only a demand past the reservation moves the base, and loses the contents; nothing may be in flight then.
  /// Throws OutOfMemory; the arena is then as before.
  void ensure(std::size_t bytes);
  /// Gives the memory back. Nothing may be in flight.
  void release();
  /// Null before the first `ensure`.
  [[nodiscard]] std::byte* base() const { return region_ == nullptr ? nullptr : region_->base(); }
  // Any thread may read these.
  [[nodiscard]] std::size_t reserved_bytes() const { return reserved_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t committed_bytes() const { return committed_.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] std::unique_ptr<device::Reservation> reserve_for(std::size_t bytes) const;

  device::DevicePtr device_;
  std::size_t reserve_bytes_;
  std::unique_ptr<device::Reservation> region_;
  std::atomic<std::size_t> reserved_ = 0, committed_ = 0;
};

}  // namespace reprise::exec
