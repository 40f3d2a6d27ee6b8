// Public handles of graph values.
#pragma once

#include "ir/builder.h"
#include "reprise/converter.h"

namespace reprise::api {

inline ir::Val to_val(const Value& value) { return value.defined() ? ir::Val(static_cast<ir::Graph*>(value.graph()), value.id()) : ir::Val(); }
inline Value to_value(ir::Graph& graph, const ir::Val& value) { return value.defined() ? Value(&graph, value.id()) : Value(); }

}  // namespace reprise::api
