// An output allocator with a style: it may refuse bounds, and use its memory again.
#pragma once

#include <array>
#include <atomic>

#include "reprise/runtime.h"

namespace reprise::test::checker {

class Pool final : public runtime::OutputAllocator {
 public:
  std::atomic<std::size_t> y_bytes = 0;  // asked last

  explicit Pool(unsigned style) : refuse_bounds_(style % 2 != 0), reuse_(style / 2 % 2 != 0) {}
  Tensor allocate(const runtime::OutputRequest& request) override {
    if (request.index == 0) y_bytes = request.bytes;
    if (request.is_bound && refuse_bounds_) return {};
    const std::int64_t sizes[] = {static_cast<std::int64_t>(request.bytes) + 16};
    Tensor fresh = runtime::empty(sizes, DType::u8, request.device);
    if (!reuse_) return fresh;
    Tensor& kept = kept_[2 * request.index + request.is_bound];
    if (!kept.defined() || kept.nbytes() < request.bytes) kept = fresh;
    return kept;
  }

 private:
  bool refuse_bounds_, reuse_;
  std::array<Tensor, 16> kept_;
};

}  // namespace reprise::test::checker
