// Calls whose tensors are fixed once.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

/// y = (x + 1) * 2 over [n], two profiles; total += x[0..2].
Module chain(bool state = false) {
  PlanMaker m;
  const sym::Expr n = m.symbol("n", 1, 64);
  const Ref x = m.input("x", {n}), a = m.temp({n}), y = m.output("y", {n});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 2, 0);
  if (state) {
    const Ref total = m.state("total", {0});
    m.affine(total, total, 1, 1);
  }
  m.plan.profiles = {{{1}, {2}, {8}}, {{2}, {8}, {64}}};
  return module_of(m);
}
Tensor filled(std::size_t n, float value) { return floats(std::vector<float>(n, value)); }
void fill(const Tensor& tensor, float value) { std::fill_n(tensor.data_as<float>(), tensor.numel(), value); }

TEST(BoundCalls, ReadAndWriteTheTensorsAsTheyThenAre) {
  for (const bool recorded : {false, true}) {
    const Module module = chain();
    runtime::set_cudagraphs_mode(recorded);
    const Tensor x = filled(3, 1), y = filled(3, 0);
    const auto bound = module.bind(std::vector<Tensor>{x}, std::vector<Tensor>{y});
    EXPECT_EQ(module.stats().calls, 0u);
    EXPECT_EQ(values(y), (std::vector<float>{0, 0, 0}));
    for (float value = 1; value < 5; ++value) {
      fill(x, value);
      bound();
      EXPECT_EQ(values(y), std::vector<float>(3, 2 * value + 2));
    }
    runtime::set_cudagraphs_mode(false);
  }
}

TEST(BoundCalls, BindAndPatchNothing) {
  const Module module = chain();
  const auto graphs = runtime::enable_cudagraphs(module);
  const auto bound = module.bind(std::vector<Tensor>{filled(3, 1)}, std::vector<Tensor>{filled(3, 0)});
  bound();
  const auto before = module.stats();
  for (int i = 0; i < 100; ++i) {
    bound();
    (void)call(module, {filled(3, 2)});  // others come between, in a context of their own
  }
  const auto after = module.stats();
  EXPECT_EQ(after.bound_calls - before.bound_calls, 100u);
  EXPECT_EQ(after.calls - before.calls, 200u);
  EXPECT_EQ(after.contexts, 2u);
  EXPECT_EQ(after.records, 2u);
  // Only the others' addresses changed.
  const Module alone = chain();
  const auto more_graphs = runtime::enable_cudagraphs(alone);
  const auto other = alone.bind(std::vector<Tensor>{filled(3, 1)}, std::vector<Tensor>{filled(3, 0)});
  for (int i = 0; i < 10; ++i) other();
  EXPECT_EQ(alone.stats().patched_addresses, 0u);
  EXPECT_EQ(alone.stats().bound_calls, 10u);
  EXPECT_EQ(alone.stats().replays, 10u);
}

TEST(BoundCalls, CopyWhatCannotBeUsedWhereItLies) {
  const Module module = chain();
  const Tensor wide = floats({1, 0, 2, 0, 3, 0}), y = filled(3, 0);
  const Tensor x = wide.as_strided(std::vector<std::int64_t>{3}, std::vector<std::int64_t>{2});
  const auto bound = module.bind(std::vector<Tensor>{x}, std::vector<Tensor>{y});
  for (float value = 1; value < 4; ++value) {
    wide.data_as<float>()[2] = value;
    bound();
    EXPECT_EQ(values(y), (std::vector<float>{4, 2 * value + 2, 8}));
  }
  EXPECT_EQ(module.stats().bound_calls, 0u);
  EXPECT_EQ(module.stats().calls, 3u);
}

TEST(BoundCalls, OutliveScopesSettingsAndProfiles) {
  Module module = chain(true);
  const Tensor x = filled(4, 1), y = filled(4, 0);
  const auto bound = module.bind(std::vector<Tensor>{x}, std::vector<Tensor>{y});
  const auto check = [&](float value) {
    fill(x, value);
    bound();
    EXPECT_EQ(values(y), std::vector<float>(4, 2 * value + 2));
  };
  check(1);
  {
    const auto graphs = runtime::enable_cudagraphs(module);
    check(2);
    check(3);
    EXPECT_EQ(module.stats().recordings_held, 1u);
  }
  EXPECT_EQ(module.stats().recordings_held, 0u) << "a bound call's go with the scope too";
  check(4);
  module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture);
  check(5);
  check(6);
  EXPECT_EQ(module.stats().native_replays, 2u);
  {
    const auto other = runtime::optimization_profile(module, 1);
    check(7);
    EXPECT_EQ(module.stats().records, 3u);
  }
  check(8);
  EXPECT_EQ(values(module.state("total"))[0], 8);
}

TEST(BoundCalls, AreCheckedWhenTheyAreBound) {
  const Module module = chain();
  EXPECT_THROW((void)module.bind(std::vector<Tensor>{filled(65, 1)}, std::vector<Tensor>{filled(65, 0)}), ShapeError);
  EXPECT_THROW((void)module.bind(std::vector<Tensor>{filled(3, 1)}, std::vector<Tensor>{filled(4, 0)}), ShapeError);
  EXPECT_THROW((void)module.bind(std::vector<Tensor>{}, std::vector<Tensor>{filled(4, 0)}), InvalidArgument);
  (void)call(module, {filled(3, 1)});
  EXPECT_EQ(module.stats().contexts, 1u) << "what could not be bound keeps no context";
}

TEST(BoundCalls, AStepThatThrowsLeavesThemUsable) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), y = m.output("y", {1});
  m.demand_positive(x);
  m.affine(x, y, 2, 0);
  const Module module = module_of(m);
  const Tensor in = floats({1}), out = floats({0});
  const auto bound = module.bind(std::vector<Tensor>{in}, std::vector<Tensor>{out});
  for (int i = 0; i < 3; ++i) {
    fill(in, -1);
    EXPECT_THROW(bound(), InvalidArgument);
    fill(in, 3);
    bound();
    EXPECT_EQ(values(out)[0], 6);
  }
  EXPECT_EQ(module.stats().failed_calls, 3u);
}

TEST(BoundCalls, FromManyThreads) {
  const Module module = chain();
  const auto graphs = runtime::enable_cudagraphs(module);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Tensor x = filled(4, 0), y = filled(4, 0);
      const auto bound = module.bind(std::vector<Tensor>{x}, std::vector<Tensor>{y});
      for (int i = 0; i < 200; ++i) {
        fill(x, static_cast<float>(t * 1000 + i));
        bound();
        wrong += values(y) != std::vector<float>(4, static_cast<float>(2 * (t * 1000 + i) + 2));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(module.stats().bound_calls, 800u);
}

}  // namespace
}  // namespace reprise::test
