#include "passes/turn_weights.h"

#include <unordered_map>
#include <vector>

#include "passes/rewrite.h"
#include "tensor/strided_copy.h"

namespace reprise::passes {
namespace {

using core::Op;
using ir::ValueId;
using sym::Expr;

bool lies_by_columns(const ir::Graph& graph, const ir::Node& node) {
  if (node.op != Op::matmul || !is_in_engine(graph, node)) return false;
  const auto& w = graph.at(node.inputs[1]);
  if ((w.dtype != DType::f16 && w.dtype != DType::bf16) || w.sizes.size() != 2 || !is_static_constant(graph, node.inputs[1])) return false;
  return w.strides[1] == Expr(1) && w.strides[0] == w.sizes[1] && !(w.sizes[0] == Expr(1)) && !(w.sizes[1] == Expr(1));
}

ValueId turned(ir::Graph& graph, ValueId w) {
  const Tensor from = constant_tensor(graph, w);
  const std::int64_t depth = from.sizes()[0], columns = from.sizes()[1];
  const Tensor to = Tensor::empty(std::vector{columns, depth}, from.dtype());
  tensor::copy_into(to.as_strided(from.sizes(), std::vector<std::int64_t>{1, depth}), from);
  return graph.add_view(graph.add_constant(graph.at(w).name + ".turned", to), {depth, columns}, {1, depth}, 0);
}

}  // namespace

void turn_weights(ir::Graph& graph) {
  std::unordered_map<ValueId, ValueId> made;
  ir::for_each_node(graph.body.nodes, [&](ir::Node& node) {
    if (!lies_by_columns(graph, node)) return;
    const auto [entry, fresh] = made.try_emplace(node.inputs[1], ir::kNoValue);
    if (fresh) entry->second = turned(graph, node.inputs[1]);
    node.inputs[1] = entry->second;
  });
}

}  // namespace reprise::passes
