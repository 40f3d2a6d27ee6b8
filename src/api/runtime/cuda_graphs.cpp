#include <algorithm>
#include <array>

#include "base/check.h"
#include "reprise/runtime.h"
#include "runtime/islands.h"
#include "runtime/modes.h"
#include "runtime/module_impl.h"

namespace reprise {
namespace {

struct StrategyName {
  const char* text;
  CudaGraphStrategy strategy;
};
constexpr std::array<StrategyName, 3> kStrategies = {{{"disabled", CudaGraphStrategy::disabled},
                                                      {"whole_graph_capture", CudaGraphStrategy::whole_graph_capture},
                                                      {"per_engine_capture", CudaGraphStrategy::whole_graph_capture}}};

}  // namespace

const char* name(CudaGraphStrategy strategy) {
  return std::find_if(kStrategies.begin(), kStrategies.end(), [&](const auto& entry) { return entry.strategy == strategy; })->text;
}

CudaGraphStrategy parse_cuda_graph_strategy(std::string_view text) {
  for (const auto& entry : kStrategies)
    if (text == entry.text) return entry.strategy;
  REPRISE_FAIL(InvalidArgument, "[run/cudagraphs] unknown cuda_graph_strategy (got '{}', want one of: {}, {}, {})", text, kStrategies[0].text,
               kStrategies[1].text, kStrategies[2].text);
}

namespace runtime {
namespace {

bool has_graph_break(const plan::Plan& plan) {
  return std::any_of(plan.segments.begin(), plan.segments.end(), [](const auto& segment) { return !segment.engine; });
}

void check_capturable(const Module::Impl& impl) {
  REPRISE_CHECK(!needs_output_allocator(*impl.executable), ModeConflict,
                "The model contains submodules that require a dynamic output allocator at runtime, which is incompatible with CUDA Graphs.");
  const auto reason = why_not_monolithic(*impl.executable);
  REPRISE_CHECK(reason.empty(), Error,
                "[run/cudagraphs] the module is not monolithically capturable: {}; on_uncapturable = piecewise records what lies between", reason);
}

}  // namespace

CudaGraphsScope enable_cudagraphs(const Module& module, const CudaGraphOptions& options) {
  const auto impl = module.impl();
  for (std::size_t i = 0; i < options.buckets.size(); ++i)
    REPRISE_CHECK(options.buckets[i] > (i == 0 ? 0 : options.buckets[i - 1]), InvalidArgument, "[run/cudagraphs] buckets must ascend from 1 (got [{}])",
                  fmt::join(options.buckets, ", "));
  if (is_strict(options)) check_capturable(*impl);
  const auto mode = has_graph_break(*impl->plan) ? CudaGraphsMode::whole_graph_cudagraphs : CudaGraphsMode::subgraph_cudagraphs;
  const auto graphs = impl->modes.open_graphs(options);
  const auto scope = open_cudagraphs_scope(mode);
  return {module, mode, [impl, graphs, scope] {
            close_cudagraphs_scope(scope);
            impl->modes.close_graphs(graphs);
            impl->drop_recordings();
          }};
}

void CudaGraphsScope::save(const std::string& path) const {
  REPRISE_CHECK(mode_ != CudaGraphsMode::whole_graph_cudagraphs, InvalidArgument,
                "[save/cudagraphs] a whole-graph wrapper cannot be saved: save the module under it, module().save(\"{}\")", path);
  module().save(path);
}

}  // namespace runtime
}  // namespace reprise
