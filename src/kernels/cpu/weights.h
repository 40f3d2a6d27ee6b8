// Weights in the order in which a kernel of ours reads them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "kernels/kernel.h"

namespace reprise::kernels::cpu {

/// Version of all forms that kernels of ours pack, in files that hold them.
inline constexpr int kPackingFormats = 1;

/// A step's own form of a weight: packed when the step was made, or where weights are streamed by each run; or one that a file holds.
class PackedWeight {
 public:
  PackedWeight() = default;
  PackedWeight(std::shared_ptr<const std::byte> fixed, int slot) : fixed_(std::move(fixed)), slot_(slot) {}
  /// Aligned to 64 bytes.
  [[nodiscard]] const std::byte* at(void* const* bindings) const {
    return fixed_ ? fixed_.get() : static_cast<const std::byte*>(bindings[static_cast<std::size_t>(slot_)]);
  }

 private:
  std::shared_ptr<const std::byte> fixed_;
  int slot_ = -1;
};

/// One copy for all steps that want the same of the same. Thread safe.
class WeightCache {
 public:
  /// Writes a form of the weight whose first element is at `from`. Thread safe.
  using Pack = std::function<void(const std::byte* from, std::byte* to)>;
  /// `bytes` that `pack` makes of `w`, an operand of `spec` that is fixed; `form` tells all that the result depends on (kPackingFormats
  /// grows when what it tells means other bytes). Adds to StepSpec::packings where w is streamed; takes a stored form where there is one. Throws OutOfMemory.
  PackedWeight pack(const StepSpec& spec, const OperandRef& w, std::initializer_list<std::int64_t> form, std::size_t bytes, const Pack& pack);

 private:
  std::mutex mutex_;
  std::map<std::pair<const void*, std::string>, std::weak_ptr<const std::byte>> known_;  // by source and form
};

}  // namespace reprise::kernels::cpu
