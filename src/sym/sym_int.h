// What a public SymInt holds.
#pragma once

#include "reprise/op_node.h"
#include "sym/expr.h"

namespace reprise {

struct SymInt::Impl {
  sym::Expr expr;
};

}  // namespace reprise
