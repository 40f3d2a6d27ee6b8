#include <gtest/gtest.h>

#include "ir/builder.h"
#include "reprise/error.h"

namespace reprise::ir {
namespace {

using core::Op;
using core::ScalarOp;
using sym::Expr;
using sym::Shape;

class Build : public testing::Test {
 protected:
  Val input(Shape sizes, DType dtype = DType::f32) {
    graph_.inputs.push_back(graph_.add_root(ValueKind::input, "x", dtype, std::move(sizes), static_cast<int>(graph_.inputs.size())));
    return {&graph_, graph_.inputs.back()};
  }
  const Node& last() const { return graph_.body.nodes.back(); }
  void expect(Val v, const Shape& sizes, DType dtype = DType::f32) const {
    EXPECT_EQ(sym::str(v.sizes()), sym::str(sizes));
    EXPECT_EQ(v.dtype(), dtype);
  }
  void TearDown() override { verify(graph_); }

  Graph graph_;
  Builder b_{graph_};
};

TEST_F(Build, PointwiseBroadcasts) {
  const Val a = input({4, 1}), c = input({3}, DType::i64);
  const Val y = b_.map(a, c, [](ScalarBuilder& s, Sv x, Sv k) { return s.op(ScalarOp::mul, x, s.cast(k, DType::f32)); });
  expect(y, {4, 3});
  EXPECT_EQ(last().attrs.program("program")->str(), "out0 = mul(in0, f32(in1))");
  expect(b_.binary(ScalarOp::lt, a, a), {4, 1}, DType::boolean);
  EXPECT_THROW(b_.binary(ScalarOp::add, a, c), InvalidArgument);
}

TEST_F(Build, BooleansAddAndMultiplyAsLogic) {
  const Val p = input({2}, DType::boolean);
  b_.binary(ScalarOp::mul, b_.binary(ScalarOp::add, p, p), p);
  EXPECT_EQ(graph_.body.nodes[0].attrs.program("program")->str(), "out0 = bit_or(in0, in1)");
  EXPECT_EQ(graph_.body.nodes[1].attrs.program("program")->str(), "out0 = bit_and(in0, in1)");
}

TEST_F(Build, ConstantsAreRoundedToTheirType) {
  core::ScalarProgram p;
  ScalarBuilder s(p);
  s.constant(0.1, DType::bf16);
  s.constant(-3.7, DType::i32);
  s.constant(2.0, DType::boolean);
  EXPECT_EQ(p.code[0].imm_real, 0.10009765625);
  EXPECT_EQ(p.code[1].imm_int, -3);
  EXPECT_EQ(p.code[2].imm_int, 1);
  EXPECT_THROW(s.constant(1e30, DType::i64), InvalidArgument);
}

TEST_F(Build, ReduceKeepsOrDropsAxes) {
  const Val x = input({2, 3, 4}, DType::i32);
  expect(b_.reduce(ReduceKind::sum, x, {-1, 0}, false, DType::i64), {3}, DType::i64);
  expect(b_.reduce(ReduceKind::max, x, {}, true, DType::i32), {1, 1, 1}, DType::i32);
  expect(b_.reduce(ReduceKind::argmax, x, {}, false, DType::i64), {}, DType::i64);
  expect(b_.reduce(ReduceKind::any, x, {1}, true, DType::u8), {2, 1, 4}, DType::u8);
  expect(b_.reduce(ReduceKind::sum, input({}), {0}, false, DType::f32), {});
  EXPECT_THROW(b_.reduce(ReduceKind::sum, x, {1, -2}, false, DType::i32), InvalidArgument);
  EXPECT_THROW(b_.reduce(ReduceKind::argmin, x, {0, 1}, false, DType::i64), InvalidArgument);
}

TEST_F(Build, ScalarsScanAndSortAsOneElement) {
  const Val x = input({});
  expect(b_.scan(ScanKind::sum, x, -1, DType::f32), {});
  expect(b_.softmax(x, 0, false, DType::f32), {});
  expect(b_.sort(x, 0, false, true).second, {}, DType::i64);
  expect(b_.topk(x, 1, 0, true, true).first, {});
  expect(b_.gather(x, input({}, DType::i64), 0), {});
}

TEST_F(Build, NormsGiveStatistics) {
  const Val x = input({2, 6, 5}, DType::bf16), w = input({5}, DType::bf16), c = input({6}, DType::bf16);
  const auto layer = b_.layer_norm(x, 1, w, {}, 1e-5, true);
  expect(layer.mean, {2, 6, 1});
  const auto group = b_.group_norm(x, 3, c, c, 1e-5, true);
  expect(group.rstd, {2, 3});
  expect(b_.rms_norm(x, 2, {}, 1e-5, true).rstd, {2, 1, 1});
  expect(b_.batch_norm(x, c, c, {}, {}, 1e-5), {2, 6, 5}, DType::bf16);
  EXPECT_THROW(b_.group_norm(x, 4, {}, {}, 1e-5, false), ShapeError);
}

TEST_F(Build, MatmulBroadcastsItsBatch) {
  const Expr s = Expr::symbol("s0");
  graph_.symbols.add({"s0", {}, false, {}});
  expect(b_.matmul(input({s, 1, 4, 8}), input({3, 8, 5}), input({5})), {s, 3, 4, 5});
  EXPECT_THROW(b_.matmul(input({4, 8}), input({7, 5})), ShapeError);
  EXPECT_THROW(b_.matmul(input({8}), input({8, 5})), ShapeError);
}

TEST_F(Build, AttentionBroadcastsItsMask) {
  const Val q = input({2, 4, 7, 16}), k = input({2, 4, 9, 16}), v = input({2, 4, 9, 8});
  expect(b_.attention(q, k, v, input({7, 9}, DType::boolean), false, 0.25), {2, 4, 7, 8});
}

TEST_F(Build, ConvolutionSizes) {
  const Val x = input({1, 4, 9, 10});
  expect(b_.conv(x, input({8, 2, 3, 3}), {}, {.stride = {2}, .padding = {1}, .dilation = {1, 2}, .output_padding = {}, .groups = 2}), {1, 8, 5, 4});
  expect(b_.conv(x, input({4, 3, 3, 3}), input({6}),
                 {.stride = {2, 2}, .padding = {1, 1}, .dilation = {}, .output_padding = {1, 0}, .groups = 2, .transposed = true}),
         {1, 6, 18, 19});
  expect(b_.conv(input({4, 9, 10}), input({8, 4, 1, 1}), {}, {}), {8, 9, 10});
  EXPECT_THROW(b_.conv(x, input({8, 3, 3, 3}), {}, {}), ShapeError);
  EXPECT_THROW(b_.conv(x, input({8, 4, 12, 3}), {}, {}), ShapeError);
}

TEST_F(Build, PoolingSizesFollowCeilMode) {
  const Val x = input({1, 2, 7, 8});
  Val indices;
  expect(b_.max_pool(x, {.kernel = {3, 3}, .stride = {2}, .padding = {1}, .dilation = {}}, &indices), {1, 2, 4, 4});
  expect(indices, {1, 2, 4, 4}, DType::i64);
  expect(b_.avg_pool(x, {.kernel = {2, 2}, .stride = {}, .padding = {}, .dilation = {}, .ceil_mode = true}), {1, 2, 4, 4});
  // The window that would start in the right padding is dropped.
  expect(b_.avg_pool(input({1, 1, 3}), {.kernel = {1}, .stride = {3}, .padding = {0}, .dilation = {}, .ceil_mode = true}), {1, 1, 1});
  expect(b_.adaptive_avg_pool(input({2, 7, 8}), {1, 1}), {2, 1, 1});
}

TEST_F(Build, ConcatSkipsLegacyEmpties) {
  expect(b_.concat(std::vector<Val>{input({2, 3}), input({0}), input({4, 3})}, 0), {6, 3});
  expect(b_.concat(std::vector<Val>{input({2, 3})}, 1), {2, 3});
  EXPECT_THROW(b_.concat(std::vector<Val>{input({2, 3}), input({2, 4})}, 0), ShapeError);
  EXPECT_THROW(b_.concat(std::vector<Val>{input({2}), input({2}, DType::i64)}, 0), InvalidArgument);
}

TEST_F(Build, IndexPutsTheIndexDimensionsAtThePosition) {
  const Val x = input({4, 5, 6});
  const Val i = input({2, 1}, DType::i32), j = input({3}, DType::i64);
  expect(b_.index(x, std::vector<Val>{i, j}, {0, 2}, 0), {2, 3, 5});
  expect(b_.index_put(x, input({}), std::vector<Val>{j}, {1}, 1, false), {4, 5, 6});
  expect(b_.index_select(x, j, -1), {4, 5, 3});
  EXPECT_THROW(b_.index(x, std::vector<Val>{i, j}, {2, 0}, 0), InvalidArgument);
}

TEST_F(Build, WriteViewCountsFromTheValueItself) {
  const Val x = b_.slice(input({4, 3}), 0, 1, 2);
  expect(b_.write_view(x, b_.slice(x, 1, 1, 1), input({})), {2, 3});
  EXPECT_EQ(last().attrs.integer("offset").str(), "1");
  const Val t = b_.transpose(x, 0, 1);
  EXPECT_THROW(b_.write_view(t, t, input({})), InvalidArgument);
}

TEST_F(Build, DataDependentNodesDefineTheirSymbol) {
  graph_.symbols.add({"u0", {}, true, {}});
  const Val x = input({2, 3});
  expect(b_.nonzero(x, Expr::symbol("u0")), {Expr::symbol("u0"), 2}, DType::i64);
  EXPECT_EQ(last().defines, std::vector<std::string>{"u0"});
  // The same count again: a symbol of its own behind it.
  const Val again = b_.nonzero(x, Expr::symbol("u0"));
  expect(again, {Expr::symbol("u0"), 2}, DType::i64);
  EXPECT_EQ(last().defines, std::vector<std::string>{"d0"});
  EXPECT_EQ(again.value().kind, ValueKind::view);
  b_.item(b_.scalar(3, DType::i64), Expr::symbol("u0"));
  EXPECT_EQ(last().op, Op::fill) << "u0 has a value already";
  EXPECT_TRUE(b_.knows(Expr::symbol("u0") + Expr::symbol("d0")));
  graph_.symbols.add({"u9", {}, true, {}});
  EXPECT_FALSE(b_.knows(Expr::symbol("u0") + Expr::symbol("u9")));
}

TEST_F(Build, UniqueAlongAnAxis) {
  graph_.symbols.add({"u0", {}, true, {}});
  const auto u = b_.unique(input({4, 5}), 1, false, Expr::symbol("u0"));
  expect(u.values, {4, Expr::symbol("u0")});
  expect(u.inverse, {5}, DType::i64);
  expect(u.counts, {Expr::symbol("u0")}, DType::i64);
}

TEST_F(Build, RegionsCatchTheirNodes) {
  const Val x = input({3}), p = input({}, DType::boolean);
  auto yes = b_.region([&](auto) { return std::vector<Val>{b_.unary(ScalarOp::exp, x)}; });
  auto no = b_.region([&](auto) { return std::vector<Val>{x}; });
  EXPECT_TRUE(graph_.body.nodes.empty());
  const Val like[] = {x};
  expect(b_.cond(p, std::move(yes), std::move(no), like).front(), {3});
  EXPECT_EQ(last().regions[0].nodes.size(), 1u);
}

TEST_F(Build, LoopsCarryTheirParameters) {
  const Val start = b_.scalar(0, DType::i64);
  const Val c = b_.new_root(DType::i64, {}), n = b_.new_root(DType::i64, {});
  auto condition = b_.region([&](auto p) { return std::vector<Val>{b_.binary(ScalarOp::lt, p[0], b_.scalar(Expr(5), DType::i64))}; }, {c});
  auto body = b_.region([&](auto p) { return std::vector<Val>{b_.binary(ScalarOp::add, p[0], b_.scalar(Expr(1), DType::i64))}; }, {n});
  const Val init[] = {start};
  expect(b_.while_loop(init, std::move(condition), std::move(body)).front(), {}, DType::i64);
}

TEST_F(Build, WriteCastsAndBroadcasts) {
  const Val x = input({2, 3});
  b_.write(b_.select(x, 0, 1), input({}, DType::f64));
  EXPECT_EQ(last().op, Op::write);
  EXPECT_EQ(sym::str(graph_.at(last().inputs[1]).sizes), "[3]");
  EXPECT_EQ(graph_.at(last().inputs[1]).dtype, DType::f32);
  EXPECT_THROW(b_.write(b_.select(x, 0, 1), x), ShapeError);
}

}  // namespace
}  // namespace reprise::ir
