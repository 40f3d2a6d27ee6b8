// Weights that are streamed under several budgets, beside copying their bytes, and the memory in use.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>

#include "device/device.h"
#include "modes/figures.h"
#include "modes/memory.h"
#include "modes/timing.h"

namespace reprise::bench {
namespace {

/// Bytes a microsecond, from pinned memory to the device's.
double copy_speed(const device::DevicePtr& device, std::size_t bytes, const Settings& settings) {
  const device::Allocation from(device, bytes, device::MemoryKind::pinned), to(device, bytes);
  std::memset(from.data(), 1, bytes);
  auto& stream = device->default_stream();
  const double us = time_of(
      [&] {
        device->copy(to.data(), from.data(), bytes, stream);
        stream.synchronize();
      },
      settings);
  return static_cast<double>(bytes) / us;
}

struct Budget {
  std::string name;
  std::int64_t bytes = 0;
  std::vector<double> plain, recorded;
  std::uint64_t streamed = 0;  // bytes a call
  double held = 0;             // bytes
  MemoryUse use;
};

/// Calls under one budget, plain and recorded; the first round also looks at memory.
void measure(Budget& budget, const Module& module, runtime::WeightStreamingScope& scope, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
             const Settings& settings) {
  scope.set_device_budget(budget.bytes);
  const auto run = [&] { module.run(inputs, outputs); };
  budget.plain.push_back(time_of(run, settings));
  const auto before = module.stats();
  run();
  budget.streamed = module.stats().streamed_bytes - before.streamed_bytes;
  const auto graphs = runtime::enable_cudagraphs(module);
  budget.recorded.push_back(time_of(run, settings));
  budget.use = module.memory();
}

}  // namespace

void stream_weights(const std::string& path, const Settings& settings, Report& report) {
  const auto device = device::open(settings.compile.device);
  const std::string name = std::filesystem::path(path).stem().string();
  auto& stream = device->default_stream();
  {
    const device::Allocation first(device, 1 << 20);  // an empty context with its first page
    device->fill(first.data(), 0, 4, 16, stream);
    stream.synchronize();
  }
  const double empty = bytes_in_use(*device);
  const Module module = load_streaming(path, settings);
  const auto inputs = make_inputs(module, module.inputs()[0].opt.empty() ? 1 : module.inputs()[0].opt[0], 1), outputs = make_outputs(module, inputs);
  auto scope = runtime::weight_streaming(module);
  const std::int64_t total = scope.total_device_budget();
  if (total == 0) return;
  module.run(inputs, outputs);
  const auto want = results_of(module, inputs);
  std::vector<Budget> budgets = {{"all", total, {}, {}, 0, 0, {}},
                                 {"half", total / 2, {}, {}, 0, 0, {}},
                                 {"0", 0, {}, {}, 0, 0, {}},
                                 {"automatic", scope.automatic_budget(), {}, {}, 0, 0, {}}};
  for (int round = 0; round < settings.rounds; ++round)
    for (Budget& budget : budgets) {
      measure(budget, module, scope, inputs, outputs, settings);
      budget.held = bytes_in_use(*device) - empty;
      report.check(difference(results_of(module, inputs), want) <= tolerance(settings), name + ": results change with the budget");
    }
  const double speed = copy_speed(device, static_cast<std::size_t>(total), settings);
  for (const Budget& budget : budgets) {
    const double floor = static_cast<double>(budget.streamed) / speed, recorded = least(budget.recorded);
    const double all = std::max(floor, least(budgets[0].recorded));
    report.row("Weight streaming", name, "budget: " + budget.name,
               {{"plain, us", number(least(budget.plain))},
                {"recorded, us", number(recorded)},
                {": all", fmt::format("{:.2f}", recorded / least(budgets[0].recorded))},
                {"streamed, MiB a call", mebibytes(static_cast<double>(budget.streamed))},
                {"copying it alone, us", number(floor)},
                {"recorded : the longer of copying and all", fmt::format("{:.2f}", recorded / all)},
                {"budget, MiB", mebibytes(static_cast<double>(budget.bytes))},
                {"weights + slots, MiB", mebibytes(static_cast<double>(budget.use.weight_bytes + budget.use.slot_bytes))},
                {"activations, MiB", mebibytes(static_cast<double>(budget.use.arena_committed_bytes + budget.use.state_bytes))},
                {"in use, MiB", mebibytes(budget.held)}});
  }
}

}  // namespace reprise::bench
