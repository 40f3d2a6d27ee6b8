#include "reprise/dryrun.h"

#include "api/compiler/program_impl.h"
#include "partition/report.h"

namespace reprise {

DryRun dryrun(const Program& program, const CompileOptions& options) {
  const partition::PartitionOptions wanted{.fallback_ops = options.fallback_ops, .min_block_size = options.min_block_size};
  const auto& graph = program.impl().program;
  return partition::report(graph, partition::partition(graph, ops::Registry::builtin(), wanted), wanted);
}

}  // namespace reprise
