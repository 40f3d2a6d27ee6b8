// The passes that prepare a graph for GPUs: graph in, graph out, and the same results by the reference kernels.
#include <gtest/gtest.h>

#include "passes/absorb_copies.h"
#include "passes/channels_last.h"
#include "passes/fuse_epilogues.h"
#include "passes/graph_maker.h"
#include "passes/join_products.h"
#include "passes/pad_channels.h"
#include "passes/pad_columns.h"
#include "passes/relayout.h"
#include "passes/remove_dead_code.h"
#include "passes/turn_weights.h"
#include "passes/unfold_patches.h"

namespace reprise::passes {
namespace {

using core::Op;
using core::ScalarOp;
using sym::Expr;
using sym::Shape;

ir::Val relu(GraphMaker& m, ir::Val x) {
  return m.b.map(x, [](ir::ScalarBuilder& s, ir::Sv v) { return s.op(ScalarOp::maximum, v, s.constant(0, v.type)); });
}

const ir::Node& only(const GraphMaker& m, Op op) {
  const ir::Node* found = nullptr;
  ir::for_each_node(m.graph.body.nodes, [&](const ir::Node& node) {
    if (node.op == op) found = &node;
  });
  return *found;
}

TEST(FuseEpilogues, AddAndReluBecomePartOfAProduct) {
  GraphMaker m;
  const auto a = m.input({4, 8}), residual = m.input({1, 4, 5});
  const auto y = m.b.reshape(m.b.matmul(a, m.constant({8, 5}, std::vector<float>(40, 1))), {1, 4, 5});
  m.result(m.b.map(residual, y, [](ir::ScalarBuilder& s, ir::Sv r, ir::Sv v) { return s.op(ScalarOp::sub, r, v); }));
  m.run(fuse_epilogues);
  EXPECT_EQ(m.count(Op::pointwise), 0);
  const auto& node = only(m, Op::matmul);
  ASSERT_EQ(node.inputs.size(), 3u);
  EXPECT_TRUE(sym::equal(m.graph.at(node.inputs[2]).sizes, Shape{4, 5}));
  EXPECT_EQ(node.attrs.program("epilogue")->str(), "out0 = sub(in1, in0)");  // the product's result comes first
  EXPECT_EQ(m.graph.at(m.graph.results[0].value).root, node.outputs[0]);
}

TEST(FuseEpilogues, TheLaterOfTwoConvolutionsTakesTheSum) {
  GraphMaker m;
  const auto x = m.input({1, 3, 8, 8});
  const auto w = m.constant({4, 3, 1, 1}, std::vector<float>(12, 1)), w2 = m.constant({4, 3, 1, 1}, std::vector<float>(12, 2));
  const auto first = m.b.conv(x, w, {}, {}), second = m.b.conv(x, w2, {}, {});
  m.result(relu(m, m.b.binary(ScalarOp::add, second, first)));
  m.run(fuse_epilogues);
  ASSERT_EQ(m.count(Op::conv), 2);
  EXPECT_FALSE(m.graph.body.nodes.front().attrs.has("epilogue"));
  EXPECT_TRUE(m.graph.body.nodes[1].attrs.has("epilogue"));
  EXPECT_EQ(m.graph.body.nodes[1].inputs.back(), first.id());
}

TEST(FuseEpilogues, ResultsThatOthersReadStay) {
  GraphMaker m;
  const auto y = m.b.matmul(m.input({4, 8}), m.input({8, 5}));
  m.result(relu(m, y));
  m.result(y);
  m.run(fuse_epilogues);
  EXPECT_EQ(m.count(Op::pointwise), 1);
}

TEST(FuseEpilogues, AnotherDTypeStaysOutside) {
  GraphMaker m;
  m.result(m.b.cast(m.b.matmul(m.input({4, 8}), m.input({8, 5})), DType::f16));
  m.run(fuse_epilogues);
  EXPECT_EQ(m.count(Op::pointwise), 1);
}

TEST(UnfoldPatches, WindowsThatTileTheImageBecomeRows) {
  GraphMaker m;
  const auto w = m.constant({5, 3, 2, 4}, std::vector<float>(120, 1)), bias = m.constant({5}, std::vector<float>(5, 1));
  const auto y = m.b.conv(m.input({2, 3, 6, 8}), w, bias, {.stride = {2, 4}, .padding = {0, 0}, .dilation = {1, 1}, .output_padding = {0, 0}});
  m.result(m.b.copy(m.b.permute(m.b.flatten(y, 2, 3), std::vector<int>{0, 2, 1})));
  m.run(unfold_patches);
  EXPECT_EQ(m.count(Op::conv), 0);
  const auto& node = only(m, Op::matmul);
  EXPECT_TRUE(sym::equal(m.graph.at(node.inputs[0]).sizes, Shape{12, 24}));
  EXPECT_TRUE(sym::equal(m.graph.at(node.inputs[2]).strides, Shape{0, 1}));
  EXPECT_EQ(m.graph.at(y.id()).root, node.outputs[0]);
  EXPECT_TRUE(sym::equal(m.graph.at(y.id()).strides, Shape{30, 1, 10, 5}));
}

TEST(UnfoldPatches, OverlappingOrKeptConvolutionsStay) {
  GraphMaker m;
  const auto w = m.constant({5, 3, 2, 2}, std::vector<float>(60, 1));
  const auto overlapping = m.b.conv(m.input({2, 3, 6, 6}), w, {}, {.stride = {1, 1}, .padding = {0, 0}, .dilation = {1, 1}, .output_padding = {0, 0}});
  m.result(relu(m, overlapping));
  m.result(m.b.conv(m.input({2, 3, 6, 6}), w, {}, {.stride = {2, 2}, .padding = {0, 0}, .dilation = {1, 1}, .output_padding = {0, 0}}));
  m.run(unfold_patches);
  EXPECT_EQ(m.count(Op::conv), 2);
}

TEST(PadColumns, AHeadGetsWholeVectorsAndItsWeightsStayShared) {
  GraphMaker m;
  const auto w = m.constant({5001, 2}, std::vector<float>(10002, 1));
  m.result(m.b.matmul(m.input({4, 2}), m.b.transpose(w, 0, 1)));
  m.result(m.b.copy(m.b.slice(w, 0, 3, 2)));
  m.run(pad_columns);
  const auto& node = only(m, Op::matmul);
  EXPECT_TRUE(sym::equal(m.graph.at(node.outputs[0]).sizes, Shape{4, 5004}));
  EXPECT_EQ(m.count(Op::copy), 2);
  EXPECT_EQ(m.graph.at(w.id()).root, m.graph.at(node.inputs[1]).root);
  EXPECT_TRUE(m.graph.is_contiguous(m.graph.results[0].value));
}

ir::Val half_constant(GraphMaker& m, const std::vector<std::int64_t>& sizes) { return {&m.graph, m.graph.add_constant("w", Tensor::zeros(sizes, DType::f16))}; }

ir::ConvOptions plain_conv(std::int64_t groups = 1) {
  return {.stride = {1, 1}, .padding = {0, 0}, .dilation = {1, 1}, .output_padding = {0, 0}, .groups = groups};
}

TEST(PadChannels, ColourImagesGetAFourthChannelOfZeros) {
  GraphMaker m;
  const auto x = m.input({2, 3, 6, 8}, DType::f16), computed = m.b.cast(m.input({5, 3, 3, 3}), DType::f16);
  m.result(m.b.conv(x, half_constant(m, {5, 3, 3, 3}), {}, plain_conv()));
  m.result(m.b.conv(x, computed, {}, plain_conv()));
  m.run(pad_channels);
  m.run([](ir::Graph& graph) { channels_last(graph, false); });
  ASSERT_EQ(m.count(Op::pad), 1);
  const auto& pad = only(m, Op::pad);
  EXPECT_TRUE(sym::equal(m.graph.at(pad.outputs[0]).sizes, Shape{2, 4, 6, 8}));
  EXPECT_TRUE(sym::equal(m.graph.at(pad.outputs[0]).strides, Shape{192, 1, 32, 4}));  // written as the convolution reads it
  std::vector<std::int64_t> channels;
  ir::for_each_node(m.graph.body.nodes, [&](const ir::Node& node) {
    if (node.op == Op::conv) channels.push_back(*m.graph.at(node.inputs[1]).sizes[1].as_int());
  });
  EXPECT_EQ(channels, (std::vector<std::int64_t>{4, 3}));
}

TEST(PadChannels, WholeVectorsGroupsAndF32Stay) {
  GraphMaker m;
  m.result(m.b.conv(m.input({1, 8, 6, 8}, DType::f16), half_constant(m, {5, 8, 3, 3}), {}, plain_conv()));
  m.result(m.b.conv(m.input({1, 4, 6, 8}, DType::f16), half_constant(m, {5, 4, 3, 3}), {}, plain_conv()));
  m.result(m.b.conv(m.input({1, 3, 6, 8}), m.constant({5, 3, 3, 3}, std::vector<float>(135, 1)), {}, plain_conv()));
  m.result(m.b.conv(m.input({1, 6, 6, 8}, DType::f16), half_constant(m, {6, 3, 3, 3}), {}, plain_conv(2)));
  m.run(pad_channels);
  EXPECT_EQ(m.count(Op::pad), 0);
}

TEST(TurnWeights, ColumnsComeToLieBesideEachOther) {
  GraphMaker m;
  Tensor flat = Tensor::empty(std::vector<std::int64_t>{2, 3}, DType::f32);
  for (int i = 0; i < 6; ++i) flat.data_as<float>()[i] = static_cast<float>(i);
  const ir::Val w{&m.graph, m.graph.add_constant("w", flat.to(DType::f16))};
  const auto x = m.input({4, 2}, DType::f16);
  m.result(m.b.matmul(x, w));
  m.result(m.b.matmul(x, w));  // one copy for both
  m.result(m.b.matmul(m.input({4, 3}, DType::f16), m.b.transpose(half_constant(m, {5, 3}), 0, 1)));
  const std::size_t constants = m.graph.constants.size();
  m.run(turn_weights);
  ASSERT_EQ(m.graph.constants.size(), constants + 1);
  const Tensor turned = m.graph.constants.back().data.to(DType::f32);
  EXPECT_EQ((std::vector<float>(turned.data_as<float>(), turned.data_as<float>() + 6)), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  const auto& value = m.graph.at(m.graph.body.nodes[1].inputs[1]);
  EXPECT_TRUE(sym::equal(value.sizes, Shape{2, 3}));
  EXPECT_TRUE(sym::equal(value.strides, Shape{1, 2}));
}

TEST(Relayout, ViewsFollow) {
  GraphMaker m;
  const auto y = m.b.unary(ScalarOp::exp, m.input({2, 6, 3, 4}));
  const auto pixels = m.b.reshape(y, {2, 6, 12}), turned = m.b.permute(pixels, std::vector<int>{0, 2, 1}), part = m.b.slice(y, 1, 2, 3),
             corner = m.b.select(m.b.select(y, 3, 1), 2, 2);
  ASSERT_TRUE(relayout(m.graph, y.id(), channels_last_strides(y.sizes())));
  EXPECT_TRUE(sym::equal(m.graph.at(y.id()).strides, Shape{72, 1, 24, 6}));
  EXPECT_TRUE(sym::equal(m.graph.at(turned.id()).strides, Shape{72, 6, 1}));
  EXPECT_TRUE(sym::equal(m.graph.at(part.id()).strides, Shape{72, 1, 24, 6}));
  EXPECT_EQ(m.graph.at(part.id()).offset, Expr(2));
  EXPECT_EQ(m.graph.at(corner.id()).offset, Expr(2 * 24 + 6));
}

TEST(Relayout, RefusesWhatItCannotTell) {
  GraphMaker m;
  const auto y = m.b.unary(ScalarOp::exp, m.input({2, 6, 3, 4}));
  (void)m.b.reshape(y, {2, 72});
  const auto before = m.graph.at(y.id()).strides;
  EXPECT_FALSE(relayout(m.graph, y.id(), channels_last_strides(y.sizes())));
  EXPECT_TRUE(sym::equal(m.graph.at(y.id()).strides, before));
}

ir::Val half(GraphMaker& m, ir::Val x) { return m.b.cast(x, DType::f16); }

TEST(ChannelsLast, OneChangeOnTheWayInAndOneOut) {
  GraphMaker m;
  const auto w = half(m, m.constant({8, 3, 3, 3}, std::vector<float>(216, 1))), w2 = half(m, m.constant({8, 8, 3, 3}, std::vector<float>(576, 1)));
  const auto pad = ir::ConvOptions{.stride = {1, 1}, .padding = {1, 1}, .dilation = {1, 1}, .output_padding = {0, 0}};
  const auto first = m.b.conv(half(m, m.input({2, 3, 6, 6})), w, {}, pad);
  const auto second = m.b.conv(relu(m, first), w2, {}, pad);
  m.result(second);
  m.run([](ir::Graph& graph) { channels_last(graph, false); });
  EXPECT_TRUE(sym::equal(m.graph.at(first.id()).strides, Shape{288, 1, 48, 8}));
  EXPECT_TRUE(m.graph.is_contiguous(m.graph.results[0].value));
  EXPECT_EQ(m.graph.body.nodes.back().op, Op::copy);  // back to rows
  // The cast of the input writes channels last; the weights, which are no constants here, are copied.
  EXPECT_EQ(m.count(Op::copy), 3);
}

TEST(ChannelsLast, ConstantWeightsAreTurnedAtOnce) {
  GraphMaker m;
  auto data = Tensor::empty(std::vector<std::int64_t>{2, 3, 1, 2}, DType::f16);
  auto flat = Tensor::empty(std::vector<std::int64_t>{2, 3, 1, 2}, DType::f32);
  for (int i = 0; i < 12; ++i) flat.data_as<float>()[i] = static_cast<float>(i);
  data = flat.to(DType::f16);
  const ir::Val w{&m.graph, m.graph.add_constant("w", data)};
  m.result(relu(m, m.b.conv(half(m, m.input({1, 3, 4, 4})), w, {}, {.stride = {1, 1}, .padding = {0, 0}, .dilation = {1, 1}, .output_padding = {0, 0}})));
  m.run([](ir::Graph& graph) { channels_last(graph, false); });
  const auto& node = only(m, Op::conv);
  const auto& turned = m.graph.at(node.inputs[1]);
  EXPECT_TRUE(sym::equal(turned.strides, Shape{6, 1, 6, 3}));
  const auto& stored = m.graph.constants.at(static_cast<std::size_t>(m.graph.at(turned.root).index)).data;
  const auto values = stored.to(DType::f32);
  EXPECT_EQ((std::vector<float>(values.data_as<float>(), values.data_as<float>() + 12)), (std::vector<float>{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11}));
  EXPECT_EQ(m.count(Op::copy), 0);  // relu writes the result row by row
}

TEST(ChannelsLast, LeavesF32Alone) {
  GraphMaker m;
  m.result(m.b.conv(m.input({1, 3, 4, 4}), m.constant({4, 3, 1, 1}, std::vector<float>(12, 1)), {}, {}));
  m.run([](ir::Graph& graph) { channels_last(graph, false); });
  EXPECT_EQ(m.count(Op::copy), 0);
}

TEST(AbsorbCopies, HeadsGoBackWithoutACopy) {
  GraphMaker m;
  const auto q = m.input({1, 4, 8, 16});
  const auto y = m.b.attention(q, q, q, {}, false, 0.25);
  const auto back = m.b.contiguous(m.b.transpose(y, 1, 2));
  m.result(m.b.matmul(m.b.reshape(back, {8, 64}), m.input({64, 3})));
  m.run(absorb_copies);
  EXPECT_EQ(m.count(Op::copy), 0);
  EXPECT_TRUE(sym::equal(m.graph.at(y.id()).strides, Shape{0, 16, 64, 1}));
  EXPECT_EQ(m.graph.at(only(m, Op::matmul).inputs[0]).root, y.id());
}

TEST(AbsorbCopies, OtherReadersKeepTheirOrder) {
  GraphMaker m;
  const auto y = m.b.unary(ScalarOp::exp, m.input({4, 8}));
  m.result(m.b.softmax(m.b.contiguous(m.b.transpose(y, 0, 1)), 0, false, DType::f32));
  m.result(m.b.softmax(y, 0, false, DType::f32));
  m.run(absorb_copies);
  EXPECT_EQ(m.count(Op::copy), 1);
}

TEST(JoinProducts, ThreeProjectionsAreOne) {
  GraphMaker m;
  const auto x = m.input({Expr(6), 4});
  const auto projection = [&](float value) {
    std::vector<float> w(8 * 4), bias(8, value);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = value + static_cast<float>(i);
    return m.b.matmul(x, m.b.transpose(m.constant({8, 4}, w), 0, 1), m.b.expand(m.constant({8}, bias), {Expr(6), 8}));
  };
  const auto q = projection(100), k = projection(200), v = projection(300);
  const auto heads = [&](ir::Val t) { return m.b.transpose(m.b.reshape(t, {Expr(6), 2, 4}), 0, 1); };
  const auto y = m.b.attention(heads(q), heads(k), heads(v), {}, false, 1);
  m.result(y);
  m.run(join_products);
  EXPECT_EQ(m.count(Op::matmul), 1);
  const auto& joined = only(m, Op::matmul);
  const auto& node = only(m, Op::attention);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(m.graph.at(node.inputs[i]).root, joined.outputs[0]);
    EXPECT_TRUE(sym::equal(m.graph.at(node.inputs[i]).strides, Shape{4, 24, 1}));
    EXPECT_EQ(m.graph.at(node.inputs[i]).offset, Expr(static_cast<std::int64_t>(8 * i)));
  }
  const auto& w = m.graph.at(joined.inputs[1]);
  EXPECT_TRUE(sym::equal(w.sizes, Shape{4, 24}));
  const auto& data = m.graph.constants.at(static_cast<std::size_t>(m.graph.at(w.root).index)).data;
  EXPECT_EQ(data.data_as<float>()[8 * 4 + 5], 205);  // row 9: the second matrix's row 1, column 1
}

TEST(JoinProducts, OddRowsAreFilledUp) {
  GraphMaker m;
  const auto y = m.b.matmul(m.input({3, 4}), m.b.transpose(m.constant({1027, 4}, std::vector<float>(1027 * 4, 1)), 0, 1));
  m.result(m.b.unary(ScalarOp::neg, y));
  m.run(join_products);
  const auto& node = only(m, Op::matmul);
  EXPECT_TRUE(sym::equal(m.graph.at(node.outputs[0]).sizes, Shape{3, 1028}));
  const auto& read = m.graph.at(only(m, Op::pointwise).inputs[0]);
  EXPECT_TRUE(sym::equal(read.sizes, Shape{3, 1027}));
  EXPECT_TRUE(sym::equal(read.strides, Shape{1028, 1}));
}

TEST(JoinProducts, WhatIsFusedElsewhereStaysApart) {
  GraphMaker m;
  const auto x = m.input({3, 4});
  const auto a = m.b.matmul(x, m.constant({4, 2}, std::vector<float>(8, 1))), b = m.b.matmul(x, m.constant({4, 2}, std::vector<float>(8, 2)));
  m.result(relu(m, a));
  m.result(relu(m, b));
  m.run(join_products);
  EXPECT_EQ(m.count(Op::matmul), 2);
}

}  // namespace
}  // namespace reprise::passes
