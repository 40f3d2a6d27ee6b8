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
  CudaGraphStrategy strategy = strategy_.load(std::memory_order_relaxed);
  if (has_scopes_.load(std::memory_order_acquire)) {
    const std::scoped_lock lock(mutex_);
    if (const auto* newest = graphs_.newest()) modes.graphs = *newest;
    if (const auto* newest = outputs_.newest()) modes.outputs = *newest;
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
  if (is_strict(options) && outputs_.any(has_allocator)) refuse_both();
  const auto id = graphs_.open(options);
  note_scopes();
  return id;
}

std::uint64_t ModuleModes::open_outputs(OutputSource source) {
  const std::scoped_lock lock(mutex_);
  if (has_allocator(source) && graphs_.any(is_strict)) refuse_both();
  const auto id = outputs_.open(std::move(source));
  note_scopes();
  return id;
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
