// Optimization profiles: what the caller says of input shapes, as bounds of symbols.
#pragma once

#include <vector>

#include "ir/aten.h"
#include "ir/graph.h"
#include "plan/plan.h"
#include "reprise/input.h"

namespace reprise::lower {

/// The profile of the exported ranges: opt is the size at export, brought inside the range.
plan::Profile exported_profile(const sym::SymbolTable& symbols);

/// A profile from `inputs` (by position or name; entries without shapes take the exported range) over the signature `specs`.
/// Throws InvalidArgument (unknown name, too many entries, dtype) and ShapeError (rank; min > opt or opt > max; outside the exported range; a static size that
/// differs; two inputs that disagree), naming input and dimension.
plan::Profile make_profile(const std::vector<Input>& inputs, const std::vector<plan::InputSpec>& specs, const sym::SymbolTable& symbols);

}  // namespace reprise::lower
