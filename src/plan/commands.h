// Every command of a plan, those of nested blocks too.
#pragma once

#include "plan/plan.h"

namespace reprise::plan {

/// visit(command), block by block; commands can be changed where the plan can.
template <class AnyPlan, class F>
void for_each_command(AnyPlan& plan, F&& visit) {
  for (auto& block : plan.blocks)
    for (auto& command : block.commands) visit(command);
}

}  // namespace reprise::plan
