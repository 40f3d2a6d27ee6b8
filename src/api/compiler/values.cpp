#include "api/compiler/values.h"

#include "api/compiler/op_node_view.h"

namespace reprise {

using api::to_val;

DType Value::dtype() const { return to_val(*this).dtype(); }
std::vector<SymInt> Value::sizes() const { return api::to_public(to_val(*this).sizes()); }
int Value::rank() const { return to_val(*this).rank(); }
SymInt Value::size(int dim) const { return api::to_public(to_val(*this).size(dim)); }

}  // namespace reprise
