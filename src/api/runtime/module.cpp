#include "reprise/module.h"

#include "plan/rpz.h"
#include "runtime/islands.h"
#include "runtime/module_impl.h"
#include "runtime/profile.h"
#include "runtime/signature.h"
#include "runtime/stats.h"

namespace reprise {

std::vector<Argument> Module::operator()(std::span<const Argument> inputs) const { return impl_->call(inputs); }
std::vector<Argument> Module::operator()(std::span<const Tensor> inputs) const { return impl_->call(inputs); }
void Module::run(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const { impl_->run(inputs, outputs); }
void Module::enqueue(std::span<const Tensor> inputs, std::span<const Tensor> outputs, const Stream& stream) const { impl_->enqueue(inputs, outputs, stream); }
std::vector<std::int64_t> Module::output_sizes(std::span<const Tensor> inputs, std::size_t index) const { return impl_->output_sizes(inputs, index); }

std::vector<CommandTime> Module::profile(std::span<const Tensor> inputs, int calls) const { return runtime::profile(*this, inputs, calls); }

std::vector<SignatureEntry> Module::inputs(int profile) const { return runtime::describe_inputs(*impl_->plan, runtime::check_profile(*impl_->plan, profile)); }
std::vector<SignatureEntry> Module::outputs(int profile) const {
  return runtime::describe_outputs(*impl_->plan, runtime::check_profile(*impl_->plan, profile));
}
int Module::profile_count() const { return static_cast<int>(impl_->plan->profiles.size()); }
int Module::active_profile() const { return impl_->modes.active_profile(); }
Device Module::device() const { return impl_->device->id(); }
MemoryUse Module::memory() const { return impl_->memory(); }
ModuleStats Module::stats() const { return runtime::collect_stats(*impl_->executable, impl_->pool, impl_->buckets); }

std::vector<std::string> Module::state_names() const {
  std::vector<std::string> names;
  for (const auto& state : impl_->plan->states) names.push_back(state.name);
  return names;
}

Tensor Module::state(std::string_view name) const {
  const auto lock = impl_->lock_state();
  return impl_->states.read(name);
}

void Module::set_state(std::string_view name, const Tensor& value) {
  const auto lock = impl_->lock_state();
  impl_->states.write(name, value);
}

void Module::reset_state() {
  const auto lock = impl_->lock_state();
  impl_->states.reset();
}

void Module::set_runtime_config(const RuntimeConfig& config) { impl_->modes.set_config(config); }
RuntimeConfig Module::runtime_config() const { return impl_->modes.config(); }
void Module::set_cuda_graph_strategy(CudaGraphStrategy strategy) {
  auto config = runtime_config();
  config.cuda_graph_strategy = strategy;
  set_runtime_config(config);
}
CudaGraphStrategy Module::cuda_graph_strategy() const { return impl_->modes.strategy(); }
bool Module::requires_output_allocator() const { return runtime::needs_output_allocator(*impl_->executable); }

Capturability Module::is_monolithic_capturable() const {
  auto reason = runtime::why_not_monolithic(*impl_->executable);
  return {reason.empty(), std::move(reason)};
}

Module Module::to(Device device) const {
  // On one host kernels share what they packed.
  const bool shared = device.type == DeviceType::cpu && impl_->device->id().type == DeviceType::cpu;
  auto replica = runtime::make_module(impl_->original_plan(), device, shared ? impl_->executable->make_step() : impl_->given_step_maker, impl_->load_options());
  replica.set_runtime_config(runtime_config());
  replica.impl()->modes.note_profile({}, active_profile());
  return replica;
}

void Module::save(const std::string& path) const { plan::save(impl_->to_save(), path); }
Module Module::load(const std::string& path, const LoadOptions& options) {
  auto plan = plan::load(path);
  runtime::require_foreign_kernels(*plan, options);
  return runtime::make_module(std::move(plan), options);
}

}  // namespace reprise
