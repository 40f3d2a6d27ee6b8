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

// ---- recorded calls of the same tensors, which are made again without a look at them ----

TEST(CallsMadeAgain, ReadTensorsAsTheyThenAre) {
  const Module module = chain();
  const auto graphs = runtime::enable_cudagraphs(module);
  const Tensor memory = floats({1, 2, 3, 4, 5, 6, 7, 8}), y = filled(3, 0);
  using Sizes = std::vector<std::int64_t>;
  const auto check = [&](const Tensor& x, const std::vector<float>& want) {
    const Tensor out = y.as_strided(Sizes{static_cast<std::int64_t>(want.size())}, Sizes{1});
    for (int i = 0; i < 4; ++i) {
      module.run(std::vector<Tensor>{x}, std::vector<Tensor>{out});
      EXPECT_EQ(values(out), want);
    }
  };
  const Tensor x = memory.as_strided(Sizes{3}, Sizes{1});
  for (int round = 0; round < 2; ++round) {
    memory.data_as<float>()[1] = 2;
    check(x, {4, 6, 8});
    memory.data_as<float>()[1] = 9;
    check(x, {4, 20, 8});
    check(memory.as_strided(Sizes{3}, Sizes{2}), {4, 8, 12});  // the same address and size
    check(x, {4, 20, 8});
    check(memory.as_strided(Sizes{2}, Sizes{1}), {4, 20});  // the same address
    check(x, {4, 20, 8});
    check(memory.as_strided(Sizes{3}, Sizes{1}).clone(), {4, 20, 8});  // another address
    check(x, {4, 20, 8});
  }
  const auto refused = Tensor::from_blob(memory.data(), Sizes{3}, DType::i32);
  EXPECT_THROW(module.run(std::vector<Tensor>{refused}, std::vector<Tensor>{y}), Error);
  EXPECT_EQ(module.stats().failed_calls, 0u);  // refused before it began
  check(x, {4, 20, 8});
}

TEST(CallsMadeAgain, GoByWhatChangedSince) {
  Module module = chain();
  const std::vector<Tensor> x = {filled(3, 1)}, y = {filled(3, 0)};
  std::uint64_t calls = 0;
  const auto run = [&] {
    for (int i = 0; i < 4; ++i, ++calls) module.run(x, y);
    EXPECT_EQ(values(y[0]), (std::vector<float>{4, 4, 4}));
  };
  run();
  EXPECT_EQ(module.stats().replays, 0u);
  for (int round = 1; round < 3; ++round) {
    const auto graphs = runtime::enable_cudagraphs(module);
    const auto before = module.stats();
    run();
    const auto recorded = module.stats();
    EXPECT_EQ(recorded.records - before.records, 1u);
    EXPECT_EQ(recorded.replays - before.replays, 4u);
    {
      const auto profile = runtime::optimization_profile(module, 1);
      run();
      EXPECT_EQ(module.stats().records - recorded.records, 1u);
    }
    run();
    module.set_runtime_config({.cuda_graph_strategy = round == 1 ? CudaGraphStrategy::whole_graph_capture : CudaGraphStrategy::disabled});
    const auto rebuilds = module.stats().contexts_rebuilt;
    run();
    EXPECT_EQ(module.stats().contexts_rebuilt - rebuilds, 1u);
  }
  run();
  EXPECT_EQ(module.stats().calls, calls);
}

TEST(CallsMadeAgain, TakeTurnsWithTheState) {
  const Module module = chain(true);
  const auto graphs = runtime::enable_cudagraphs(module);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const std::vector<Tensor> x = {filled(3, static_cast<float>(t))}, y = {filled(3, 0)};
      for (int i = 0; i < 50; ++i) {
        module.run(x, y);
        ASSERT_EQ(values(y[0]), std::vector<float>(3, 2 * static_cast<float>(t) + 2));
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(values(module.state("total")), (std::vector<float>{200}));
}

}  // namespace
}  // namespace reprise::test
