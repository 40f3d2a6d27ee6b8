// Core graph in, core graph out; each pass twice changes nothing.
#include <gtest/gtest.h>

#include "passes/convert_dtype.h"
#include "passes/fold_batch_norm.h"
#include "passes/fold_constants.h"
#include "passes/functionalize.h"
#include "passes/fuse_pointwise.h"
#include "passes/graph_maker.h"
#include "passes/remove_dead_code.h"
#include "passes/remove_redundant_copies.h"
#include "reprise/error.h"

namespace reprise::passes {
namespace {

using core::Op;
using core::ScalarOp;

const auto kFold = [](ir::Graph& g) { fold_constants(g, 1); };

TEST(Functionalize, AWholeWriteBecomesTheNewVersion) {
  GraphMaker m;
  const auto s = m.state({4});
  const auto y = m.b.unary(ScalarOp::exp, m.input({4}));
  m.b.write(s, y);
  m.result(m.b.unary(ScalarOp::neg, s));
  m.run(functionalize);
  EXPECT_EQ(m.count(Op::write), 0);
  EXPECT_EQ(m.count(Op::write_view), 0);
  EXPECT_EQ(m.graph.root_of(m.graph.states[0].final).name, m.graph.at(y.id()).name);
  EXPECT_EQ(m.graph.at(m.graph.body.nodes.back().inputs[0]).root, y.id());  // neg reads what was written
}

TEST(Functionalize, AWriteThroughAViewIsSeenThroughOthers) {
  GraphMaker m;
  const auto base = m.b.copy(m.input({2, 3}));
  const auto row = m.b.select(base, 0, 1), column = m.b.select(base, 1, 0);
  m.b.write(row, m.b.fill({3}, 7.0, DType::f32));
  m.result(m.b.unary(ScalarOp::neg, column));
  m.run(functionalize);
  EXPECT_EQ(m.count(Op::write_view), 1);
  const auto& read = m.graph.at(m.graph.body.nodes.back().inputs[0]);
  EXPECT_NE(read.root, base.id());
  EXPECT_EQ(m.graph.body.nodes[m.graph.body.nodes.size() - 2].op, Op::write_view);
}

TEST(Functionalize, WhatWasReadBeforeAWriteKeepsItsValue) {
  GraphMaker m;
  const auto base = m.b.copy(m.input({4}));
  const auto before = m.b.unary(ScalarOp::neg, base);
  m.b.write(base, m.b.unary(ScalarOp::exp, base));
  m.result(before);
  m.result(base);
  m.run(functionalize);
  EXPECT_EQ(m.graph.at(m.graph.results[0].value).root, before.id());
  EXPECT_NE(m.graph.at(m.graph.results[1].value).root, base.id());
}

TEST(Functionalize, OuterWritesInsideBranchesAreRefused) {
  GraphMaker m;
  const auto base = m.b.copy(m.input({4}));
  const auto pred = m.input({}, DType::boolean);
  const auto branch = [&](std::span<const ir::Val>) {
    m.b.write(base, m.b.fill({4}, 1.0, DType::f32));
    return std::vector<ir::Val>{m.b.copy(base)};
  };
  auto a = m.b.region(branch), b = m.b.region(branch);
  m.result(m.b.cond(pred, std::move(a), std::move(b), std::vector<ir::Val>{base})[0]);
  EXPECT_THROW(functionalize(m.graph), UnsupportedOp);
}

TEST(RemoveDeadCode, KeepsResultsStatesAndChecks) {
  GraphMaker m;
  const auto x = m.input({4});
  m.b.unary(ScalarOp::exp, x);
  m.b.check(m.b.reduce(ir::ReduceKind::all, m.b.unary(ScalarOp::is_finite, x), {}, false, DType::boolean), "not finite");
  m.result(m.b.unary(ScalarOp::neg, x));
  m.run(remove_dead_code);
  EXPECT_EQ(m.count(Op::check), 1);
  EXPECT_EQ(m.count(Op::pointwise), 2);  // neg and is_finite; exp is gone
}

TEST(RemoveDeadCode, KeepsWhatDefinesASizeInUse) {
  GraphMaker m;
  m.graph.symbols.add({.name = "u0", .range = {0, 4}, .unbacked = true, .hint = {}});
  const auto u0 = sym::Expr::symbol("u0");
  m.b.nonzero(m.input({4}), u0);
  m.result(m.b.fill({u0}, 1.0, DType::f32));
  m.run(remove_dead_code);
  EXPECT_EQ(m.count(Op::nonzero), 1);
}

TEST(RemoveRedundantCopies, ContiguousCopiesBecomeViews) {
  GraphMaker m;
  const auto x = m.b.unary(ScalarOp::exp, m.input({2, 3}));
  m.result(m.b.unary(ScalarOp::neg, m.b.reshape(m.b.copy(x), {6})));
  m.run(remove_redundant_copies);
  EXPECT_EQ(m.count(Op::copy), 0);
}

TEST(RemoveRedundantCopies, TransposedCopiesStayForReadersOfTheirLayout) {
  GraphMaker m;
  const auto x = m.b.unary(ScalarOp::exp, m.input({2, 3}));
  m.result(m.b.unary(ScalarOp::neg, m.b.reshape(m.b.transpose(x, 0, 1), {6})));
  m.run(remove_redundant_copies);
  EXPECT_EQ(m.count(Op::copy), 1);
}

TEST(FoldConstants, EvaluatesWhatDependsOnConstantsAlone) {
  GraphMaker m;
  const auto folded = m.b.binary(ScalarOp::add, m.constant({2}, {1, 2}), m.b.fill({2}, 10.0, DType::f32));
  m.result(m.b.binary(ScalarOp::mul, m.input({2}), folded));
  m.run(kFold);
  const auto& value = m.graph.at(folded.id());
  ASSERT_EQ(value.kind, ir::ValueKind::constant);
  const auto& data = m.graph.constants[static_cast<std::size_t>(value.index)].data;
  EXPECT_EQ(data.data_as<float>()[0], 11);
  EXPECT_EQ(data.data_as<float>()[1], 12);
  EXPECT_EQ(m.count(Op::pointwise), 1);
}

TEST(FoldConstants, DoesNotBlowUpExpansions) {
  GraphMaker m;
  const auto big = m.b.copy(m.b.expand(m.constant({1}, {3}), {1 << 20}));
  m.result(m.b.binary(ScalarOp::add, m.input({1 << 20}), big));
  m.run(kFold);
  EXPECT_EQ(m.count(Op::copy), 1);
}

TEST(FoldBatchNorm, GoesIntoTheConvolution) {
  GraphMaker m;
  const auto x = m.input({1, 1, 4, 4});
  const auto y = m.b.conv(x, m.constant({2, 1, 1, 1}, {1, 2}), {}, {.stride = {1, 1}, .padding = {0, 0}, .dilation = {1, 1}, .output_padding = {0, 0}});
  m.result(m.b.batch_norm(y, m.constant({2}, {1, 2}), m.constant({2}, {3, 8}), m.constant({2}, {4, 3}), m.constant({2}, {5, 6}), 1.0));
  m.run(fold_batch_norm);
  ASSERT_EQ(m.graph.body.nodes.size(), 1u);
  const auto& conv = m.graph.body.nodes[0];
  const auto* w = m.graph.constants[static_cast<std::size_t>(m.graph.root_of(conv.inputs[1]).index)].data.data_as<float>();
  const auto* b = m.graph.constants[static_cast<std::size_t>(m.graph.root_of(conv.inputs[2]).index)].data.data_as<float>();
  EXPECT_FLOAT_EQ(w[0], 2);  // 1 * 4 / sqrt(3 + 1)
  EXPECT_FLOAT_EQ(w[1], 2);  // 2 * 3 / sqrt(8 + 1)
  EXPECT_FLOAT_EQ(b[0], 3);  // 5 - 1 * 2
  EXPECT_FLOAT_EQ(b[1], 4);  // 6 - 2 * 1
}

TEST(FoldBatchNorm, NotWhenTheConvolutionHasAnotherReader) {
  GraphMaker m;
  const auto y =
      m.b.conv(m.input({1, 1, 4, 4}), m.constant({1, 1, 1, 1}, {1}), {}, {.stride = {1, 1}, .padding = {0, 0}, .dilation = {1, 1}, .output_padding = {0, 0}});
  m.result(y);
  m.result(m.b.batch_norm(y, m.constant({1}, {0}), m.constant({1}, {1}), {}, {}, 1e-5));
  m.run(fold_batch_norm);
  EXPECT_EQ(m.count(Op::norm), 1);
}

TEST(FusePointwise, ChainsBecomeOneRegion) {
  GraphMaker m;
  const auto x = m.input({4});
  const auto sum = m.b.binary(ScalarOp::add, x, m.b.scalar(2.0, DType::f32));
  m.result(m.b.unary(ScalarOp::exp, m.b.binary(ScalarOp::mul, sum, m.b.scalar(0.5, DType::f32))));
  fuse_pointwise(m.graph);
  m.run([](ir::Graph& g) {
    fuse_pointwise(g);
    remove_dead_code(g);
  });
  ASSERT_EQ(m.graph.body.nodes.size(), 1u);
  EXPECT_EQ(m.graph.body.nodes[0].inputs.size(), 1u);  // constants are immediates
}

TEST(FusePointwise, AValueThatOthersReadStaysAsAnOutput) {
  GraphMaker m;
  const auto shared = m.b.unary(ScalarOp::exp, m.input({4}));
  m.result(m.b.unary(ScalarOp::neg, shared));
  m.result(shared);
  m.run(fuse_pointwise);
  ASSERT_EQ(m.graph.body.nodes.size(), 1u);
  EXPECT_EQ(m.graph.body.nodes[0].outputs.size(), 2u);
}

TEST(FusePointwise, BroadcastAndReorderedReadsStaySteps) {
  GraphMaker m;
  const auto row = m.b.unary(ScalarOp::exp, m.input({3}));
  const auto square = m.b.unary(ScalarOp::exp, m.input({3, 3}));
  m.result(m.b.binary(ScalarOp::add, m.b.transpose(square, 0, 1), row));
  m.run(fuse_pointwise);
  EXPECT_EQ(m.count(Op::pointwise), 3);
}

TEST(FusePointwise, FallbackSegmentsStayAsTheyAre) {
  GraphMaker m;
  m.graph.segments[0].engine = false;
  m.result(m.b.unary(ScalarOp::neg, m.b.unary(ScalarOp::exp, m.input({4}))));
  m.run(fuse_pointwise);
  EXPECT_EQ(m.count(Op::pointwise), 2);
}

TEST(ConvertDtype, WeightsAndValuesNarrowAndTheSignatureStays) {
  GraphMaker m;
  const auto y = m.b.matmul(m.input({2, 2}), m.constant({2, 2}, {1, 2, 3, 4}));
  m.result(m.b.unary(ScalarOp::exp, y));
  convert_dtype(m.graph, DType::bf16);
  ir::verify(m.graph);
  EXPECT_EQ(m.graph.at(m.graph.inputs[0]).dtype, DType::f32);
  EXPECT_EQ(m.graph.at(m.graph.results[0].value).dtype, DType::f32);
  EXPECT_EQ(m.graph.at(y.id()).dtype, DType::bf16);
}

}  // namespace
}  // namespace reprise::passes
