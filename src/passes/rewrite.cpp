#include "passes/rewrite.h"

#include <utility>

namespace reprise::passes {
namespace {

std::vector<std::int64_t> numbers(const sym::Shape& shape) {
  std::vector<std::int64_t> values;
  values.reserve(shape.size());
  for (const sym::Expr& e : shape) values.push_back(*e.as_int());
  return values;
}

}  // namespace

bool is_in_engine(const ir::Graph& graph, const ir::Node& node) { return graph.segments.at(static_cast<std::size_t>(node.segment)).engine; }

ir::Node node_like(const ir::Node& like, core::Op op, std::vector<ir::ValueId> inputs, std::vector<ir::ValueId> outputs) {
  ir::Node node;
  node.op = op;
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  node.segment = like.segment;
  node.name = like.name;
  node.trace = like.trace;
  return node;
}

void replace_root(ir::Graph& graph, ir::ValueId old, ir::ValueId root, const sym::Expr& offset) {
  for (auto& value : graph.values) {
    if (value.root != old) continue;
    value.root = root;
    value.offset = value.offset + offset;
  }
  graph.at(old).kind = ir::ValueKind::view;
}

bool is_static_constant(const ir::Graph& graph, ir::ValueId id) {
  const auto& value = graph.at(id);
  return graph.root_of(id).kind == ir::ValueKind::constant && value.offset.as_int().has_value() && sym::is_static(value.sizes) && sym::is_static(value.strides);
}

Tensor constant_tensor(const ir::Graph& graph, ir::ValueId id) {
  const auto& value = graph.at(id);
  const Tensor& whole = graph.constants.at(static_cast<std::size_t>(graph.root_of(id).index)).data;
  return whole.as_strided(numbers(value.sizes), numbers(value.strides), *value.offset.as_int());
}

}  // namespace reprise::passes
