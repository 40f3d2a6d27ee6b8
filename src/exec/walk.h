// Every command of a plan with its shapes bound, without running anything: what is made ahead of time, or shown, is found this way.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>

#include "exec/executable.h"
#include "kernels/kernel.h"

namespace reprise::exec {

/// In the order of execution: both branches of a cond, condition and body of a loop once. Commands that the executor runs itself (item, cond, while_loop) are
/// left out.
using Visit = std::function<void(const plan::Command& command, const kernels::StepSpec& spec)>;

/// `symbols`: one value per symbol of the plan. What data counts is taken for its upper bound or for `most_counted`, the smaller one; other symbols that data
/// defines for what the export saw; a command that does not fit those guesses is left out. Throws ShapeError when `symbols` do not fit the plan, OutOfMemory,
/// and what `visit` throws.
void walk(const Executable& executable, std::span<const std::int64_t> symbols, const Visit& visit,
          std::int64_t most_counted = std::numeric_limits<std::int64_t>::max());

/// At every profile's opt shapes, and then at its smallest and largest, as far as these exist; at the first with few counted elements too, in numbers that
/// whole vectors of 1, 2, 4 and 8 divide or not: kernels differ by that.
void walk_profiles(const Executable& executable, const Visit& visit);

}  // namespace reprise::exec
