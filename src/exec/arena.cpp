#include "exec/arena.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::exec {
namespace {

// Address space costs nothing, moving does: where no bound is known, ask for plenty.
constexpr std::size_t kUnknownBound = std::size_t{16} << 30;

}  // namespace

std::unique_ptr<device::Reservation> Arena::reserve_for(std::size_t bytes) const {
  const std::size_t plenty = reserve_bytes_ != 0 ? reserve_bytes_ : kUnknownBound;
  if (bytes <= plenty) {
    try {
      return device_->reserve(plenty);
    } catch (const OutOfMemory&) {
      // The process may run under an address space limit that the call itself fits in.
    }
  }
  return device_->reserve(bytes > plenty ? bytes + bytes / 2 : bytes);
}

void Arena::ensure(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 1);
  if (region_ == nullptr || bytes > region_->reserved()) {
    auto fresh = reserve_for(bytes);
    fresh->commit(bytes);
    region_ = std::move(fresh);
  } else {
    region_->commit(bytes);
  }
  reserved_.store(region_->reserved(), std::memory_order_relaxed);
  committed_.store(region_->committed(), std::memory_order_relaxed);
}

void Arena::release() {
  region_ = nullptr;
  reserved_.store(0, std::memory_order_relaxed);
  committed_.store(0, std::memory_order_relaxed);
}

}  // namespace reprise::exec
