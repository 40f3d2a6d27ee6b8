#include <gtest/gtest.h>

#include <functional>

#include "ir/builder.h"
#include "reprise/error.h"

namespace reprise::ir {
namespace {

using core::Op;
using sym::Expr;

/// x, w → matmul → relu-like pointwise → reduce: small, and touches most of the structure.
Graph sample() {
  Graph g;
  g.symbols.add({"s0", {1, 8}, false, 2});
  g.inputs = {g.add_root(ValueKind::input, "x", DType::f32, {Expr::symbol("s0"), 4}, 0)};
  const std::int64_t sizes[] = {4, 3};
  const ValueId w = g.add_constant("w", Tensor::zeros(sizes, DType::f32));
  Builder b(g);
  b.set_source("linear", {}, 0);
  const Val y = b.matmul({&g, g.inputs[0]}, {&g, w});
  const Val z = b.unary(core::ScalarOp::abs, y);
  const Val r = b.reduce(ReduceKind::sum, z, {1}, true, DType::f32);
  g.results.push_back({Result::Kind::tensor, r.id(), {}, {}});
  return g;
}

struct Case {
  const char* name;
  std::function<void(Graph&)> harm;
  const char* message;
};

class Rejects : public testing::TestWithParam<Case> {};

TEST_P(Rejects, WithAMessage) {
  Graph g = sample();
  verify(g);
  GetParam().harm(g);
  try {
    verify(g);
    FAIL() << "the graph was accepted:\n" << print(g);
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(GetParam().message), std::string::npos) << e.what();
  }
}

Node& node(Graph& g, std::size_t i) { return g.body.nodes.at(i); }
Value& made(Graph& g, std::size_t i) { return g.at(node(g, i).outputs.at(0)); }

INSTANTIATE_TEST_SUITE_P(Verify, Rejects,
                         testing::Values(Case{"order", [](Graph& g) { std::swap(node(g, 0), node(g, 1)); }, "used before it is defined"},
                                         Case{"missing_value", [](Graph& g) { node(g, 0).inputs[0] = 99; }, "does not exist"},
                                         Case{"negative_value", [](Graph& g) { node(g, 0).outputs[0] = -1; }, "does not exist"},
                                         Case{"twice",
                                              [](Graph& g) {
                                                node(g, 2).outputs = node(g, 1).outputs;
                                                made(g, 2).sizes[1] = 1;
                                              },
                                              ""},
                                         Case{"input_defined", [](Graph& g) { node(g, 1).outputs = {g.inputs[0]}; }, ""},
                                         Case{"operands", [](Graph& g) { node(g, 0).inputs.pop_back(); }, "operands (got 1, want 2)"},
                                         Case{"dtype", [](Graph& g) { made(g, 0).dtype = DType::f16; }, "dtype of"},
                                         Case{"sizes", [](Graph& g) { made(g, 0).sizes[1] = 5; }, "sizes of"},
                                         Case{"rank", [](Graph& g) { made(g, 2).sizes.pop_back(); }, "differ in rank"},
                                         Case{"negative_size", [](Graph& g) { made(g, 2).sizes[1] = -1; }, "negative"},
                                         Case{"attribute", [](Graph& g) { node(g, 2).attrs.set("kind", "median"); }, "unknown kind 'median'"},
                                         Case{"attribute_missing", [](Graph& g) { node(g, 0).attrs = {}; }, "has_bias"},
                                         Case{"axes", [](Graph& g) { node(g, 2).attrs.set("axes", core::exprs({2})); }, "axes must rise"},
                                         Case{"program", [](Graph& g) { node(g, 1).attrs.set("program", std::make_shared<const core::ScalarProgram>()); }, ""},
                                         Case{"segment", [](Graph& g) { node(g, 0).segment = 3; }, "no segment 3"},
                                         Case{"regions", [](Graph& g) { node(g, 0).regions.emplace_back(); }, "regions (got 1)"},
                                         Case{"defines", [](Graph& g) { node(g, 0).defines = {"s0"}; }, "defines symbols"},
                                         Case{"symbol", [](Graph& g) { made(g, 0).sizes[0] = Expr::symbol("s9"); }, "symbol s9 has no value yet"},
                                         Case{"result", [](Graph& g) { g.results[0].value = 1000; }, "does not exist"},
                                         Case{"result_symbol",
                                              [](Graph& g) {
                                                g.results.push_back({Result::Kind::integer, kNoValue, Expr::symbol("u3"), {}});
                                              },
                                              "symbol u3"},
                                         Case{"constant",
                                              [](Graph& g) {
                                                g.constants[0].data = Tensor::zeros(std::vector<std::int64_t>{4, 4}, DType::f32);
                                              },
                                              "other sizes"},
                                         Case{"constant_index", [](Graph& g) { g.constants.clear(); }, "index of a constant"},
                                         Case{"input_index", [](Graph& g) { g.at(g.inputs[0]).index = 1; }, "index of an input"},
                                         Case{"view_outside",
                                              [](Graph& g) {
                                                g.add_view(node(g, 0).inputs[1], {5, 3}, {3, 1}, 0);
                                              },
                                              "reaches outside"},
                                         Case{"view_before", [](Graph& g) { g.add_view(node(g, 0).inputs[1], {2}, {1}, -1); }, "negative"},
                                         Case{"view_of_view",
                                              [](Graph& g) {
                                                const auto v = g.add_view(0, {1}, {1}, 0);
                                                g.at(g.add_view(0, {1}, {1}, 0)).root = v;
                                              },
                                              "root is a view"},
                                         Case{"view_dtype", [](Graph& g) { g.at(g.add_view(0, {1}, {1}, 0)).dtype = DType::i8; }, "not its root's"},
                                         Case{"state",
                                              [](Graph& g) {
                                                g.states.push_back({"s", {}, -1, g.inputs[0], kNoValue});
                                              },
                                              "neither a buffer"},
                                         Case{"state_final",
                                              [](Graph& g) {
                                                g.states.push_back({"x", {}, 0, g.inputs[0], g.results[0].value});
                                              },
                                              "final value"}),
                         [](const auto& case_info) { return case_info.param.name; });

TEST(Verify, RegionsEndTheirDefinitions) {
  Graph g;
  g.inputs = {g.add_root(ValueKind::input, "p", DType::boolean, {}, 0)};
  Builder b(g);
  const Val p(&g, g.inputs[0]);
  Val inner;
  const auto branch = [&] { return b.region([&](auto) { return std::vector<Val>{inner = b.scalar(1.0, DType::f32)}; }); };
  auto yes = branch();
  auto no = branch();
  const Val like[] = {inner};
  const Val out = b.cond(p, std::move(yes), std::move(no), like).front();
  g.results.push_back({Result::Kind::tensor, out.id(), {}, {}});
  verify(g);
  g.results[0].value = inner.id();
  EXPECT_THROW(verify(g), Error);
  g.results[0].value = out.id();
  g.body.nodes.back().regions[0].results.clear();
  EXPECT_THROW(verify(g), Error);
}

TEST(Verify, DataSymbolsAreKnownAfterTheirNode) {
  Graph g;
  g.symbols.add({"u0", {}, true, {}});
  g.inputs = {g.add_root(ValueKind::input, "x", DType::f32, {4}, 0)};
  Builder b(g);
  const Val y = b.nonzero({&g, g.inputs[0]}, Expr::symbol("u0"));
  g.results.push_back({Result::Kind::tensor, y.id(), {}, {}});
  verify(g);
  g.body.nodes[0].defines = {"u1"};
  EXPECT_THROW(verify(g), Error);
}

TEST(Print, ReadsLikeCode) {
  Graph g = sample();
  g.segments.resize(2);
  Builder b(g);
  b.set_source("tail", {}, 1);
  const Val w(&g, 1);
  b.copy(b.transpose(w, 0, 1));
  b.copy(b.reshape(w, {12}));
  b.copy(b.slice(w, 0, 1, 2));
  EXPECT_EQ(print(g), R"(symbols:
  s0 in [1, 8], 2 at export
inputs:
  %0 f32[s0, 4] x
constants:
  %1 f32[4, 3] w
body:
  %2 f32[s0, 3] = matmul(%0, %1) {has_bias=false}  # linear @0
  %3 f32[s0, 3] = pointwise(%2) {program=out0 = abs(in0)}  # linear @0
  %4 f32[s0, 1] = reduce(%3) {axes=[1], kind=sum}  # linear @0
  %6 f32[3, 4] = copy(%1.permute(1, 0))  # tail @1
  %8 f32[12] = copy(%1.view(12))  # tail @1
  %10 f32[2, 3] = copy(%1.strided([2, 3], strides [3, 1], offset 3))  # tail @1
results:
  %4 f32[s0, 1]
)");
}

}  // namespace
}  // namespace reprise::ir
