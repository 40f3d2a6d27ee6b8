#include "exec/schedule.h"

#include <gtest/gtest.h>

#include "support/plan_maker.h"

namespace reprise::exec {
namespace {

using sym::Expr;
using test::PlanMaker;
using test::Ref;

TEST(Schedule, StraightLineIsOneStage) {
  PlanMaker m;
  const Ref x = m.input("x", {4}), t = m.temp({4}), y = m.output("y", {4});
  m.affine(x, t, 2, 0);
  m.affine(t, y, 2, 0);
  const auto plan = m.finish();
  const auto schedule = make_schedule(*plan);
  ASSERT_EQ(schedule.blocks.size(), 1u);
  ASSERT_EQ(schedule.blocks[0].size(), 1u);
  EXPECT_EQ(schedule.blocks[0][0].end - schedule.blocks[0][0].begin, 2);
  EXPECT_EQ(schedule.stage_count, 1);
}

TEST(Schedule, EmptyBlockHasNoStage) {
  PlanMaker m;
  const auto plan = m.finish();
  EXPECT_TRUE(make_schedule(*plan).blocks[0].empty());
}

TEST(Schedule, ADefinedSymbolEndsAStageAndOthersDependOnIt) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 4, true);
  const Ref x = m.input("x", {4}), t = m.temp({4}), count = m.temp({1}, DType::i64);
  const Ref y = m.output("y", {u, 1}, DType::i64, 32);
  const Ref z = m.dynamic_temp({u, 1}, DType::i64), w = m.temp({4});
  m.affine(x, t, 2, 0);
  m.nonzero(t, y, count, "u0");
  m.add(core::Op::copy, {y}, {z});
  m.affine(t, w, 2, 0);
  const auto plan = m.finish();
  const auto schedule = make_schedule(*plan);
  const auto& stages = schedule.blocks[0];
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0].end - stages[0].begin, 2);
  EXPECT_TRUE(stages[0].data_symbols.empty());  // its own count is not something that it depends on
  EXPECT_EQ(stages[1].data_symbols, std::vector<int>{0});
  EXPECT_EQ(stages[1].dynamic_buffers, std::vector<plan::BufferId>{z.buffer});
  EXPECT_TRUE(schedule.from_data[0]);
}

TEST(Schedule, ControlStandsAlone) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), p = m.temp({1}, DType::boolean), y = m.output("y", {1});
  const int a = m.block(), b = m.block();
  m.less(x, p, 0);
  m.cond(p, {y}, a, b);
  m.affine(y, y, 1, 1);
  m.affine(x, y, 1, 0, a);
  m.affine(x, y, -1, 0, b);
  const auto plan = m.finish();
  const auto schedule = make_schedule(*plan);
  ASSERT_EQ(schedule.blocks.size(), 3u);
  ASSERT_EQ(schedule.blocks[0].size(), 3u);
  EXPECT_EQ(schedule.blocks[0][0].kind, Stage::Kind::steps);
  EXPECT_EQ(schedule.blocks[0][1].kind, Stage::Kind::cond);
  EXPECT_EQ(schedule.blocks[0][2].kind, Stage::Kind::steps);
  EXPECT_EQ(schedule.stage_count, 5);
}

TEST(Schedule, FindsSymbolsInAttributes) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 4, true);
  const Ref x = m.input("x", {}), y = m.output("y", {4});
  m.item(x, "u0");
  m.add(core::Op::fill, {}, {y}, {{"value", u + 1}});
  const auto plan = m.finish();
  const auto schedule = make_schedule(*plan);
  ASSERT_EQ(schedule.blocks[0].size(), 2u);
  EXPECT_EQ(schedule.blocks[0][1].data_symbols, std::vector<int>{0});
}

}  // namespace
}  // namespace reprise::exec
