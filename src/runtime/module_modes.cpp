#include "runtime/module_modes.h"

#include "base/check.h"
#include "base/log.h"
#include "runtime/modes.h"

namespace reprise::runtime {
namespace {

bool has_allocator(const OutputSource& source) { return source.allocator != nullptr; }

[[noreturn]] void refuse_both() {
  REPRISE_FAIL(ModeConflict, "Both CUDA Graphs and dynamic output allocation are enabled, which are incompatible runtime modes.");
}

}  // namespace

CallModes ModuleModes::now() const {
  CallModes modes;
  modes.profile.active = profile_.load(std::memory_order_relaxed);
  modes.settings_epoch = settings_epoch_.load(std::memory_order_acquire);
  CudaGraphStrategy strategy = strategy_.load(std::memory_order_relaxed);
  if (has_scopes_.load(std::memory_order_acquire)) {
    const std::scoped_lock lock(mutex_);
    if (const auto* newest = graphs_.newest()) {
      modes.graphs = newest->options;
      modes.buckets = newest->buckets;
    }
    if (const auto* newest = outputs_.newest()) modes.outputs = *newest;
    if (const auto* newest = profiles_.newest()) modes.profile = *newest;
    modes.profile_scope = profiles_.newest_id();
    strategy = modes.graphs.cuda_graph_strategy.value_or(strategy);
  }
  const CudaGraphsMode mode = cudagraphs_mode();
  // Inside a whole-graph recording a module's own is off: there are never two of one thing.
  modes.native = strategy == CudaGraphStrategy::whole_graph_capture && mode != CudaGraphsMode::whole_graph_cudagraphs;
  modes.recorded = modes.native || mode != CudaGraphsMode::standard;
  modes.by_segment = modes.recorded && mode != CudaGraphsMode::whole_graph_cudagraphs;
  if (mode == CudaGraphsMode::subgraph_cudagraphs && !modes.native && say_once())
    base::log(LogLevel::info,
              "[run/cudagraphs] recorded because of the mode; a module compiled with cuda_graph_strategy = whole_graph_capture is recorded in every mode");
  return modes;
}

void ModuleModes::set_config(const RuntimeConfig& config) {
  base::log(LogLevel::debug, "[run/cudagraphs] cuda_graph_strategy = {}", name(config.cuda_graph_strategy));
  // A call that reads the new strategy with the old epoch is followed by one that rebuilds.
  if (strategy_.exchange(config.cuda_graph_strategy) != config.cuda_graph_strategy) ++settings_epoch_;
}

std::uint64_t ModuleModes::open_graphs(const CudaGraphOptions& options) {
  const std::scoped_lock lock(mutex_);
  if (is_strict(options) && outputs_.any(has_allocator)) refuse_both();
  GraphScope scope{options, nullptr};
  if (!options.buckets.empty()) scope.buckets = std::make_shared<const std::vector<std::int64_t>>(std::move(scope.options.buckets));
  scope.options.buckets.clear();
  const auto id = graphs_.open(std::move(scope));
  note_scopes();
  return id;
}

std::uint64_t ModuleModes::open_outputs(OutputSource source) {
  const std::scoped_lock lock(mutex_);
  if (has_allocator(source) && graphs_.any([](const GraphScope& scope) { return is_strict(scope.options); })) refuse_both();
  const auto id = outputs_.open(std::move(source));
  note_scopes();
  return id;
}

int ModuleModes::active_profile() const {
  const std::scoped_lock lock(mutex_);
  return profiles_.newest() != nullptr ? profiles_.newest()->active : profile_.load(std::memory_order_relaxed);
}

std::uint64_t ModuleModes::open_profile(int index) {
  const int active = active_profile();
  const std::scoped_lock lock(mutex_);
  const bool fixed = index != kAutoProfile;
  const auto id = profiles_.open({.active = fixed ? index : active, .fixed = fixed});
  note_scopes();
  return id;
}

void ModuleModes::close_profile(std::uint64_t id) noexcept {
  const std::scoped_lock lock(mutex_);
  profiles_.close(id);
  note_scopes();
}

void ModuleModes::note_profile(const CallModes& modes, int index) {
  if (modes.profile_scope == 0) {
    profile_ = index;
    return;
  }
  const std::scoped_lock lock(mutex_);
  if (auto* scope = profiles_.find(modes.profile_scope); scope != nullptr) scope->active = index;
}

void ModuleModes::close_graphs(std::uint64_t id) noexcept {
  const std::scoped_lock lock(mutex_);
  graphs_.close(id);
  note_scopes();
}

void ModuleModes::close_outputs(std::uint64_t id) noexcept {
  const std::scoped_lock lock(mutex_);
  outputs_.close(id);
  note_scopes();
}

}  // namespace reprise::runtime
