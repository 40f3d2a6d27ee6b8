#include "runtime/tune.h"

#include <algorithm>

#include "exec/walk.h"
#include "kernels/provider.h"

namespace reprise::runtime {

void tune(const Module::Impl& impl, const std::function<void(int, int)>& progress) {
  const plan::Plan& plan = *impl.plan;
  std::size_t weight_bytes = 0;
  for (const auto& weight : plan.weights) weight_bytes += weight.data.nbytes();
  const auto tune_step = kernels::step_tuner(impl.device, {.level = plan.settings.optimization_level, .weight_bytes = weight_bytes});
  if (!tune_step) return;
  // On the host a kernel for one of many sizes would have weights packed once more.
  const auto tuned = [&](const plan::Profile& profile) { return !impl.device->host_visible() || (profile.min == profile.max); };
  int done = 0, total = 0;
  for (const auto& block : plan.blocks) total += static_cast<int>(block.commands.size()) * static_cast<int>(std::ranges::count_if(plan.profiles, tuned));
  for (const auto& profile : plan.profiles) {
    if (!tuned(profile)) continue;
    exec::walk(*impl.executable, profile.opt, [&](const plan::Command&, const kernels::StepSpec& spec) {
      if (progress) progress(done++, total);
      tune_step(spec);
    });
  }
}

}  // namespace reprise::runtime
