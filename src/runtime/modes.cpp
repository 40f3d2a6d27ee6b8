#include "runtime/modes.h"

#include <atomic>

namespace reprise::runtime {
namespace {

std::atomic<CudaGraphsMode>& mode() {
  static std::atomic<CudaGraphsMode> current = CudaGraphsMode::standard;
  return current;
}

}  // namespace

CudaGraphsMode cudagraphs_mode() { return mode().load(std::memory_order_relaxed); }

void set_cudagraphs_mode(bool on) { mode() = on ? CudaGraphsMode::subgraph_cudagraphs : CudaGraphsMode::standard; }
bool get_cudagraphs_mode() { return cudagraphs_mode() == CudaGraphsMode::subgraph_cudagraphs; }
bool get_whole_cudagraphs_mode() { return cudagraphs_mode() == CudaGraphsMode::whole_graph_cudagraphs; }

}  // namespace reprise::runtime
