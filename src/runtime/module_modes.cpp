#include "runtime/module_modes.h"

#include "base/log.h"
#include "runtime/modes.h"

namespace reprise::runtime {

CallModes ModuleModes::now() const {
  CallModes modes;
  CudaGraphStrategy strategy = strategy_.load(std::memory_order_relaxed);
  if (has_scopes_.load(std::memory_order_acquire)) {
    const std::scoped_lock lock(mutex_);
    if (const auto* newest = graphs_.newest()) modes.graphs = *newest;
    strategy = modes.graphs.cuda_graph_strategy.value_or(strategy);
  }
  const CudaGraphsMode mode = cudagraphs_mode();
  // Inside a whole-graph recording a module's own is off: there are never two of one thing.
  modes.native = strategy == CudaGraphStrategy::whole_graph_capture && mode != CudaGraphsMode::whole_graph_cudagraphs;
  modes.recorded = modes.native || mode != CudaGraphsMode::standard;
  if (mode == CudaGraphsMode::subgraph_cudagraphs && !modes.native && say_once())
    base::log(LogLevel::info, "[run/cudagraphs] recorded because of the mode; cuda_graph_strategy = whole_graph_capture records a module in every mode");
  return modes;
}

void ModuleModes::set_strategy(CudaGraphStrategy strategy) {
  strategy_ = strategy;
  base::log(LogLevel::debug, "[run/cudagraphs] cuda_graph_strategy = {}", name(strategy));
}

std::uint64_t ModuleModes::open_graphs(const CudaGraphOptions& options) {
  const std::scoped_lock lock(mutex_);
  const auto id = graphs_.open(options);
  has_scopes_ = true;
  return id;
}

void ModuleModes::close_graphs(std::uint64_t id) noexcept {
  const std::scoped_lock lock(mutex_);
  graphs_.close(id);
  has_scopes_ = graphs_.newest() != nullptr;
}

}  // namespace reprise::runtime
