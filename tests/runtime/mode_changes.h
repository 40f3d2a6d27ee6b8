// Modes that change all the time.
#pragma once

#include <vector>

#include "reprise/runtime.h"

namespace reprise::test {

/// The `i`-th change: one of the modes, on or off, one in a hundred half of the budget with a call; one in seven is followed by a call.
inline void change_mode(Module& module, int i, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
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

/// `count` changes; the modes are then as they were.
inline void change_modes(Module& module, int first, int count, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  for (int i = first; i < first + count; ++i) change_mode(module, i, inputs, outputs);
  runtime::set_cudagraphs_mode(false);
  module.set_cuda_graph_strategy(CudaGraphStrategy::disabled);
}

}  // namespace reprise::test
