// Which weights and inputs a program mutates, and the module-owned memory that they become.
#pragma once

#include <vector>

#include "ir/builder.h"

namespace reprise::ops {

/// A mutation that the file declares (functional programs): at the end of the call `source` is stored in `target`.
struct Mutation {
  ir::Val target, source;
};

/// Turns every root that a `write` node or a declared mutation changes into state: weights become ValueKind::state, user inputs get a State of their own.
/// Weights that share memory with a mutated one become views of one state that covers them all. Constants that are left are numbered anew.
void make_states(ir::Builder& builder, const std::vector<Mutation>& declared);

}  // namespace reprise::ops
