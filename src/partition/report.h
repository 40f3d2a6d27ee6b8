// The report of a partition.
#pragma once

#include "partition/partition.h"
#include "reprise/dryrun.h"

namespace reprise::partition {

DryRun report(const ir::Program& program, const Partition& partition, const PartitionOptions& options);

}  // namespace reprise::partition
