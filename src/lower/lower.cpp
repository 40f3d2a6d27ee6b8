#include "lower/lower.h"

#include "lower/lowering.h"
#include "lower/signature.h"

namespace reprise::lower {

plan::Plan lower(const ir::Graph& graph, const ir::Program& program, plan::Settings settings, std::vector<plan::Profile> profiles) {
  plan::Plan plan;
  plan.producer = "reprise " REPRISE_VERSION;
  plan.torch_version = program.torch_version;
  plan.settings = std::move(settings);
  plan.symbols = graph.symbols;
  plan.profiles = std::move(profiles);
  plan.in_spec = program.call.in_spec;
  plan.out_spec = program.call.out_spec;
  for (const auto& segment : graph.segments) plan.segments.push_back({segment.engine, segment.reason});
  std::vector<int> input_entry;
  plan.inputs = input_specs(program, graph, input_entry);
  plan.outputs = output_specs(program, graph);
  Lowering(graph, plan, std::move(input_entry)).run();
  return plan;
}

}  // namespace reprise::lower
