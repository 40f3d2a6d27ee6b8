#include "passes/pipeline.h"

#include <array>
#include <string_view>

#include "passes/convert_dtype.h"
#include "passes/fold_batch_norm.h"
#include "passes/fold_constants.h"
#include "passes/functionalize.h"
#include "passes/fuse_pointwise.h"
#include "passes/prepare_for_cpu.h"
#include "passes/prepare_for_gpu.h"
#include "passes/remove_dead_code.h"
#include "passes/remove_redundant_copies.h"

namespace reprise::passes {

namespace {

struct Pass {
  std::string_view name;
  void (*run)(ir::Graph&, const PipelineOptions&);
};

constexpr std::array kPasses{
    Pass{"functionalize", [](ir::Graph& g, const PipelineOptions&) { functionalize(g); }},
    Pass{"remove_dead_code", [](ir::Graph& g, const PipelineOptions&) { remove_dead_code(g); }},
    Pass{"fold_batch_norm", [](ir::Graph& g, const PipelineOptions&) { fold_batch_norm(g); }},
    Pass{"remove_redundant_copies", [](ir::Graph& g, const PipelineOptions&) { remove_redundant_copies(g); }},
    Pass{"fold_constants", [](ir::Graph& g, const PipelineOptions& o) { fold_constants(g, o.threads); }},
    Pass{"fuse_pointwise", [](ir::Graph& g, const PipelineOptions&) { fuse_pointwise(g); }},
    Pass{"convert_dtype",
         [](ir::Graph& g, const PipelineOptions& o) {
           if (o.dtype == DType::f32) return;
           convert_dtype(g, o.dtype);
           fuse_pointwise(g);  // the conversions at its borders
         }},
    Pass{"prepare_for_cpu",
         [](ir::Graph& g, const PipelineOptions& o) {
           if (o.device == DeviceType::cpu) prepare_for_cpu(g);
         }},
    Pass{"prepare_for_gpu",
         [](ir::Graph& g, const PipelineOptions& o) {
           if (o.device == DeviceType::cuda) prepare_for_gpu(g, o.allow_tf32);
         }},
    Pass{"remove_dead_code", [](ir::Graph& g, const PipelineOptions&) { remove_dead_code(g); }},
};

void verify_in_debug([[maybe_unused]] const ir::Graph& graph) {
#ifndef NDEBUG
  ir::verify(graph);
#endif
}

}  // namespace

void run_pipeline(ir::Graph& graph, const PipelineOptions& options) {
  verify_in_debug(graph);
  int done = 0;
  for (const auto& pass : kPasses) {
    if (options.progress) options.progress(pass.name, done++, static_cast<int>(kPasses.size()));
    pass.run(graph, options);
    verify_in_debug(graph);
  }
}

}  // namespace reprise::passes
