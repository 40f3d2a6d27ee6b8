#include "exec/executable.h"

#include <algorithm>
#include <thread>

#include "base/check.h"
#include "exec/sums_in_place.h"
#include "kernels/provider.h"
#include "plan/commands.h"

namespace reprise::exec {
namespace {

int thread_count(int asked) { return asked > 0 ? asked : static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

std::size_t position_count(const plan::Plan& plan) {
  std::size_t count = 0;
  plan::for_each_command(plan, [&](const plan::Command& command) { count = std::max(count, static_cast<std::size_t>(command.position) + 1); });
  return count;
}

/// The symbols with every range widened or narrowed to what the profiles admit.
sym::SymbolTable widest_ranges(const plan::Plan& plan) {
  sym::SymbolTable table;
  for (int i = 0; i < plan.symbols.size(); ++i) {
    sym::SymbolInfo info = plan.symbols.at(i);
    std::int64_t max = plan.profiles.empty() ? info.range.max : 0;
    for (const auto& profile : plan.profiles) max = std::max(max, profile.max[static_cast<std::size_t>(i)]);
    info.range = {0, std::min(max, info.range.max)};
    table.add(std::move(info));
  }
  return table;
}

}  // namespace

Executable::Executable(plan::PlanPtr plan, device::DevicePtr device, std::span<void* const> states, kernels::StepMaker step_maker,
                       const kernels::ForeignKernels& foreign)
    : plan_(device->host_visible() ? place_sums(std::move(plan)) : std::move(plan)),
      device_(std::move(device)),
      schedule_(make_schedule(*plan_)),
      binder_(*plan_),
      make_step_(std::move(step_maker)),
      stored_(*plan_, kernels::packing_tag(device_)),
      threads_(thread_count(plan_->settings.threads)),
      scratch_slots_(device_->host_visible() ? position_count(*plan_) : 0),
      fixed_bindings_(slot_count()),
      input_buffers_(plan_->inputs.size()),
      output_buffers_(plan_->outputs.size(), -1) {
  REPRISE_CHECK(!plan_->blocks.empty(), FormatError, "[run/load] the plan has no blocks");
  plan::for_each_command(*plan_, [&](const plan::Command& command) {
    if (command.op == core::Op::foreign) foreign_.try_emplace(command.attrs.text("name"), foreign.find(command.attrs.text("name")));
  });
  bind_buffers(states);
  for (std::size_t i = 0; i < plan_->outputs.size(); ++i) {
    const bool tensor = plan_->outputs[i].kind == plan::OutputSpec::Kind::tensor;
    REPRISE_CHECK(!tensor || output_buffers_[i] >= 0, FormatError, "[run/load] output '{}' has no buffer", plan_->outputs[i].name);
  }
  largest_memory_ = plan_largest();
  weights_ = std::make_unique<WeightStore>(*plan_, schedule_, device_, stored_, largest_memory_ ? largest_memory_->total_bytes : 0);
}

kernels::ForeignKernelPtr Executable::foreign(const plan::Command& command) const {
  const auto found = foreign_.find(command.attrs.text("name"));
  return found == foreign_.end() ? nullptr : found->second;
}

std::string Executable::why_live(const plan::Command& command) const {
  if (command.op != core::Op::foreign) return "";
  const auto kernel = foreign(command);
  return kernel == nullptr || kernel->not_capturable.empty() ? "" : fmt::format("foreign kernel '{}': {}", kernel->name, kernel->not_capturable);
}

void Executable::bind_buffers(std::span<void* const> states) {
  for (std::size_t slot = 0; slot < plan_->buffers.size(); ++slot) {
    const auto& buffer = plan_->buffers[slot];
    const auto index = static_cast<std::size_t>(buffer.index);
    const auto id = static_cast<plan::BufferId>(slot);
    switch (buffer.kind) {
      case plan::BufferKind::temp:
        if (!buffer.dynamic && buffer.last >= 0) arena_buffers_.push_back(id);
        break;
      case plan::BufferKind::input:
        input_buffers_.at(index).push_back(id);
        break;
      case plan::BufferKind::output:
        REPRISE_CHECK(output_buffers_.at(index) < 0, FormatError, "[run/load] output '{}' has two buffers", plan_->outputs[index].name);
        output_buffers_[index] = id;
        break;
      case plan::BufferKind::weight:
        if (!device_->host_visible()) break;
        weight_bindings_.resize(slot_count());
        weight_bindings_[slot] = plan_->weights.at(index).data.data();
        break;
      case plan::BufferKind::state:
        REPRISE_CHECK(index < states.size(), FormatError, "[run/load] buffer '{}' names a state that is not there (got {})", buffer.name, index);
        fixed_bindings_[slot] = states[index];
        break;
    }
  }
}

std::optional<MemoryPlan> Executable::plan_largest() const {
  const auto symbols = widest_ranges(*plan_);
  std::vector<BufferLife> lives;
  // Beyond this no reservation is made: far more than a machine has, yet sums of it do not overflow.
  constexpr std::int64_t kTooMuch = std::int64_t{1} << 42;
  std::int64_t sum = 0;
  for (const auto id : arena_buffers_) {
    const auto& buffer = plan_->buffers[static_cast<std::size_t>(id)];
    const std::int64_t most = sym::bounds(buffer.size_bytes, symbols).max;
    if (most > kTooMuch - sum) return std::nullopt;
    sum += std::max<std::int64_t>(most, 0);
    lives.push_back({static_cast<std::size_t>(std::max<std::int64_t>(most, 0)), buffer.first, buffer.last});
  }
  return plan_memory(lives);
}

}  // namespace reprise::exec
