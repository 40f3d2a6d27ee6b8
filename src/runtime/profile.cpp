#include "runtime/profile.h"

#include <map>
#include <string>

#include "base/check.h"
#include "exec/profiler.h"
#include "runtime/ahead.h"
#include "runtime/arguments.h"
#include "runtime/call.h"
#include "runtime/results.h"

namespace reprise::runtime {

std::vector<CommandTime> profile(const Module& module, std::span<const Tensor> inputs, int calls) {
  REPRISE_CHECK(calls > 0, InvalidArgument, "[run/profile] nothing to measure (got {} calls, want at least 1)", calls);
  Module::Impl& impl = *module.impl();
  exec::Profiler profiler(impl.device);
  for (int i = 0; i <= calls; ++i) {
    if (i == 1) profiler.forget();
    profiler.begin_call();
    Call call(impl, inputs);
    const Results results(*impl.plan, impl.device, call);
    call.run(&profiler);
  }
  std::map<std::int32_t, std::vector<std::string>> kernels;
  if (!impl.given_step_maker)
    for (auto& row : command_kernels(module)) kernels[row.command->position] = std::move(row.kernels.names);
  std::vector<CommandTime> all;
  for (const auto& times : profiler.times()) {
    const plan::Command& c = *times.command;
    all.push_back({c.position, std::string(core::name(c.op)), c.name, c.trace, kernels[c.position], times.runs, times.median()});
  }
  return all;
}

}  // namespace reprise::runtime
