// Modes that change all the time.
#include <filesystem>

#include "modes/figures.h"
#include "modes/memory.h"

namespace reprise::bench {
namespace {

/// The `i`-th change: one of the modes, on or off, one in a hundred a budget with its call; one in seven is followed by a call.
void change(Module& module, int i, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  const bool on = i / 4 % 2 != 0;
  if (i % 4 == 0) runtime::set_cudagraphs_mode(on);
  if (i % 4 == 1) module.set_cuda_graph_strategy(on ? CudaGraphStrategy::whole_graph_capture : CudaGraphStrategy::disabled);
  if (i % 4 == 2) (void)runtime::enable_cudagraphs(module, {.verify_first_replay = on});
  if (i % 4 == 3) (void)(on ? runtime::enable_pre_allocated_outputs(module) : runtime::enable_output_allocator(module));
  if (i % 100 == 0) {
    auto streaming = runtime::weight_streaming(module);
    streaming.set_device_budget(streaming.total_device_budget() / 2);
    module.run(inputs, outputs);
  }
  if (i % 7 == 0) module.run(inputs, outputs);
}

}  // namespace

void change_modes(const std::string& path, const Settings& settings, Report& report) {
  const auto device = device::open(settings.compile.device);
  const std::string name = std::filesystem::path(path).stem().string();
  Module module = load_streaming(path, settings);
  const auto inputs = make_inputs(module, module.inputs()[0].opt.empty() ? 1 : module.inputs()[0].opt[0], 1), outputs = make_outputs(module, inputs);
  const auto want = results_of(module, inputs);
  struct Use {
    double process, device;
  } early{}, late{};
  const int early_on = settings.changes / 10;
  for (int i = 0; i < settings.changes; ++i) {
    if (i == early_on) early = {resident_bytes(), bytes_in_use(*device)};
    change(module, i, inputs, outputs);
  }
  runtime::set_cudagraphs_mode(false);
  module.set_cuda_graph_strategy(CudaGraphStrategy::disabled);
  late = {resident_bytes(), bytes_in_use(*device)};
  report.check(difference(results_of(module, inputs), want) <= tolerance(settings), name + ": results change with the modes");
  const auto stats = module.stats();
  report.row("Changes of modes", name, "all",
             {{"changes", std::to_string(settings.changes)},
              {"calls", std::to_string(stats.calls)},
              {"records", std::to_string(stats.records)},
              {"process after a tenth, MiB", mebibytes(early.process)},
              {"at the end", mebibytes(late.process)},
              {"device after a tenth, MiB", mebibytes(early.device)},
              {"at the end ", mebibytes(late.device)}});
}

}  // namespace reprise::bench
