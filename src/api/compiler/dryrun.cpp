#include "reprise/dryrun.h"

#include "api/compiler/build.h"
#include "api/compiler/program_impl.h"
#include "api/compiler/registry.h"
#include "partition/report.h"

namespace reprise {

DryRun dryrun(const Program& program, const CompileOptions& options) {
  auto wanted = api::partition_options(options);
  wanted.require_full_compilation = false;
  const auto& graph = program.impl().program;
  const api::CompileRegistry registry(graph, options);
  return partition::report(graph, partition::partition(graph, registry.get(), wanted), wanted);
}

}  // namespace reprise
