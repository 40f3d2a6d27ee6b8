// What a module's contexts counted, summed and named.
#pragma once

#include "exec/context_pool.h"
#include "reprise/stats.h"
#include "runtime/buckets.h"

namespace reprise::runtime {

[[nodiscard]] ModuleStats collect_stats(const exec::Executable& executable, const exec::ContextPool& pool, const Buckets& buckets);

}  // namespace reprise::runtime
