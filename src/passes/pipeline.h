// The order of passes, from a freshly converted graph to one that can be lowered.
#pragma once

#include <functional>
#include <string_view>

#include "ir/graph.h"
#include "reprise/device.h"
#include "reprise/dtype.h"

namespace reprise::passes {

struct PipelineOptions {
  DType dtype = DType::f32;  // f16, bf16: convert the f32 parts
  DeviceType device = DeviceType::cpu;
  bool allow_tf32 = false;  // GPUs may multiply f32 as tf32
  int threads = 1;          // of the constant folder
  std::function<void(std::string_view pass, int done, int total)> progress;
};

/// Runs all passes; in builds without NDEBUG verifies the graph after each.
void run_pipeline(ir::Graph& graph, const PipelineOptions& options);

}  // namespace reprise::passes
