#include "kernels/cpu/weights.h"

#include <fmt/ranges.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "base/check.h"
#include "kernels/stored_forms.h"

namespace reprise::kernels::cpu {
namespace {

std::shared_ptr<const std::byte> allocate_packed(std::size_t bytes) {
  constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;
  void* memory = nullptr;
  const int status = ::posix_memalign(&memory, bytes >= kHugePage ? kHugePage : kLine, std::max<std::size_t>(bytes, 1));
  REPRISE_CHECK(status == 0, OutOfMemory, "[kernels/pack] no memory for packed weights (want {} bytes)", bytes);
  if (bytes >= kHugePage) ::madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish: fewer translations while they stream by
  return {static_cast<std::byte*>(memory), [](const std::byte* p) { std::free(const_cast<std::byte*>(p)); }};
}

}  // namespace

PackedWeight WeightCache::pack(const StepSpec& spec, const OperandRef& w, std::initializer_list<std::int64_t> form, std::size_t bytes, const Pack& pack) {
  const std::int64_t offset = w.offset * static_cast<std::int64_t>(item_size(w.dtype));
  std::string name = fmt::format("{}", fmt::join(form, ","));
  if (w.slot >= spec.first_streamed_slot) {
    spec.packings->push_back({w.slot, bytes,
                              [pack, offset](const void* from, void* to) { pack(static_cast<const std::byte*>(from) + offset, static_cast<std::byte*>(to)); },
                              offset, std::move(name)});
    return {nullptr, w.slot};
  }
  const std::byte* from = w.at(spec.fixed.data());
  const std::byte* stored = spec.stored != nullptr ? spec.stored->find(from, name, bytes) : nullptr;
  if (stored != nullptr) return {std::shared_ptr<const std::byte>(std::shared_ptr<const void>(), stored), w.slot};
  const std::lock_guard lock(mutex_);
  auto& known = known_[{from, std::move(name)}];
  if (auto made = known.lock()) return {std::move(made), w.slot};
  auto made = allocate_packed(bytes);
  pack(from, const_cast<std::byte*>(made.get()));
  known = made;
  return {std::move(made), w.slot};
}

}  // namespace reprise::kernels::cpu
