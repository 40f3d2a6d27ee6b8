// Small core graphs for the tests of passes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/graph.h"

namespace reprise::passes {

struct GraphMaker {
  GraphMaker() { graph.segments.push_back({true, ""}); }

  ir::Val input(sym::Shape sizes, DType dtype = DType::f32) {
    const int index = static_cast<int>(graph.inputs.size());
    graph.inputs.push_back(graph.add_root(ir::ValueKind::input, "x" + std::to_string(index), dtype, std::move(sizes), index));
    return {&graph, graph.inputs.back()};
  }
  ir::Val constant(const std::vector<std::int64_t>& sizes, const std::vector<float>& values) {
    auto data = Tensor::empty(sizes, DType::f32);
    std::copy(values.begin(), values.end(), data.data_as<float>());
    return {&graph, graph.add_constant("c", data)};
  }
  ir::Val state(const std::vector<std::int64_t>& sizes) {
    const int index = static_cast<int>(graph.states.size());
    const auto value = graph.add_root(ir::ValueKind::state, "state", DType::f32, {sizes.begin(), sizes.end()}, index);
    graph.states.push_back({.name = "state", .initial = Tensor::zeros(sizes, DType::f32), .input = -1, .value = value, .final = ir::kNoValue});
    return {&graph, value};
  }
  void result(ir::Val v) { graph.results.push_back({.kind = ir::Result::Kind::tensor, .value = v.id(), .scalar = {}, .text = {}}); }

  /// Runs the pass, verifies, and checks that running it again changes nothing.
  template <class Pass>
  void run(Pass pass) {
    pass(graph);
    ir::verify(graph);
    const auto once = ir::print(graph);
    pass(graph);
    EXPECT_EQ(ir::print(graph), once);
  }
  [[nodiscard]] int count(core::Op op) const {
    int n = 0;
    ir::for_each_node(graph.body.nodes, [&](const ir::Node& node) { n += node.op == op; });
    return n;
  }

  ir::Graph graph;
  ir::Builder b{graph};
};

}  // namespace reprise::passes
