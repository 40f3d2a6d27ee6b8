#include "exec/stage_steps.h"

#include <gtest/gtest.h>

#include "device/fetch.h"
#include "exec/bound_shape.h"
#include "support/plan_maker.h"

namespace reprise::exec {
namespace {

using test::PlanMaker;
using test::Ref;

/// y = x + w0 + w1 + …: one command for each weight of `bytes[i]` bytes.
plan::PlanPtr chain(const std::vector<std::size_t>& bytes) {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  Ref h = m.input("x", {1});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Ref w = m.weight("w" + std::to_string(i), std::vector<float>(bytes[i] / 4, 1));
    w.sizes = {1};
    const Ref y = i + 1 == bytes.size() ? m.output("y", {1}) : m.temp({1});
    m.sum(h, w, y);
    h = y;
  }
  return m.finish();
}

struct Arranged {
  std::string order;  // "c0 c1 s0 c2 s1 s2": copies and steps
  StageSteps steps;
};

Arranged arrange_chain(const std::vector<std::size_t>& bytes, std::size_t budget) {
  const Executable executable(chain(bytes), device::open(Device::cpu()), {}, test::make_toy_step);
  executable.weights().set_budget(budget, [] {});
  const auto weights = executable.weights().current();
  SymbolValues values(executable.plan().symbols);
  const BoundShape shape(executable, ShapeKey::of({}), values);
  const StepBuilder builder(executable, values, shape.capacity);
  const Stage& stage = executable.schedule().blocks[0][0];
  std::vector<BuiltStep> built;
  int copies = 0;
  for (const plan::Command* c = stage.begin; c != stage.end; ++c) {
    built.push_back(builder.build(*c, *weights, copies));
    copies += static_cast<int>(built.back().copies.size());
  }
  Arranged arranged{.order = {}, .steps = arrange(executable, *weights, stage.begin, std::move(built))};
  int step = 0;
  for (const auto& s : arranged.steps.steps) {
    const auto* fetch = dynamic_cast<const device::FetchStep*>(s.get());
    if (!arranged.order.empty()) arranged.order += ' ';
    arranged.order += fetch != nullptr ? "c" + std::to_string(fetch->to() - static_cast<int>(executable.slot_count())) : "s" + std::to_string(step++);
  }
  return arranged;
}

TEST(StageSteps, ACopyStandsBehindTheStepThatUsedItsSlot) {
  const auto arranged = arrange_chain({1024, 1024, 1024, 1024, 1024}, 0);
  EXPECT_EQ(arranged.order, "c0 c1 s0 c2 s1 c3 s2 c4 s3 s4");
  EXPECT_EQ(arranged.steps.slot_bytes, 2048u);
  EXPECT_EQ(arranged.steps.copied_bytes, 5 * 1024u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(arranged.steps.places[i].offset, i % 2 * 1024);
}

TEST(StageSteps, ThreeSlotsWhereTheyCostLittle) {
  std::vector<std::size_t> bytes(20, 1024);
  const auto arranged = arrange_chain(bytes, 16 * 1024);
  EXPECT_EQ(arranged.steps.slot_bytes, 3 * 1024u);
  EXPECT_EQ(arranged.steps.places.size(), 7u);
}

TEST(StageSteps, OneCopyTakesOneSlot) {
  const auto arranged = arrange_chain({1000, 4}, 999);
  EXPECT_EQ(arranged.order, "c0 s0 s1");
  EXPECT_EQ(arranged.steps.slot_bytes, 1024u);
}

TEST(StageSteps, NothingIsCopiedWhereAllIsResident) {
  const auto arranged = arrange_chain({1024, 1024}, 4096);
  EXPECT_EQ(arranged.order, "s0 s1");
  EXPECT_EQ(arranged.steps.slot_bytes, 0u);
}

}  // namespace
}  // namespace reprise::exec
