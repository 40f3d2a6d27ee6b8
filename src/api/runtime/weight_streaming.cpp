#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "reprise/runtime.h"
#include "runtime/module_impl.h"

namespace reprise::runtime {
namespace {

std::int64_t total_of(const Module::Impl& impl) { return static_cast<std::int64_t>(impl.executable->weights().streamable_bytes()); }
std::int64_t budget_of(const Module::Impl& impl) { return total_of(impl) == 0 ? 0 : static_cast<std::int64_t>(impl.executable->weights().budget()); }

}  // namespace

std::int64_t WeightStreamingScope::device_budget() const { return budget_of(*module().impl()); }
std::int64_t WeightStreamingScope::total_device_budget() const { return total_of(*module().impl()); }
std::int64_t WeightStreamingScope::automatic_budget() const { return static_cast<std::int64_t>(module().impl()->automatic_weight_budget()); }

void WeightStreamingScope::set_device_budget(std::int64_t bytes) {
  const auto& impl = module().impl();
  const std::int64_t total = total_of(*impl);
  REPRISE_CHECK(total > 0, InvalidArgument, "[run/weight_streaming] Streamable bytes are zero. Was the module compiled with enable_weight_streaming=True?");
  REPRISE_CHECK(bytes >= 0, InvalidArgument, "[run/weight_streaming] Requested budget cannot be negative (got {})", bytes);
  if (bytes > total) base::log(LogLevel::warning, "[run/weight_streaming] a budget of {} bytes is more than all weights need: it is set to {}", bytes, total);
  impl->weight_budget.set(static_cast<std::size_t>(std::min(bytes, total)), [&](std::size_t budget) { impl->set_weight_budget(budget); });
}

std::vector<EngineBudget> WeightStreamingScope::engine_budgets() const {
  const auto& impl = module().impl();
  std::vector<EngineBudget> budgets;
  if (total_of(*impl) == 0) return budgets;
  for (const auto& engine : impl->executable->weights().engines())
    budgets.push_back({engine.segment, static_cast<std::int64_t>(engine.bytes), static_cast<std::int64_t>(engine.budget)});
  return budgets;
}

WeightStreamingScope weight_streaming(const Module& module) {
  const auto impl = module.impl();
  const auto id = impl->weight_budget.open([&] { return impl->executable->weights().budget(); });
  return {module, [impl, id] {
            try {
              impl->weight_budget.close(id, [&](std::size_t budget) {
                if (total_of(*impl) > 0) impl->set_weight_budget(budget);
              });
            } catch (const std::exception& error) {
              base::log(LogLevel::warning, "[run/weight_streaming] the budget before cannot be restored, more weights are streamed: {}", error.what());
            }
          }};
}

bool is_weight_streaming_set(const Module& module) { return budget_of(*module.impl()) < total_of(*module.impl()); }

}  // namespace reprise::runtime
