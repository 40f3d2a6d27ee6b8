#include "passes/fold_constants.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "kernels/kernel.h"

namespace reprise::passes {

namespace {

using core::Op;
using ir::ValueId;
using ir::ValueKind;

constexpr std::int64_t kAlwaysFoldBytes = 1 << 20;

bool is_foldable(const ir::Node& node) {
  if (core::is_data_dependent(node.op) || !node.regions.empty() || !node.defines.empty()) return false;
  return node.op != Op::random && node.op != Op::check && node.op != Op::write && node.op != Op::foreign && node.op != Op::fill;
}

std::optional<std::vector<std::int64_t>> fixed(const sym::Shape& shape) {
  std::vector<std::int64_t> out;
  for (const auto& e : shape) {
    if (!e.is_int()) return std::nullopt;
    out.push_back(*e.as_int());
  }
  return out;
}

bool attrs_are_fixed(const core::Attrs& attrs) {
  return std::all_of(attrs.items().begin(), attrs.items().end(), [](const auto& item) {
    if (const auto* e = std::get_if<sym::Expr>(&item.second)) return e->is_int() || e->op() == sym::Op::real;
    if (const auto* list = std::get_if<std::vector<sym::Expr>>(&item.second)) return sym::is_static(*list);
    if (const auto* program = std::get_if<core::ScalarProgramPtr>(&item.second)) return sym::is_static((*program)->symbols);
    return true;
  });
}

class ConstantFolder {
 public:
  ConstantFolder(ir::Graph& graph, int threads) : graph_(graph), threads_(threads) {}

  void run(ir::Region& region) {
    auto kept = region.nodes.begin();
    for (auto it = region.nodes.begin(); it != region.nodes.end(); ++it) {
      for (auto& inner : it->regions) run(inner);
      if (it->op == Op::fill && attrs_are_fixed(it->attrs)) fills_.insert_or_assign(it->outputs.front(), it->attrs);
      if (fold(*it)) continue;
      if (kept != it) *kept = std::move(*it);
      ++kept;
    }
    region.nodes.erase(kept, region.nodes.end());
  }

 private:
  // The root's contents when they are known now: a constant, or a small fill.
  std::optional<Tensor> contents(ValueId root) {
    const auto& value = graph_.at(root);
    if (value.kind == ValueKind::constant) return graph_.constants.at(static_cast<std::size_t>(value.index)).data;
    const auto fill = fills_.find(root);
    const auto sizes = fixed(value.sizes);
    if (fill == fills_.end() || !sizes) return std::nullopt;
    auto made = Tensor::empty(*sizes, value.dtype);
    if (static_cast<std::int64_t>(made.nbytes()) > kAlwaysFoldBytes) return std::nullopt;
    kernels::run_reference(Op::fill, fill->second, {}, std::span(&made, 1), threads_);
    return made;
  }

  std::optional<Tensor> operand(ValueId id) {
    const auto sizes = fixed(graph_.at(id).sizes), strides = fixed(graph_.at(id).strides);
    const auto offset = graph_.at(id).offset.as_int();
    if (!sizes || !strides || !offset) return std::nullopt;
    const auto data = contents(graph_.at(id).root);
    return data ? std::optional(data->as_strided(*sizes, *strides, *offset)) : std::nullopt;
  }

  bool fold(const ir::Node& node) {
    if (!is_foldable(node) || !attrs_are_fixed(node.attrs)) return false;
    std::int64_t in_bytes = 0, out_bytes = 0;
    std::vector<Tensor> inputs, outputs;
    for (const auto x : node.inputs) {
      auto tensor = operand(x);
      if (!tensor) return false;
      in_bytes += static_cast<std::int64_t>(contents(graph_.at(x).root)->nbytes());  // what exists, not what a view repeats
      inputs.push_back(std::move(*tensor));
    }
    for (const auto y : node.outputs) {
      const auto sizes = fixed(graph_.at(y).sizes);
      if (!sizes) return false;
      std::int64_t bytes = static_cast<std::int64_t>(item_size(graph_.at(y).dtype));
      for (const auto s : *sizes) bytes *= s;
      out_bytes += bytes;
    }
    if (out_bytes > std::max(kAlwaysFoldBytes, in_bytes)) return false;
    for (const auto y : node.outputs) outputs.push_back(Tensor::empty(*fixed(graph_.at(y).sizes), graph_.at(y).dtype));
    kernels::run_reference(node.op, node.attrs, inputs, outputs, threads_);
    for (std::size_t i = 0; i < outputs.size(); ++i) become_constant(node.outputs[i], std::move(outputs[i]));
    return true;
  }

  void become_constant(ValueId id, Tensor data) {
    auto& value = graph_.at(id);
    value.kind = ValueKind::constant;
    value.index = static_cast<int>(graph_.constants.size());
    graph_.constants.push_back({value.name, std::move(data)});
  }

  ir::Graph& graph_;
  int threads_;
  std::unordered_map<ValueId, core::Attrs> fills_;
};

}  // namespace

void fold_constants(ir::Graph& graph, int threads) { ConstantFolder(graph, threads).run(graph.body); }

}  // namespace reprise::passes
