#include "runtime/ahead.h"

#include "base/check.h"
#include "device/offline.h"
#include "exec/walk.h"
#include "runtime/module_impl.h"

namespace reprise::runtime {
namespace {

Module make_offline_module(plan::PlanPtr plan, const std::string& architecture, const LoadOptions& options = {}) {
  const auto device = std::make_shared<device::OfflineDevice>(plan->settings.device, architecture);
  return make_module(std::move(plan), device, {}, options);
}

std::unique_ptr<kernels::AheadOfTime> ahead_of(const Module::Impl& impl, const std::string& architecture) {
  if (impl.device->id().type == DeviceType::cpu) return kernels::ahead_of_time(impl.device);
  if (!architecture.empty()) return kernels::ahead_of_time(architecture);
  const bool offline = std::dynamic_pointer_cast<device::OfflineDevice>(impl.device) != nullptr;
  if (offline && !impl.plan->sections.empty()) return kernels::ahead_of_time(impl.plan->sections);
  return kernels::ahead_of_time(offline ? device::open(impl.plan->settings.device) : impl.device);
}

}  // namespace

Module compile_ahead(plan::Plan plan, const std::string& architecture, const std::function<void(std::size_t done, std::size_t total)>& progress,
                     const LoadOptions& options) {
  const auto ahead = kernels::ahead_of_time(architecture);
  const Module draft = make_offline_module(std::make_shared<plan::Plan>(plan), ahead->architecture(), options);
  exec::walk_profiles(*draft.impl()->executable, [&](const plan::Command&, const kernels::StepSpec& spec) { ahead->add(spec); });
  plan.sections = ahead->sections(progress);
  return make_offline_module(std::make_shared<plan::Plan>(std::move(plan)), ahead->architecture(), options);
}

Module make_closed_module(plan::PlanPtr plan) {
  return plan->settings.device.type == DeviceType::cpu ? make_module(std::move(plan)) : make_offline_module(std::move(plan), "a GPU");
}

std::vector<CommandKernels> command_kernels(const Module& module, const std::string& architecture) {
  const Module::Impl& impl = *module.impl();
  const auto ahead = ahead_of(impl, architecture);
  std::vector<CommandKernels> all;
  exec::walk(*impl.executable, impl.plan->profiles.front().opt, [&](const plan::Command& command, const kernels::StepSpec& spec) {
    if (command.op == core::Op::foreign) {
      all.push_back({&command, {.names = {"foreign " + command.attrs.text("name")}, .microseconds = {}}});
      return;
    }
    all.push_back({&command, ahead->describe(spec)});
  });
  return all;
}

}  // namespace reprise::runtime
