#include "partition/partition.h"

#include <gtest/gtest.h>

#include "partition/report.h"
#include "reprise/error.h"

namespace reprise::partition {
namespace {

/// x → target → target → …, each on the result of the one before, over [2, s0].
ir::Program chain(const std::vector<std::string>& targets) {
  ir::Program p;
  const auto value = [&](const std::string& name) {
    p.graph.tensors[name] = {DType::f32, {2, sym::Expr::symbol("s0")}, {}, {}};
    return ir::TensorName{name};
  };
  p.graph.inputs.emplace_back(value("x"));
  p.inputs.push_back({ir::InputKind::user, "x", "", true, {}});
  std::string last = "x";
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::string name = "v" + std::to_string(i);
    const ir::NamedArg self{"self", ir::TensorName{last}}, other{"other", ir::TensorName{last}};
    p.graph.nodes.push_back(
        {targets[i], targets[i].find("relu") == std::string::npos ? std::vector{self, other} : std::vector{self}, {value(name)}, {name, "m.py:3"}});
    last = name;
  }
  p.graph.outputs.emplace_back(ir::TensorName{last});
  return p;
}

Partition split(const ir::Program& program, const PartitionOptions& options = {}, const ops::Registry& registry = ops::Registry::builtin()) {
  return partition(program, registry, options);
}

const std::string kAdd = "aten.add.Tensor", kMul = "aten.mul.Tensor", kRelu = "aten.relu.default";

TEST(Partition, NamesCoverOverloadsAndPrefix) {
  EXPECT_TRUE(names_target("aten.mul.Tensor", "aten.mul.Tensor"));
  EXPECT_TRUE(names_target("torch.ops.aten.mul.Tensor", "aten.mul.Tensor"));
  EXPECT_TRUE(names_target("aten.mul", "aten.mul.Scalar"));
  EXPECT_FALSE(names_target("aten.mul", "aten.mul_.Tensor"));
  EXPECT_FALSE(names_target("aten.mul.Scalar", "aten.mul.Tensor"));
}

TEST(Partition, SegmentsAreMaximalRuns) {
  const auto a = split(chain({kAdd, kMul, kMul, kRelu}), {.fallback_ops = {"aten.mul"}}).assignment;
  EXPECT_EQ(a.segment, (std::vector<int>{0, 1, 1, 2}));
  ASSERT_EQ(a.segments.size(), 3u);
  EXPECT_TRUE(a.segments[0].engine);
  EXPECT_FALSE(a.segments[1].engine);
  EXPECT_EQ(a.segments[1].reason, "aten.mul.Tensor is in fallback_ops");
}

TEST(Partition, SmallEnginesAreFolded) {
  const auto program = chain({kAdd, kMul, kRelu, kRelu});
  const auto folded = split(program, {.fallback_ops = {kMul}, .min_block_size = 2});
  EXPECT_EQ(folded.assignment.segment, (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(folded.reasons[0], "an engine of 1 ops is smaller than min_block_size 2");
  const auto none = split(program, {.fallback_ops = {kMul}, .min_block_size = 3}).assignment;
  ASSERT_EQ(none.segments.size(), 1u);
  EXPECT_FALSE(none.segments[0].engine);
}

TEST(Partition, RequireFullCompilationNamesWhatFallsBackAndIgnoresTheBlockSize) {
  const auto program = chain({kAdd, kMul});
  EXPECT_EQ(split(program, {.min_block_size = 9, .require_full_compilation = true}).assignment.segments.size(), 1u);
  try {
    split(program, {.fallback_ops = {kMul}, .require_full_compilation = true});
    FAIL();
  } catch (const UnsupportedOp& e) {
    EXPECT_STREQ(e.what(), "[compile/partition] require_full_compilation is set, and these ops fall back: aten.mul.Tensor is in fallback_ops");
  }
}

TEST(Partition, ConvertersDecide) {
  EXPECT_EQ(split(chain({kAdd, "my.op.default"})).reasons[1], "my.op.default has no converter");
  ops::Registry picky;
  picky.add({.schema = "aten::relu(Tensor self) -> Tensor", .convert = [](ops::Context&) {}, .validate = [](const ir::AtenNode&) { return "not today"; }});
  EXPECT_EQ(split(chain({kRelu}), {}, picky).reasons[0], "aten.relu.default: not today");
  ops::Registry rigid;
  rigid.add({.schema = "aten::relu(Tensor self) -> Tensor", .convert = [](ops::Context&) {}, .validate = {}, .supports_dynamic_shapes = false});
  EXPECT_EQ(split(chain({kRelu}), {}, rigid).reasons[0], "aten.relu.default: the converter does not support dynamic shapes");
  auto fixed = chain({kRelu});
  for (auto& [name, meta] : fixed.graph.tensors) meta.sizes = {2, 3};
  EXPECT_EQ(split(fixed, {}, rigid).reasons[0], "");
}

TEST(Partition, NestedGraphsFallBackWithTheirHolder) {
  auto program = chain({kAdd, kRelu});
  auto branch = std::make_shared<ir::AtenGraph>(chain({"my.op.default"}).graph);
  program.graph.nodes[1].args.push_back({"", std::shared_ptr<const ir::AtenGraph>(branch)});
  EXPECT_EQ(split(program).reasons[1], "inside aten.relu.default: my.op.default has no converter");
}

TEST(Partition, ArithmeticOnSymbolsGoesWithItsNeighbours) {
  auto program = chain({kAdd, kMul, kRelu});
  const ir::AtenNode size{"aten.sym_size.int", {}, {ir::SymOutput{"n", sym::Expr::symbol("s0")}}, {"n", ""}};
  program.graph.nodes.insert(program.graph.nodes.begin() + 2, size);
  program.graph.nodes.insert(program.graph.nodes.begin(), size);
  const auto p = split(program, {.fallback_ops = {kMul}, .min_block_size = 1});
  EXPECT_EQ(p.assignment.segment, (std::vector<int>{0, 0, 1, 1, 2}));
  EXPECT_EQ(report(program, p, {}).ops, 3);
}

TEST(Partition, AnEmptyProgramHasOneEngine) {
  EXPECT_EQ(split(chain({})).assignment.segments.size(), 1u);
  EXPECT_EQ(report(chain({}), split(chain({})), {}).coverage(), 1.0);
}

TEST(Partition, BadOptionsAreRefused) {
  EXPECT_THROW(split(chain({}), {.fallback_ops = {""}}), InvalidArgument);
  EXPECT_THROW(split(chain({}), {.min_block_size = 0}), InvalidArgument);
}

TEST(Report, TellsSegmentsBordersReasonsAndAdvice) {
  const PartitionOptions options{.fallback_ops = {kMul}};
  const auto program = chain({kAdd, kAdd, kMul, kRelu});
  const auto r = report(program, split(program, options), options);
  EXPECT_EQ(r.ops, 4);
  EXPECT_EQ(r.coverage(), 0.75);
  ASSERT_EQ(r.segments.size(), 3u);
  EXPECT_EQ(r.segments[0].counts, (std::vector<std::pair<std::string, int>>{{kAdd, 2}}));
  ASSERT_EQ(r.segments[1].inputs.size(), 1u);
  EXPECT_EQ(r.segments[1].inputs[0].name, "v1");
  EXPECT_EQ(r.segments[1].inputs[0].sizes, (std::vector<std::string>{"2", "s0"}));
  EXPECT_EQ(r.segments[0].inputs[0].name, "x");
  EXPECT_EQ(r.segments[2].outputs[0].name, "v3");
  ASSERT_EQ(r.fallbacks.size(), 1u);
  EXPECT_EQ(r.fallbacks[0].source, "m.py:3");
  EXPECT_NE(r.str().find("3 of 4 ops in engines (75.0 %), 3 segments"), std::string::npos) << r.str();
  EXPECT_NE(r.str().find("falls back: v2 (aten.mul.Tensor is in fallback_ops), m.py:3"), std::string::npos) << r.str();
  EXPECT_NE(r.str().find("min_block_size 1"), std::string::npos) << r.str();
  EXPECT_NE(r.json().find("\"coverage\": 0.75"), std::string::npos) << r.json();
}

}  // namespace
}  // namespace reprise::partition
