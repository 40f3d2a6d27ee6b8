#include "exec/context.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "exec/context_pool.h"
#include "reprise/error.h"
#include "support/plan_maker.h"

namespace reprise::exec {
namespace {

using sym::Expr;
using test::PlanMaker;
using test::Ref;

ExecutablePtr make(PlanMaker& m) {
  return std::make_shared<const Executable>(m.finish(), device::open(Device::cpu()), std::span<void* const>(), test::make_toy_step);
}

/// y = ((x + 1) * 2) over [s0], through temps.
PlanMaker chain() {
  PlanMaker m;
  const Expr s = m.symbol("s0", 0, 1000);
  const Ref x = m.input("x", {s}), a = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 2, 0);
  return m;
}

std::vector<float> run(ExecutionContext& context, std::vector<float> x) {
  const std::array<std::int64_t, 1> symbols = {static_cast<std::int64_t>(x.size())};
  context.bind(ShapeKey::of(symbols));
  std::vector<float> y(context.output(0).sizes->at(0));
  context.set_input(0, x.data());
  context.set_output(0, y.data());
  const auto device = device::open(Device::cpu());
  context.run(device->default_stream());
  return y;
}

TEST(Context, RunsManyShapes) {
  auto m = chain();
  ExecutionContext context(make(m));
  EXPECT_EQ(run(context, {1, 2, 3}), (std::vector<float>{4, 6, 8}));
  EXPECT_EQ(run(context, {}), std::vector<float>{});
  EXPECT_EQ(run(context, std::vector<float>(1000, 1)), std::vector<float>(1000, 4));
  EXPECT_EQ(run(context, {1, 2, 3}), (std::vector<float>{4, 6, 8}));
}

TEST(Context, BindsAShapeOnceAndForgetsTheOldest) {
  auto m = chain();
  ExecutionContext context(make(m));
  const auto steps_for = [&](std::size_t n) {
    const int before = test::steps_made();
    (void)run(context, std::vector<float>(n, 1));
    return test::steps_made() - before;
  };
  for (std::size_t n = 1; n <= ExecutionContext::kMaxShapes; ++n) EXPECT_EQ(steps_for(n), 2);
  for (std::size_t n = 1; n <= ExecutionContext::kMaxShapes; ++n) EXPECT_EQ(steps_for(n), 0);
  EXPECT_EQ(steps_for(500), 2);  // in place of 1, the oldest
  EXPECT_EQ(steps_for(2), 0);
  EXPECT_EQ(steps_for(1), 2);
  EXPECT_EQ(steps_for(3), 2);  // 1 took its place
}

TEST(Context, ReservesForTheLargestShapeAndCommitsWhatIsUsed) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 1 << 20);
  const Ref x = m.input("x", {s}), a = m.temp({s}), b = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, b, 1, 1);
  m.affine(b, y, 1, 1);
  ExecutionContext context(make(m));
  (void)run(context, std::vector<float>(10, 1));
  EXPECT_GE(context.reserved_bytes(), 2u * 4 << 20);
  const std::size_t small = context.committed_bytes();
  EXPECT_LT(small, 1u << 20);
  (void)run(context, std::vector<float>(1 << 20, 1));
  EXPECT_GE(context.committed_bytes(), 2u * 4 << 20);
  EXPECT_EQ(run(context, {0}), std::vector<float>{3});
}

TEST(Context, ScratchServesTheGreediestStep) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), a = m.temp({2}), y = m.output("y", {2});
  for (const auto& [from, to, scratch] : {std::tuple(x, a, 100), std::tuple(a, y, 1 << 20)})
    m.add(core::Op::pointwise, {from}, {to}, {{"toy", std::string("affine")}, {"scale", 2.0}, {"scratch", scratch}});
  ExecutionContext context(make(m));
  context.bind(ShapeKey::of({}));
  std::array<float, 2> in = {1, 2}, out{};
  context.set_input(0, in.data());
  context.set_output(0, out.data());
  context.run(device::open(Device::cpu())->default_stream());
  EXPECT_EQ(out, (std::array<float, 2>{4, 8}));
}

/// Two buffers live at once, then one beside memory for `scratch` bytes; the step that wants them overwrites them all.
PlanMaker scratch_at_the_end(std::int64_t scratch) {
  PlanMaker m;
  const Ref x = m.input("x", {1000}), a = m.temp({1000}), b = m.temp({1000}), y = m.output("y", {1000});
  m.affine(x, a, 1, 1);
  m.affine(a, b, 2, 0);
  m.add(core::Op::pointwise, {b}, {y}, {{"toy", std::string("affine")}, {"scale", 2.0}, {"scratch", scratch}});
  return m;
}

TEST(Context, ScratchStandsInTheArenaBetweenBuffersOrBehindThem) {
  std::size_t committed[2];
  for (const std::int64_t scratch : {4000, 5000}) {
    PlanMaker m = scratch_at_the_end(scratch);
    ExecutionContext context(make(m));
    for (int i = 0; i < 2; ++i) {
      std::vector<float> x(1000, static_cast<float>(i)), y(1000);
      context.bind(ShapeKey::of({}));
      context.set_input(0, x.data());
      context.set_output(0, y.data());
      context.run(device::open(Device::cpu())->default_stream());
      EXPECT_EQ(y, std::vector<float>(1000, static_cast<float>(4 * (i + 1))));
    }
    committed[scratch > 4000] = context.committed_bytes();
  }
  EXPECT_LT(committed[0], committed[1]);  // one stands behind them
}

TEST(Context, ScratchIsNotPlacedWhereTheArenaCannotGrow) {
  PlanMaker m = scratch_at_the_end(5000);
  const auto executable = make(m);
  BoundShape shape(*executable, ShapeKey::of({}), SymbolValues(executable->plan().symbols));
  const plan::Command& last = executable->plan().blocks[0].commands.back();
  const std::size_t buffers = shape.memory.total_bytes;
  EXPECT_FALSE(shape.place_scratch(*executable, last, 5000, buffers));
  EXPECT_EQ(shape.memory.total_bytes, buffers);
  EXPECT_TRUE(shape.place_scratch(*executable, last, 5000, 2 * buffers));
  EXPECT_EQ(shape.memory.total_bytes, buffers + 5000);
  EXPECT_TRUE(shape.place_scratch(*executable, last, 3000, buffers));
  EXPECT_EQ(shape.memory.total_bytes, buffers + 5000);
}

TEST(Context, ScratchMovesWithTheShapeInTheArena) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 1000);
  const Ref x = m.input("x", {s}), a = m.temp({s}), b = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, b, 2, 0);
  m.add(core::Op::pointwise, {b}, {y}, {{"toy", std::string("affine")}, {"scale", 2.0}, {"scratch", s * 4}});
  ExecutionContext context(make(m));
  for (const std::size_t n : {1000, 3, 1000, 500, 3}) EXPECT_EQ(run(context, std::vector<float>(n, 1)), std::vector<float>(n, 8)) << n;
}

TEST(Context, RunsOnAnExplicitStream) {
  auto m = chain();
  ExecutionContext context(make(m));
  const auto stream = device::open(Device::cpu())->make_stream();
  std::array<float, 2> in = {1, 2}, out{};
  const std::array<std::int64_t, 1> symbols = {2};
  context.bind(ShapeKey::of(symbols));
  context.set_input(0, in.data());
  context.set_output(0, out.data());
  context.run(*stream);
  EXPECT_EQ(out, (std::array<float, 2>{4, 6}));
}

TEST(Context, RefusesOperandsOutsideTheirBuffer) {
  for (const Expr& offset : {Expr(1), Expr(-1), Expr(std::int64_t{1} << 62)}) {
    PlanMaker m;
    const Ref x = m.input("x", {4}), y = m.output("y", {4});
    m.affine(x, y, 1, 0);
    m.plan.blocks[0].commands[0].inputs[0].offset = offset;
    ExecutionContext context(make(m));
    context.bind(ShapeKey::of({}));
    std::array<float, 4> in{}, out{};
    context.set_input(0, in.data());
    context.set_output(0, out.data());
    EXPECT_THROW(context.run(device::open(Device::cpu())->default_stream()), Error);
  }
}

TEST(ContextPool, PrefersTheContextThatHoldsTheShape) {
  auto m = chain();
  ContextPool pool(make(m));
  const std::array<std::int64_t, 1> three = {3}, five = {5};
  const auto key3 = ShapeKey::of(three), key5 = ShapeKey::of(five);
  ExecutionContext *first = nullptr, *second = nullptr;
  {
    const auto a = pool.take(key3), b = pool.take(key5);
    a->bind(key3);
    b->bind(key5);
    first = &*a;
    second = &*b;
    EXPECT_NE(first, second);
  }
  EXPECT_EQ(pool.use().contexts, 2u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(&*pool.take(key3), first);
    EXPECT_EQ(&*pool.take(key5), second);
  }
  const auto held = pool.take(key3);
  EXPECT_EQ(&*pool.take(key3), second);  // better an idle one than a new one
  EXPECT_EQ(pool.use().contexts, 2u);
}

}  // namespace
}  // namespace reprise::exec
