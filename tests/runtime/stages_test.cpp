// Sizes that depend on data, branches and loops.
#include <gtest/gtest.h>

#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using sym::Expr;

/// positions = nonzero(x * 1); doubled = x * 2
PlanMaker nonzero_plan(std::int64_t most = 100) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 0, 100), u = m.symbol("u0", 0, most, true);
  const Ref x = m.input("x", {s}), t = m.temp({s}), count = m.temp({1}, DType::i64);
  const Ref y = m.output("y", {u, 1}, DType::i64, s * 8), doubled = m.output("doubled", {s});
  m.number_output(plan::OutputSpec::Kind::integer, u);
  m.affine(x, t, 1, 0);
  m.nonzero(t, y, count, "u0");
  m.affine(t, doubled, 2, 0);
  return m;
}

TEST(Stages, ResultsHaveTheSizesThatDataGives) {
  auto m = nonzero_plan();
  const Module module = module_of(m);
  for (const auto& x : {std::vector<float>{0, 5, 0, 7}, {1, 2, 3, 4}, {0, 0, 0, 0}, {}, {0, 0, 0, 9}}) {
    std::vector<std::int64_t> want;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] != 0) want.push_back(static_cast<std::int64_t>(i));
    const auto out = call(module, {floats(x)});
    const auto& y = std::get<Tensor>(out[0]);
    EXPECT_EQ(y.sizes(), (std::vector<std::int64_t>{static_cast<std::int64_t>(want.size()), 1}));
    EXPECT_TRUE(y.is_contiguous());
    EXPECT_EQ(values<std::int64_t>(out[0]), want);
    EXPECT_EQ(std::get<std::int64_t>(out[2]), static_cast<std::int64_t>(want.size()));
  }
}

TEST(Stages, RefusesCountsOutsideTheirRange) {
  auto m = nonzero_plan(2);
  const Module module = module_of(m);
  EXPECT_EQ(values<std::int64_t>(call(module, {floats({1, 0, 1, 0})})[0]), (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(message_of<ShapeError>([&] {
              (void)call(module, {floats({1, 1, 1, 0})});
            }),
            "[run/nonzero] 'nonzero' defines u0 outside its range (got 3, want 0..2)");
  EXPECT_EQ(values<std::int64_t>(call(module, {floats({0, 0, 1, 0})})[0]), (std::vector<std::int64_t>{2}));
}

TEST(Stages, ItemOutsideItsRangeIsNamed) {
  PlanMaker m;
  m.symbol("u0", 1, 4, true);
  m.item(m.input("n", {}, DType::i64), "u0");
  const Ref y = m.output("y", {sym::Expr::symbol("u0")}, DType::f32, 16);
  m.add(core::Op::fill, {}, {y}, {{"value", 1.0}});
  const Module module = module_of(m);
  Tensor n = Tensor::empty({}, DType::i64);
  *n.data_as<std::int64_t>() = 9;
  EXPECT_EQ(message_of<ShapeError>([&] { (void)call(module, {n}); }), "[run/item] 'item' defines u0 outside its range (got 9, want 1..4)");
  *n.data_as<std::int64_t>() = 4;
  EXPECT_EQ(values(call(module, {n})[0]), (std::vector<float>{1, 1, 1, 1}));
}

TEST(Stages, SizesWithoutABoundAreAllocatedWhenTheyAreKnown) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, sym::kUnbounded, true), v = m.symbol("u1", 0, sym::kUnbounded, true);
  const Ref n = m.input("n", {}, DType::i64), filled = m.dynamic_temp({u});
  Ref y = m.output("y", {u});
  m.plan.buffers.back().dynamic = true;
  Ref where = m.output("where", {v, 1}, DType::i64);
  m.plan.buffers.back().dynamic = true;
  const Ref count = m.temp({1}, DType::i64);
  m.item(n, "u0");
  m.add(core::Op::fill, {}, {filled}, {{"value", u}});
  m.affine(filled, y, 2, 0);
  m.nonzero(y, where, count, "u1");  // its own bound is a size that data gave
  const Module module = module_of(m);
  for (const std::int64_t size : {3, 5000, 0, 2}) {
    Tensor t = Tensor::empty({}, DType::i64);
    *t.data_as<std::int64_t>() = size;
    const auto out = call(module, {t});
    EXPECT_EQ(values(out[0]), std::vector<float>(static_cast<std::size_t>(size), static_cast<float>(2 * size)));
    EXPECT_EQ(std::get<Tensor>(out[1]).sizes(), (std::vector<std::int64_t>{size, 1}));
    if (size > 0) {
      EXPECT_EQ(values<std::int64_t>(out[1]).back(), size - 1);
    }
  }
}

TEST(Stages, BindsAgainOnlyWhenTheDataChangesASize) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 8, true);
  const Ref x = m.input("x", {4}), y = m.output("y", {u}, DType::f32, 32), z = m.output("z", {4});
  m.item(m.input("n", {}, DType::i64), "u0");
  m.add(core::Op::fill, {}, {y}, {{"value", 1.0}});
  m.affine(x, z, 1, 0);
  const Module module = module_of(m);
  const auto steps_for = [&](std::int64_t size) {
    Tensor n = Tensor::empty({}, DType::i64);
    *n.data_as<std::int64_t>() = size;
    const int before = steps_made();
    (void)call(module, {floats({1, 2, 3, 4}), n});
    return steps_made() - before;
  };
  EXPECT_EQ(steps_for(3), 2);
  EXPECT_EQ(steps_for(3), 0);
  EXPECT_EQ(steps_for(4), 2);
  EXPECT_EQ(steps_for(4), 0);
}

TEST(Stages, RunRefusesResultsWhoseSizeDependsOnData) {
  auto m = nonzero_plan();
  const Module module = module_of(m);
  const std::vector<Tensor> in = {floats({1, 2})};
  const std::vector<Tensor> out = {Tensor::zeros(std::vector<std::int64_t>{2, 1}, DType::i64), floats({0, 0})};
  EXPECT_EQ(message_of<InvalidArgument>([&] { module.run(in, out); }), "[run/outputs] the size of output 'y' depends on data: call the module instead");
  EXPECT_EQ(message_of<InvalidArgument>([&] { (void)module.output_sizes(in, 0); }), "[run/outputs] the size of output 'y' depends on data");
  EXPECT_EQ(module.output_sizes(in, 1), (std::vector<std::int64_t>{2}));
}

TEST(Stages, MostlyEmptyResultsDoNotKeepTheBound) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 1 << 20, true);
  const Ref x = m.input("x", {1 << 20}), count = m.temp({1}, DType::i64), y = m.output("y", {u, 1}, DType::i64, 8 << 20);
  m.nonzero(x, y, count, "u0");
  const Module module = module_of(m);
  Tensor in = Tensor::zeros(std::vector<std::int64_t>{1 << 20}, DType::f32);
  in.data_as<float>()[77] = 1;
  const Tensor small = std::get<Tensor>(call(module, {in})[0]);
  EXPECT_EQ(values<std::int64_t>(small), std::vector<std::int64_t>{77});
  // Its storage ends where its one element does.
  EXPECT_THROW((void)small.as_strided(std::vector<std::int64_t>{1000}, std::vector<std::int64_t>{1}), InvalidArgument);
}

// ---- branches ----

/// y = x < 0 ? -x : x * 10, then + 1
PlanMaker cond_plan() {
  PlanMaker m;
  const Ref x = m.input("x", {1}), p = m.temp({1}, DType::boolean), t = m.temp({1}), y = m.output("y", {1});
  const int negative = m.block(), positive = m.block();
  m.less(x, p, 0);
  m.cond(p, {t}, negative, positive);
  m.affine(t, y, 1, 1);
  m.affine(x, t, -1, 0, negative);
  m.affine(x, t, 10, 0, positive);
  return m;
}

TEST(Stages, CondTakesOneBranch) {
  auto m = cond_plan();
  const Module module = module_of(m);
  EXPECT_EQ(values(call(module, {floats({-3})})[0]), std::vector<float>{4});
  EXPECT_EQ(values(call(module, {floats({3})})[0]), std::vector<float>{31});
  const int before = steps_made();
  EXPECT_EQ(values(call(module, {floats({-5})})[0]), std::vector<float>{6});
  EXPECT_EQ(steps_made(), before);
}

TEST(Stages, BranchesMayCount) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 4, true);
  const Ref x = m.input("x", {4}), p = m.temp({1}, DType::boolean), positions = m.temp({4}, DType::i64), count = m.temp({1}, DType::i64);
  const Ref y = m.output("y", {4});
  const int then_block = m.block(), else_block = m.block();
  m.less(x, p, 0);
  m.cond(p, {y}, then_block, else_block);
  Ref found = positions;
  found.sizes = {u, 1};
  m.nonzero(x, found, count, "u0", then_block);
  m.add(core::Op::fill, {}, {y}, {{"value", u}}, then_block);
  m.affine(x, y, 1, 0, else_block);
  const Module module = module_of(m);
  EXPECT_EQ(values(call(module, {floats({-1, 0, 2, 0})})[0]), (std::vector<float>{2, 2, 2, 2}));
  EXPECT_EQ(values(call(module, {floats({1, 0, 2, 0})})[0]), (std::vector<float>{1, 0, 2, 0}));
  EXPECT_EQ(values(call(module, {floats({-1, -1, 2, 0})})[0]), (std::vector<float>{3, 3, 3, 3}));
}

// ---- loops ----

/// while c < 100: c = c * 2 + 1
PlanMaker loop_plan() {
  PlanMaker m;
  const Ref x = m.input("x", {1}), carried = m.temp({1}), next = m.temp({1}), p = m.temp({1}, DType::boolean), y = m.output("y", {1});
  const int condition = m.block(), body = m.block();
  m.add(core::Op::copy, {x}, {carried});
  m.loop(p, {carried}, condition, body);
  m.affine(carried, y, 1, 0);
  m.less(carried, p, 100, condition);
  m.affine(carried, next, 2, 1, body);
  m.add(core::Op::copy, {next}, {carried}, {}, body);
  return m;
}

TEST(Stages, WhileRunsUntilItsConditionFails) {
  auto m = loop_plan();
  const Module module = module_of(m);
  EXPECT_EQ(values(call(module, {floats({1})})[0]), std::vector<float>{127});
  EXPECT_EQ(values(call(module, {floats({100})})[0]), std::vector<float>{100});  // not once
  EXPECT_EQ(values(call(module, {floats({50})})[0]), std::vector<float>{101});
}

TEST(Stages, ProfilesCountTheRoundsOfALoop) {
  auto m = loop_plan();
  const Module module = module_of(m);
  const auto runs = [&](float x) {
    std::vector<std::pair<int, int>> all;
    for (const auto& c : module.profile(std::vector<Tensor>{floats({x})}, 2)) all.emplace_back(c.position, c.runs);
    return all;
  };
  using Runs = std::vector<std::pair<int, int>>;
  EXPECT_EQ(runs(30), (Runs{{0, 1}, {2, 3}, {3, 2}, {4, 2}, {5, 1}}));  // 30, 61, 123
  EXPECT_EQ(runs(100), (Runs{{0, 1}, {2, 1}, {5, 1}}));
}

TEST(Stages, ProfilesFollowTheSizesThatDataGives) {
  auto m = nonzero_plan();
  const Module module = module_of(m);
  for (const auto& x : {std::vector<float>{0, 5, 0, 7}, {0, 0, 0, 0}, {1, 2, 3, 4}}) {
    EXPECT_EQ(module.profile(std::vector<Tensor>{floats(x)}, 2).size(), 3u);
    EXPECT_EQ(values(call(module, {floats(x)})[1])[3], x[3] * 2);
  }
}

TEST(Stages, SizesMayChangeInEveryRound) {
  // while c < 4: z[0 … c) = c with c as a size that data gives; c += 1
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 4, true);
  const Ref x = m.input("x", {1}), c = m.temp({1}), p = m.temp({1}, DType::boolean), y = m.output("y", {4});
  const int condition = m.block(), body = m.block();
  m.add(core::Op::fill, {}, {y}, {{"value", 9.0}});
  m.add(core::Op::copy, {x}, {c});
  m.loop(p, {c}, condition, body);
  m.less(c, p, 4, condition);
  const Ref positions = m.temp({4, 1}, DType::i64), count = m.temp({1}, DType::i64);
  Ref found = positions, part = y;
  found.sizes = {u, 1};
  part.sizes = {u};
  m.nonzero(y, found, count, "u0", body);
  m.add(core::Op::fill, {}, {part}, {{"value", u - 1}}, body);  // four, then three elements: one turns 0 in the last round
  m.affine(c, c, 1, 1, body);
  const Module module = module_of(m);
  EXPECT_EQ(values(call(module, {floats({3})})[0]), (std::vector<float>{3, 3, 3, 3}));
  EXPECT_EQ(values(call(module, {floats({4})})[0]), (std::vector<float>{9, 9, 9, 9}));
}

TEST(Stages, ErrorsInsideLoopsLeaveTheModuleUsable) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), c = m.temp({1}), p = m.temp({1}, DType::boolean), y = m.output("y", {1});
  const int condition = m.block(), body = m.block();
  m.add(core::Op::copy, {x}, {c});
  m.loop(p, {c}, condition, body);
  m.affine(c, y, 1, 0);
  m.less(c, p, 5, condition);
  m.demand_positive(c, body);
  m.affine(c, c, 1, 1, body);
  const Module module = module_of(m);
  EXPECT_EQ(values(call(module, {floats({2})})[0]), std::vector<float>{5});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(message_of<InvalidArgument>([&] { (void)call(module, {floats({-1})}); }), "[toy/positive] 'pointwise' met a negative number");
    EXPECT_EQ(values(call(module, {floats({2})})[0]), std::vector<float>{5});
  }
  EXPECT_EQ(module.memory().contexts, 1u);
}

}  // namespace
}  // namespace reprise::test
