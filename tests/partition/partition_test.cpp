#include "partition/partition.h"

#include <gtest/gtest.h>

#include "reprise/error.h"

namespace reprise::partition {
namespace {

ir::Program program(const std::vector<std::string>& targets) {
  ir::Program p;
  for (const auto& target : targets) p.graph.nodes.push_back({target, {}, {}, {}});
  return p;
}

TEST(Partition, NamesCoverOverloadsAndPrefix) {
  EXPECT_TRUE(names_target("aten.mul.Tensor", "aten.mul.Tensor"));
  EXPECT_TRUE(names_target("torch.ops.aten.mul.Tensor", "aten.mul.Tensor"));
  EXPECT_TRUE(names_target("aten.mul", "aten.mul.Scalar"));
  EXPECT_FALSE(names_target("aten.mul", "aten.mul_.Tensor"));
  EXPECT_FALSE(names_target("aten.mul.Scalar", "aten.mul.Tensor"));
}

TEST(Partition, SegmentsAreMaximalRuns) {
  const auto a = partition(program({"aten.add.Tensor", "aten.mul.Tensor", "aten.mul.Scalar", "aten.relu.default"}), {.fallback_ops = {"aten.mul"}});
  EXPECT_EQ(a.segment, (std::vector<int>{0, 1, 1, 2}));
  ASSERT_EQ(a.segments.size(), 3u);
  EXPECT_TRUE(a.segments[0].engine);
  EXPECT_FALSE(a.segments[1].engine);
  EXPECT_EQ(a.segments[1].reason, "aten.mul.Tensor is in fallback_ops");
}

TEST(Partition, AnEmptyProgramHasOneEngine) { EXPECT_EQ(partition(program({}), {}).segments.size(), 1u); }

TEST(Partition, EmptyNamesAreRefused) { EXPECT_THROW(partition(program({}), {.fallback_ops = {""}}), InvalidArgument); }

}  // namespace
}  // namespace reprise::partition
