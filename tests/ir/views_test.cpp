#include <gtest/gtest.h>

#include "ir/builder.h"
#include "reprise/error.h"

namespace reprise::ir {
namespace {

using sym::Expr;
using sym::Shape;

Expr symbol(const char* name) { return Expr::symbol(name); }

class Views : public testing::Test {
 protected:
  Val input(Shape sizes) {
    graph_.inputs.push_back(graph_.add_root(ValueKind::input, "x", DType::f32, std::move(sizes), static_cast<int>(graph_.inputs.size())));
    return {&graph_, graph_.inputs.back()};
  }
  std::size_t nodes() const { return graph_.body.nodes.size(); }
  void expect_view(Val v, const Shape& sizes, const Shape& strides, const Expr& offset) const {
    EXPECT_EQ(sym::str(v.sizes()), sym::str(sizes));
    EXPECT_EQ(sym::str(v.value().strides), sym::str(strides));
    EXPECT_EQ(v.value().offset.str(), offset.str());
  }

  Graph graph_;
  Builder b_{graph_};
};

TEST_F(Views, StayAliasesOfTheRoot) {
  const Val x = input({4, 5, 6});
  const Val y = b_.slice(b_.transpose(b_.slice(x, 0, 1, 2), 0, 2), -2, 1, 2, 2);
  EXPECT_EQ(y.value().root, x.id());
  EXPECT_EQ(y.value().kind, ValueKind::view);
  expect_view(y, {6, 2, 2}, {1, 12, 30}, 30 + 6);
  EXPECT_EQ(nodes(), 0u);
}

TEST_F(Views, SelectTakesTheDimensionAway) {
  const Val x = input({4, symbol("s0")});
  expect_view(b_.select(x, 0, 3), {symbol("s0")}, {1}, 3 * symbol("s0"));
  EXPECT_THROW(b_.select(x, 0, 4), ShapeError);
  EXPECT_THROW(b_.select(x, 2, 0), InvalidArgument);
}

TEST_F(Views, ExpandGivesStridesOfZero) {
  const Val x = input({1, 3});
  expect_view(b_.expand(x, {2, 5, -1}), {2, 5, 3}, {0, 0, 1}, 0);
  EXPECT_THROW(b_.expand(x, {2, 4}), ShapeError);
  EXPECT_THROW(b_.expand(x, {3}), ShapeError);
  EXPECT_THROW(b_.expand(x, {-1, 1, 3}), ShapeError);
}

TEST_F(Views, SqueezeLeavesSymbolsAlone) {
  const Val x = input({1, symbol("s0")});
  expect_view(b_.squeeze(x, 0), {symbol("s0")}, {1}, 0);
  EXPECT_EQ(b_.squeeze(x, 1).id(), x.id());
  EXPECT_EQ(b_.unsqueeze(x, -1).rank(), 3);
}

TEST_F(Views, DiagonalWalksBothDimensions) {
  const Val x = input({3, 4, 5});
  expect_view(b_.diagonal(x, 1, 1, 2), {3, 4}, {20, 6}, 1);
  expect_view(b_.diagonal(x, -2, 1, 2), {3, 2}, {20, 6}, 10);
  expect_view(b_.diagonal(x, 0, 0, -1), {4, 3}, {5, 21}, 0);
  expect_view(b_.diagonal(x, 9, 1, 2), {3, 0}, {20, 6}, 0);
  EXPECT_THROW(b_.diagonal(x, 0, 1, 1), InvalidArgument);
}

TEST_F(Views, ReshapeOfContiguousNeverCopies) {
  const Val x = input({symbol("s0"), 6, 4});
  expect_view(b_.reshape(x, {symbol("s0") * 2, 12}), {symbol("s0") * 2, 12}, {12, 1}, 0);
  expect_view(b_.flatten(x, 0, 1), {symbol("s0") * 6, 4}, {4, 1}, 0);
  EXPECT_EQ(nodes(), 0u);
}

TEST_F(Views, ReshapeOfStridedMergesAndSplitsWhatItCan) {
  const Val x = input({symbol("s0"), 12, 8, 64});
  const Val heads = b_.transpose(x, 1, 2);  // [s0, 8, 12, 64]
  const auto split = b_.try_view(heads, {symbol("s0"), 8, 3, 4, 64});
  ASSERT_TRUE(split.has_value());
  expect_view(*split, {symbol("s0"), 8, 3, 4, 64}, {6144, 64, 2048, 512, 1}, 0);
  const auto unit = b_.try_view(heads, {symbol("s0"), 1, 8, 12, 1, 64});
  ASSERT_TRUE(unit.has_value());
  EXPECT_FALSE(b_.try_view(heads, {symbol("s0"), 96, 64}).has_value());
  EXPECT_EQ(nodes(), 0u);
  const Val merged = b_.reshape(heads, {symbol("s0"), 96, 64});
  ASSERT_EQ(nodes(), 1u);
  EXPECT_EQ(graph_.body.nodes[0].op, core::Op::copy);
  expect_view(merged, {symbol("s0"), 96, 64}, {6144, 64, 1}, 0);
}

TEST_F(Views, ExpandedDimensionsMergeOnlyWithEachOther) {
  const Val x = b_.expand(input({1, 1, 3}), {2, 4, 3});
  ASSERT_TRUE(b_.try_view(x, {8, 3}).has_value());
  expect_view(*b_.try_view(x, {8, 3}), {8, 3}, {0, 1}, 0);
  EXPECT_FALSE(b_.try_view(x, {2, 12}).has_value());
}

TEST_F(Views, ReshapeOfEmptyAndOfOtherCounts) {
  const Val x = b_.transpose(input({0, 3}), 0, 1);
  EXPECT_TRUE(b_.try_view(x, {5, 0}).has_value());
  EXPECT_THROW(b_.reshape(x, {3}), ShapeError);
}

TEST_F(Views, ContiguousKnowsFreeStridesOfUnitDimensions) {
  const Val x = input({4, 1, 5});
  EXPECT_TRUE(graph_.is_contiguous(b_.transpose(x, 0, 1).id()));
  EXPECT_TRUE(graph_.is_whole(b_.transpose(x, 0, 1).id()));
  const Val part = b_.slice(x, 0, 1, 2);
  EXPECT_TRUE(graph_.is_contiguous(part.id()));
  EXPECT_FALSE(graph_.is_whole(part.id()));
  EXPECT_FALSE(graph_.is_contiguous(b_.transpose(x, 0, 2).id()));
  EXPECT_EQ(b_.contiguous(part).id(), part.id());
}

TEST_F(Views, BroadcastPrefersWhatIsKnown) {
  const Expr s = symbol("s0");
  EXPECT_EQ(sym::str(Builder::broadcast_shapes({s, 1, 3}, {4, 1})), sym::str(Shape{s, 4, 3}));
  EXPECT_EQ(sym::str(Builder::broadcast_shapes({s}, {7})), "[7]");
  EXPECT_EQ(sym::str(Builder::broadcast_shapes({1}, {0})), "[0]");
  EXPECT_THROW(Builder::broadcast_shapes({3}, {4}), ShapeError);
}

TEST_F(Views, WithSizesKeepsTheElements) {
  const Val x = input({symbol("s0"), 3});
  const Val y = b_.with_sizes(x, {symbol("s1") * 2, 3});
  expect_view(y, {symbol("s1") * 2, 3}, {3, 1}, 0);
  EXPECT_THROW(b_.with_sizes(x, {symbol("s0"), 4}), ShapeError);
}

}  // namespace
}  // namespace reprise::ir
