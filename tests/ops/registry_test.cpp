#include <gtest/gtest.h>

#include "ops/converter.h"
#include "reprise/error.h"

namespace reprise::ops {
namespace {

void nothing(Context&) {}

Converter row(std::string schema) { return {.schema = std::move(schema), .convert = nothing, .validate = {}}; }

ir::AtenNode node(std::string target, std::vector<std::string> names = {"self"}) {
  ir::AtenNode n;
  n.target = std::move(target);
  for (auto& name : names) n.args.push_back({std::move(name), sym::Expr(0)});
  return n;
}

TEST(Registry, FindsExactRows) {
  Registry r;
  r.add(row("aten::relu(Tensor self) -> Tensor"));
  ASSERT_NE(r.find("aten.relu.default"), nullptr);
  EXPECT_FALSE(r.find("aten.relu.default")->writes_self);
  EXPECT_EQ(r.find("aten.gelu.default"), nullptr);
  EXPECT_EQ(r.find("relu"), nullptr);
  EXPECT_EQ(r.targets(), std::vector<std::string>{"aten.relu.default"});
}

TEST(Registry, DerivesInPlaceForms) {
  Registry r;
  r.add(row("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor"));
  r.add(row("aten::__and__.Scalar(Tensor self, Scalar other) -> Tensor"));
  r.add(row("aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor"));
  r.add(row("aten::floor_divide(Tensor self, Tensor other) -> Tensor"));
  r.add(row("aten::unsqueeze(Tensor(a) self, int dim) -> Tensor(a)"));
  for (const char* target : {"aten.add_.Tensor", "aten.__iand__.Scalar", "aten.pow_.Scalar", "aten.floor_divide_.Tensor"}) {
    ASSERT_NE(r.find(target), nullptr) << target;
    EXPECT_TRUE(r.find(target)->writes_self) << target;
  }
  EXPECT_EQ(r.find("aten.pow_.Scalar")->schema.target, "aten.pow.Tensor_Scalar");
  ASSERT_NE(r.find("aten.unsqueeze_.default"), nullptr);
  EXPECT_FALSE(r.find("aten.unsqueeze_.default")->writes_self) << "only what the name refers to changes";
  EXPECT_EQ(r.find("aten.mul_.Tensor"), nullptr);
}

TEST(Registry, DerivesOutForms) {
  Registry r;
  r.add(row("aten::exp(Tensor self) -> Tensor"));
  r.add(row("aten::sum(Tensor self, *, ScalarType? dtype=None) -> Tensor"));
  r.add(row("aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor"));
  r.add(row("aten::clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor"));
  EXPECT_TRUE(r.find("aten.exp.out")->writes_out);
  EXPECT_EQ(r.find("aten.clamp.Tensor_out")->schema.target, "aten.clamp.Tensor");
  EXPECT_EQ(r.match(node("aten.sum.IntList_out", {"self", "dim", "out"}), false).entry->schema.target, "aten.sum.dim_IntList");
  EXPECT_EQ(r.match(node("aten.sum.out", {"self", "out"}), false).entry->schema.target, "aten.sum.default");
  EXPECT_EQ(r.match(node("aten.sum.out", {"self", "axis", "out"}), false).entry, nullptr);
}

TEST(Registry, OwnRowsBeatDerivedOnes) {
  Registry r;
  r.add(row("aten::relu(Tensor self) -> Tensor"));
  r.add(row("aten::relu_(Tensor(a!) self) -> Tensor(a!)"));
  EXPECT_FALSE(r.find("aten.relu_.default")->writes_self);
}

TEST(Registry, HighPriorityThenTheLastOneWins) {
  Registry r;
  const auto tagged = [](bool allocator, Priority p) {
    auto c = row("aten::relu(Tensor self) -> Tensor");
    c.requires_output_allocator = allocator;
    c.priority = p;
    return c;
  };
  r.add(tagged(false, Priority::standard));
  r.add(tagged(true, Priority::standard));
  EXPECT_TRUE(r.find("aten.relu.default")->converter->requires_output_allocator);
  r.add(tagged(false, Priority::high));
  r.add(tagged(true, Priority::standard));
  EXPECT_FALSE(r.find("aten.relu.default")->converter->requires_output_allocator);
}

TEST(Registry, RefusalsGoToTheNextRowOrGiveAReason) {
  Registry r;
  r.add(row("aten::relu(Tensor self) -> Tensor"));
  auto picky = row("aten::relu(Tensor self) -> Tensor");
  picky.priority = Priority::high;
  picky.validate = [](const ir::AtenNode&) -> std::optional<std::string> { return "not today"; };
  r.add(picky);
  EXPECT_FALSE(r.match(node("aten.relu.default"), false).entry->converter->validate);

  Registry only;
  only.add(picky);
  EXPECT_EQ(only.match(node("aten.relu.default"), false).entry, nullptr);
  EXPECT_EQ(only.match(node("aten.relu.default"), false).reason, "not today");

  Registry fixed;
  auto no_dynamic = row("aten::relu(Tensor self) -> Tensor");
  no_dynamic.supports_dynamic_shapes = false;
  fixed.add(no_dynamic);
  EXPECT_NE(fixed.match(node("aten.relu.default"), false).entry, nullptr);
  EXPECT_EQ(fixed.match(node("aten.relu.default"), true).reason, "the converter does not support dynamic shapes");
}

TEST(Registry, CopiesAreIndependent) {
  Registry r;
  r.add(row("aten::relu(Tensor self) -> Tensor"));
  ASSERT_NE(r.find("aten.relu.default"), nullptr);
  Registry mine = r;
  mine.add(row("my::op(Tensor x) -> Tensor"));
  EXPECT_NE(mine.find("aten.relu.default")->converter, r.find("aten.relu.default")->converter);
  EXPECT_NE(mine.find("my.op.default"), nullptr);
  EXPECT_EQ(r.find("my.op.default"), nullptr);
  EXPECT_THROW(r.add({.schema = "my::op(Tensor x)", .convert = {}, .validate = {}}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::ops
