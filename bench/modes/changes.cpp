// Modes that change all the time.
#include <filesystem>

#include "modes/figures.h"
#include "modes/memory.h"
#include "runtime/mode_changes.h"

namespace reprise::bench {
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
  test::change_modes(module, 0, early_on, inputs, outputs);
  early = {resident_bytes(), bytes_in_use(*device)};
  test::change_modes(module, early_on, settings.changes - early_on, inputs, outputs);
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
