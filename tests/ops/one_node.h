// A program of one node, converted: what tests of rows start from.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "ops/convert.h"

namespace reprise::ops {

/// `OneNode("aten.add.Tensor").tensor("self", f32, {2}).arg("other", 1.0).output(f32, {2}).convert()`
class OneNode {
 public:
  explicit OneNode(std::string target) {
    node_.target = std::move(target);
    node_.source.name = "node";
    program_.symbols.add({"s0", {2, 64}, false, 8});
    program_.symbols.add({"u0", {0, 100}, true, {}});
  }

  OneNode& tensor(const std::string& name, DType dtype, sym::Shape sizes) { return arg(name, add_input(dtype, std::move(sizes))); }
  OneNode& tensors(const std::string& name, const std::vector<std::pair<DType, sym::Shape>>& list) { return tensors_or_none(name, {list.begin(), list.end()}); }
  /// A Tensor?[]: nullopt is None.
  OneNode& tensors_or_none(const std::string& name, const std::vector<std::optional<std::pair<DType, sym::Shape>>>& list) {
    std::vector<std::optional<ir::TensorName>> names;
    for (const auto& t : list) names.push_back(t ? std::optional(add_input(t->first, t->second)) : std::nullopt);
    return arg(name, names);
  }
  OneNode& arg(const std::string& name, ir::Arg value) {
    node_.args.push_back({name, std::move(value)});
    return *this;
  }
  OneNode& output(DType dtype, sym::Shape sizes) {
    const std::string value = "out" + std::to_string(outputs_.size());
    program_.graph.tensors[value] = {dtype, sizes, sym::contiguous_strides(sizes), 0};
    program_.graph.outputs.emplace_back(ir::TensorName{value});
    program_.outputs.push_back({});
    outputs_.push_back({value});
    return *this;
  }
  /// The outputs are one Tensor[].
  OneNode& as_list() {
    list_ = true;
    return *this;
  }

  ir::Graph convert() {
    if (list_)
      node_.outputs.emplace_back(outputs_);
    else
      node_.outputs.assign(outputs_.begin(), outputs_.end());
    program_.graph.nodes = {node_};
    return ops::convert(program_, Registry::builtin(), {{0}, {{}}});
  }

 private:
  ir::TensorName add_input(DType dtype, sym::Shape sizes) {
    const std::string value = "in" + std::to_string(program_.inputs.size());
    program_.graph.tensors[value] = {dtype, sizes, sym::contiguous_strides(sizes), 0};
    program_.graph.inputs.emplace_back(ir::TensorName{value});
    program_.inputs.push_back({ir::InputKind::user, value, "", true, ir::None{}});
    return {value};
  }

  ir::Program program_;
  ir::AtenNode node_;
  std::vector<ir::TensorName> outputs_;
  bool list_ = false;
};

/// The i-th result of a converted program.
inline const ir::Value& result(const ir::Graph& graph, std::size_t i = 0) { return graph.at(graph.results.at(i).value); }
/// The scalar program of its only pointwise node.
inline std::string scalar_text(const ir::Graph& graph) {
  EXPECT_EQ(graph.body.nodes.size(), 1u);
  return graph.body.nodes.at(0).attrs.program("program")->str();
}

}  // namespace reprise::ops
