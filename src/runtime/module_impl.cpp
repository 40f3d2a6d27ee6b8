#include "runtime/module_impl.h"

#include <algorithm>

#include "base/check.h"
#include "device/offline.h"
#include "exec/walk.h"
#include "kernels/ahead.h"
#include "kernels/provider.h"
#include "kernels/stored_forms.h"
#include "plan/commands.h"
#include "runtime/again.h"
#include "runtime/arguments.h"
#include "runtime/call.h"
#include "runtime/devices.h"
#include "runtime/modes.h"
#include "runtime/results.h"
#include "runtime/stream_impl.h"

namespace reprise {

namespace {

bool is_cpu(const device::DeviceHandle& device) { return device.id().type == DeviceType::cpu; }
bool is_offline(const device::DeviceHandle& device) { return dynamic_cast<const device::OfflineDevice*>(&device) != nullptr; }

/// The device, which knows of the plan's kernels from now on.
device::DevicePtr prepared(device::DevicePtr device, const plan::Plan& plan, const LoadOptions& options) {
  if (!is_offline(*device) && !plan.sections.empty()) kernels::load_sections(device, plan.sections, options.allow_recompile);
  return device;
}

}  // namespace

Module::Impl::Impl(plan::PlanPtr the_plan, device::DevicePtr on, kernels::StepMaker step_maker, const LoadOptions& options)
    : plan(on->host_visible() ? exec::place_sums(std::move(the_plan), &sums) : std::move(the_plan)),
      given_step_maker(std::move(step_maker)),
      foreign(options.foreign_kernels),
      device(prepared(std::move(on), *plan, options)),
      states(*plan, device),
      executable(std::make_shared<const exec::Executable>(plan, device, states.addresses(), given_step_maker ? given_step_maker : kernels::step_maker(device),
                                                          foreign)),
      pool(executable),
      modes({.cuda_graph_strategy =
                 plan->settings.cuda_graph_strategy.empty() ? CudaGraphStrategy::disabled : parse_cuda_graph_strategy(plan->settings.cuda_graph_strategy)}) {}

/// With the forms that steps for the opt shapes want, in place of those that the plan came with.
void Module::Impl::pack_weights(plan::Plan& saved) const {
  const std::string tag = kernels::packing_tag(device);
  if (tag.empty()) return;
  kernels::FormCollector forms(*plan);
  for (const auto& profile : plan->profiles) {
    exec::walk(*executable, profile.opt, [&](const plan::Command&, const kernels::StepSpec& spec) {
      for (const auto& form : kernels::weight_forms(executable->make_step(), spec)) forms.add(spec.fixed[static_cast<std::size_t>(form.slot)], form);
    });
  }
  std::erase_if(saved.sections, [](const plan::Section& section) { return kernels::is_stored_forms_section(section.name); });
  for (plan::Section& section : forms.sections(tag)) saved.sections.push_back(std::move(section));
}

plan::Plan Module::Impl::to_save() const {
  plan::Plan saved = *plan;
  sums.undo(saved);
  if (saved.settings.packed_weights) pack_weights(saved);
  const bool cpu = is_cpu(*device);
  if (cpu ? kernels::choices(device).empty() : given_step_maker || is_offline(*device)) return saved;
  const auto ahead = kernels::ahead_of_time(device);
  exec::walk_profiles(*executable, [&](const plan::Command&, const kernels::StepSpec& spec) { ahead->add(spec); });
  if (!cpu) saved.sections.clear();  // a GPU's stay in a module that is on the host for now
  for (plan::Section& section : ahead->sections()) {
    std::erase_if(saved.sections, [&](const plan::Section& before) { return before.name == section.name; });
    saved.sections.push_back(std::move(section));
  }
  return saved;
}

plan::PlanPtr Module::Impl::original_plan() const {
  if (sums.homes.empty()) return plan;
  auto original = std::make_shared<plan::Plan>(*plan);
  sums.undo(*original);
  return original;
}

LoadOptions Module::Impl::load_options() const {
  LoadOptions options;
  for (const auto& kernel : foreign.all()) options.foreign_kernels.push_back(*kernel);
  return options;
}

std::unique_lock<std::mutex> Module::Impl::lock_calls() { return plan->states.empty() ? std::unique_lock<std::mutex>() : std::unique_lock(state_mutex_); }

std::unique_lock<std::mutex> Module::Impl::lock_state() {
  auto lock = lock_calls();
  if (state_event_ != nullptr) state_event_->synchronize();
  return lock;
}

void Module::Impl::wait_for_state(device::Stream& stream) {
  if (state_event_ != nullptr) stream.wait(*state_event_);
}

void Module::Impl::leave_state(device::Stream& stream) {
  if (plan->states.empty()) return;
  if (state_event_ == nullptr) state_event_ = device->make_event();
  stream.record(*state_event_);
}

namespace {

template <class Given>
std::vector<Argument> call_with(Module::Impl& impl, std::span<const Given> inputs) {
  runtime::CallStart start(impl);
  const auto padded = impl.buckets.pad(impl, start.modes, inputs);
  runtime::Call call(impl, std::move(start), padded ? std::span<const Given>(padded->inputs) : inputs);
  runtime::Results results(*impl.plan, impl.device, call);
  call.run();
  return padded ? padded->cut(results.take()) : results.take();
}

}  // namespace

std::vector<Argument> Module::Impl::call(std::span<const Argument> inputs) { return call_with(*this, inputs); }

std::vector<Argument> Module::Impl::call(std::span<const Tensor> inputs) { return call_with(*this, inputs); }

void Module::Impl::run(std::span<const Tensor> inputs, std::span<const Tensor> outputs) { run_in(inputs, outputs, nullptr); }

void Module::Impl::run_in(std::span<const Tensor> inputs, std::span<const Tensor> outputs, device::Stream* stream) {
  if (modes.has_buckets()) buckets.pass("caller_outputs");
  std::optional<exec::CallSignature> signature;
  if (runtime::repeat(*this, inputs, outputs, stream, signature)) return;
  runtime::Call call(*this, inputs, stream);
  call.place(outputs);
  runtime::attach_outputs(*plan, device->id(), call, outputs);
  call.run();
  if (signature && call.modes().recorded && !call.is_staged()) call.context().remembered.note(*signature, call.profile());
}

void Module::Impl::enqueue(std::span<const Tensor> inputs, std::span<const Tensor> outputs, const Stream& stream) {
  REPRISE_CHECK(stream.device() == device->id(), InvalidArgument, "[run/stream] the stream is another device's (got {}, want {})", stream.device().str(),
                device->id().str());
  // Steps of the host read the context's table when they run.
  run_in(inputs, outputs, device->host_visible() ? nullptr : stream.impl()->stream.get());
}

void Module::Impl::set_weight_budget(std::size_t bytes) {
  executable->weights().set_budget(bytes, [this] { pool.adopt_weights(); });
}

std::size_t Module::Impl::automatic_weight_budget() const {
  const auto& largest = executable->largest_memory();
  // What contexts hold now is not free, and is not needed once more.
  const std::size_t held = pool.use().committed_bytes, wanted = largest ? largest->total_bytes : 0;
  return executable->weights().automatic_budget(wanted > held ? wanted - held : 0);
}

void Module::Impl::drop_recordings() noexcept {
  try {
    pool.drop_recordings();
  } catch (const std::exception&) {
  }
}

std::vector<std::int64_t> Module::Impl::output_sizes(std::span<const Tensor> inputs, std::size_t index) const {
  const auto values = runtime::check_arguments(*plan, {device->id(), runtime::multi_device_safe_mode()}, inputs);
  std::vector<std::int64_t> bound(static_cast<std::size_t>(plan->symbols.size()));
  executable->binder().bind(values.span(), bound, modes.now().profile);
  exec::SymbolValues symbols(plan->symbols);
  symbols.reset(bound, executable->binder().known());
  for (const auto& spec : plan->outputs) {
    if (spec.kind != plan::OutputSpec::Kind::tensor || index-- > 0) continue;
    auto sizes = exec::known_sizes(spec.sizes, symbols);
    REPRISE_CHECK(sizes.has_value(), InvalidArgument, "[run/outputs] the size of output '{}' depends on data", spec.name);
    return std::move(*sizes);
  }
  REPRISE_FAIL(InvalidArgument, "[run/outputs] there is no tensor output of that index");
}

MemoryUse Module::Impl::memory() const {
  MemoryUse use;
  const auto weights = executable->weights().current();
  use.weight_bytes = weights->resident_bytes;
  use.pinned_bytes = weights->pinned_bytes;
  use.state_bytes = states.size_bytes();
  const auto contexts = pool.use();
  use.contexts = contexts.contexts;
  use.arena_reserved_bytes = contexts.reserved_bytes;
  use.arena_committed_bytes = contexts.committed_bytes;
  use.slot_bytes = contexts.slot_bytes;
  return use;
}

namespace runtime {

void require_foreign_kernels(const plan::Plan& plan, const LoadOptions& options) {
  const kernels::ForeignKernels kernels(options.foreign_kernels);
  plan::for_each_command(plan, [&](const plan::Command& command) {
    REPRISE_CHECK(command.op != core::Op::foreign || kernels.find(command.attrs.text("name")) != nullptr, UnsupportedOp, "[run/load] {}",
                  kernels::ForeignKernels::missing(command.attrs.text("name")));
  });
}

Module make_module(plan::PlanPtr plan, const LoadOptions& options) {
  const Device device = options.device ? *options.device : choose_device(plan->settings.device);
  return make_module(std::move(plan), device, {}, options);
}

Module make_module(plan::PlanPtr plan, Device device, kernels::StepMaker step_maker, const LoadOptions& options) {
  return make_module(std::move(plan), device::open(device), std::move(step_maker), options);
}

Module make_module(plan::PlanPtr plan, device::DevicePtr device, kernels::StepMaker step_maker, const LoadOptions& options) {
  return Module(std::make_shared<Module::Impl>(std::move(plan), std::move(device), std::move(step_maker), options));
}

}  // namespace runtime
}  // namespace reprise
