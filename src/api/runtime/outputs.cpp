#include <memory>

#include "reprise/runtime.h"
#include "runtime/device_tensor.h"
#include "runtime/module_impl.h"

namespace reprise::runtime {
namespace {

/// Asks for no more than what is needed.
class ExactOutputs final : public OutputAllocator {
 public:
  Tensor allocate(const OutputRequest& request) override {
    if (request.is_bound) return {};
    const std::int64_t sizes[] = {static_cast<std::int64_t>(request.bytes)};
    return empty(sizes, DType::u8, request.device);
  }
};

ModuleScope open(const Module& module, OutputSource source) {
  const auto impl = module.impl();
  const auto id = impl->modes.open_outputs(std::move(source));
  return {module, [impl, id] { impl->modes.close_outputs(id); }};
}

}  // namespace

ModuleScope enable_pre_allocated_outputs(const Module& module) { return open(module, {.preallocated = std::make_shared<PreallocatedOutputs>()}); }

ModuleScope enable_output_allocator(const Module& module, std::shared_ptr<OutputAllocator> allocator) {
  if (allocator == nullptr) allocator = std::make_shared<ExactOutputs>();
  return open(module, {.allocator = std::move(allocator)});
}

}  // namespace reprise::runtime
