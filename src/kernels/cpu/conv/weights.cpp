#include "kernels/cpu/conv/weights.h"

#include "kernels/cpu/gemm/panels.h"

namespace reprise::kernels::cpu {

PackedWeight WeightCache::pack(const StepSpec& spec, const OperandRef& w, std::vector<std::int64_t> form, std::size_t bytes, const Pack& pack) {
  const std::int64_t offset = w.offset * static_cast<std::int64_t>(item_size(w.dtype));
  if (w.slot >= spec.first_streamed_slot) {
    spec.packings->push_back(
        {w.slot, bytes, [pack, offset](const void* from, void* to) { pack(static_cast<const std::byte*>(from) + offset, static_cast<std::byte*>(to)); }});
    return {nullptr, w.slot};
  }
  const std::byte* from = w.at(spec.fixed.data());
  const std::lock_guard lock(mutex_);
  auto& known = known_[{from, std::move(form)}];
  if (auto made = known.lock()) return {std::move(made), w.slot};
  auto made = allocate_packed(bytes);
  pack(from, const_cast<std::byte*>(made.get()));
  known = made;
  return {std::move(made), w.slot};
}

}  // namespace reprise::kernels::cpu
