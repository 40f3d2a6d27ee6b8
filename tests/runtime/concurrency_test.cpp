#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using sym::Expr;

template <class F>
void on_threads(int count, F&& body) {
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) threads.emplace_back([&, t] { body(t); });
  for (auto& thread : threads) thread.join();
}

TEST(Concurrency, CallsFromManyThreadsAndShapesDoNotMix) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 0, 300);
  const Ref x = m.input("x", {s}), a = m.temp({s}), b = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 2, 0);
  m.affine(a, b, 1, 1);
  m.sum(a, b, y);
  const Module module = module_of(m);
  constexpr int kThreads = 4;
  std::atomic<int> wrong = 0;
  on_threads(kThreads, [&](int t) {
    for (int i = 0; i < 100; ++i) {
      const auto n = static_cast<std::size_t>((t * 37 + i * 11) % 250);
      const float value = static_cast<float>(t * 1000 + i);
      const auto out = values(call(module, {floats(std::vector<float>(n, value))})[0]);
      wrong += out != std::vector<float>(n, 4 * value + 1);
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(module.memory().contexts, static_cast<std::size_t>(kThreads));
}

TEST(Concurrency, OneContextPerCallInFlight) {
  // Steps that wait for each other: the calls finish only if all of them are in flight at once.
  static std::atomic<int> inside;
  inside = 0;
  class Meet final : public device::Step {
   public:
    void run(void* const*) const override {
      ++inside;
      while (inside < 3) std::this_thread::yield();
    }
  };
  PlanMaker m;
  const Ref x = m.input("x", {1}), y = m.output("y", {1});
  m.affine(x, y, 1, 0);
  const Module module =
      runtime::make_module(m.finish(), Device::cpu(), [](const kernels::StepSpec&) -> std::unique_ptr<device::Step> { return std::make_unique<Meet>(); });
  on_threads(3, [&](int) { (void)call(module, {floats({1})}); });
  EXPECT_EQ(module.memory().contexts, 3u);
  for (int i = 0; i < 10; ++i) (void)call(module, {floats({1})});
  EXPECT_EQ(module.memory().contexts, 3u);
}

TEST(Concurrency, StatefulCallsFollowOneAnother) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), total = m.state("total", {0}), before = m.output("before", {1}), after = m.output("after", {1});
  m.affine(total, before, 1, 0);
  m.sum(total, x, total);
  m.affine(total, after, 1, 0);
  Module module = module_of(m);
  constexpr int kThreads = 4, kCalls = 100;
  std::atomic<int> wrong = 0;
  on_threads(kThreads, [&](int) {
    for (int i = 0; i < kCalls; ++i) {
      const auto out = call(module, {floats({1})});
      wrong += values(out[1])[0] != values(out[0])[0] + 1;
      wrong += values(module.state("total"))[0] < values(out[1])[0];
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(values(module.state("total")), std::vector<float>{kThreads * kCalls});
}

TEST(Concurrency, DataDependentSizesOfConcurrentCallsDoNotMix) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 64, true);
  const Ref x = m.input("x", {64}), y = m.output("y", {u, 1}, DType::i64, 512), count = m.temp({1}, DType::i64), z = m.dynamic_temp({u});
  const Ref w = m.output("w", {u}, DType::f32, 256);
  m.nonzero(x, y, count, "u0");
  m.add(core::Op::fill, {}, {z}, {{"value", u}});
  m.affine(z, w, 1, 0);
  const Module module = module_of(m);
  std::atomic<int> wrong = 0;
  on_threads(4, [&](int t) {
    for (int i = 0; i < 50; ++i) {
      const auto n = static_cast<std::size_t>((t * 13 + i * 7) % 64);
      std::vector<float> in(64);
      for (std::size_t k = 0; k < n; ++k) in[k] = 1;
      const auto out = call(module, {floats(in)});
      wrong += values(out[1]) != std::vector<float>(n, static_cast<float>(n));
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(Concurrency, ErrorsInOneCallDoNotReachOthers) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), y = m.output("y", {1});
  m.demand_positive(x);
  m.affine(x, y, 2, 0);
  const Module module = module_of(m);
  std::atomic<int> wrong = 0;
  on_threads(4, [&](int t) {
    for (int i = 0; i < 100; ++i) {
      const float value = static_cast<float>(t % 2 == 0 ? -1 - i : i);
      try {
        wrong += values(call(module, {floats({value})})[0])[0] != 2 * value || value < 0;
      } catch (const InvalidArgument&) {
        wrong += value >= 0;
      }
    }
  });
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace reprise::test
