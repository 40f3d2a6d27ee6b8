// Whatever a device refuses at whatever time: the call says so, the next one works, and nothing is left behind.
#include <gtest/gtest.h>

#include <optional>

#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "support/faulty_device.h"

namespace reprise::test {
namespace {

using Operation = FaultyDevice::Operation;
using sym::Expr;

/// y = 2 (2 x + w) + 1; positions of what is not 0 in it; branch = x[0] < 5 ? y : -y. Throws where x[0] < 0.
plan::PlanPtr program(bool streams) {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = streams;
  const Expr s = m.symbol("s", 1, 64), u = m.symbol("u0", 0, 64, true);
  const Ref x = m.input("x", {s}), y = m.output("y", {s}), branch = m.output("branch", {s}), t = m.temp({s}), v = m.temp({s}),
            pred = m.temp({1}, DType::boolean);
  Ref w = m.weight("w", std::vector<float>(64, 3));
  w.sizes = {s};
  const Ref positions = m.output("positions", {u, 1}, DType::i64, s * 8), count = m.temp({1}, DType::i64), listed = m.dynamic_temp({u, 1}, DType::i64);
  m.demand_positive(x);
  m.affine(x, t, 2, 0);
  m.sum(t, w, v);
  m.affine(v, y, 2, 1);
  m.nonzero(y, listed, count, "u0");
  m.add(core::Op::copy, {listed}, {positions});
  m.less(x, pred, 5);
  const int then_block = m.block(), else_block = m.block();
  m.cond(pred, {branch}, then_block, else_block);
  m.affine(y, branch, 1, 0, then_block);
  m.affine(y, branch, -1, 0, else_block);
  return m.finish();
}

struct Way {
  const char* name;
  bool has_own_memory, recorded, streams, prealloc;
};
constexpr Way kWays[] = {{"plain", false, false, false, false},     {"recorded", false, true, false, false},
                         {"own_memory", true, false, false, false}, {"own_memory_recorded", true, true, false, true},
                         {"streaming", true, false, true, false},   {"streaming_recorded", true, true, true, false}};

class Failures : public testing::TestWithParam<std::tuple<Way, int>> {
 protected:
  static constexpr std::size_t kSizes[] = {4, 9};

  struct World {
    World(std::shared_ptr<FaultyDevice> on, Module loaded) : device(std::move(on)), module(std::move(loaded)) {}
    std::shared_ptr<FaultyDevice> device;
    Module module;
    std::optional<runtime::CudaGraphsScope> graphs;
    std::optional<runtime::WeightStreamingScope> streaming;
    std::optional<runtime::ModuleScope> outputs;
  };
  static std::unique_ptr<World> open(const Way& way) {
    auto device = std::make_shared<FaultyDevice>(way.has_own_memory);
    auto world = std::make_unique<World>(device, runtime::make_module(program(way.streams), device, make_toy_step));
    if (way.recorded) world->graphs.emplace(runtime::enable_cudagraphs(world->module));
    if (way.prealloc) world->outputs.emplace(runtime::enable_pre_allocated_outputs(world->module));
    if (way.streams) world->streaming.emplace(runtime::weight_streaming(world->module)).set_device_budget(0);
    return world;
  }

  /// Calls at two shapes, and has weights move.
  static void use(World& world) {
    for (const std::size_t n : kSizes) {
      if (world.streaming) world.streaming->set_device_budget(n == kSizes[0] ? 0 : world.streaming->total_device_budget());
      check(world.module, n);
    }
  }
  static void check(const Module& module, std::size_t n) {
    std::vector<float> x(n), want(n);
    std::vector<std::int64_t> positions(n);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = static_cast<float>(i);
      want[i] = 4 * x[i] + 7;
      positions[i] = static_cast<std::int64_t>(i);
    }
    const auto results = call(module, {floats(x)});
    EXPECT_EQ(values(results[0]), want);
    EXPECT_EQ(values(results[1]), want);
    EXPECT_EQ(values<std::int64_t>(results[2]), positions);
  }
};

TEST_P(Failures, AreReportedAndLeaveNothingBehind) {
  const auto& [way, operation] = GetParam();
  const auto at = static_cast<std::size_t>(operation);
  int failures = 0;
  for (int n = 1;; ++n) {
    auto world = open(way);
    const auto device = world->device;
    device->fail_at[at] = n;
    try {
      use(*world);
    } catch (const OutOfMemory&) {
      EXPECT_TRUE(operation == FaultyDevice::allocation || operation == FaultyDevice::commit);
    } catch (const DeviceError&) {
      EXPECT_TRUE(operation != FaultyDevice::allocation && operation != FaultyDevice::commit && operation != FaultyDevice::recording);
    }
    const bool met = device->fail_at[at] == 0;
    device->fail_at[at] = 0;
    const auto failed = world->module.stats();
    if (met && operation == FaultyDevice::recording) {
      EXPECT_EQ(failed.unrecorded_by.at(0).reason, "capture_failed");
    }
    EXPECT_EQ(static_cast<int>(failed.recordings_held), device->recordings()) << "a recording is half alive";
    use(*world);
    use(*world);
    EXPECT_EQ(static_cast<int>(world->module.stats().recordings_held), device->recordings());
    world.reset();
    EXPECT_EQ(device->held() + device->held(device::MemoryKind::pinned), 0u) << n;
    EXPECT_EQ(device->recordings(), 0);
    if (!met) break;
    ++failures;
    ASSERT_LT(n, 1000);
  }
  const bool must = operation == FaultyDevice::commit || (operation == FaultyDevice::recording && way.recorded);
  EXPECT_TRUE(!must || failures > 0);
}

std::string name_of(const testing::TestParamInfo<std::tuple<Way, int>>& info) {
  constexpr const char* kNames[] = {"allocation", "commit", "launch", "recording", "replay", "copying", "event"};
  return std::string(std::get<0>(info.param).name) + "_" + kNames[std::get<1>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(EveryOperation, Failures, testing::Combine(testing::ValuesIn(kWays), testing::Range(0, static_cast<int>(FaultyDevice::kOperations))),
                         name_of);

TEST(Failure, AHostStepThatThrowsInEveryMode) {
  for (const Way& way : kWays) {
    const auto device = std::make_shared<FaultyDevice>(way.has_own_memory);
    const Module module = runtime::make_module(program(way.streams), device, make_toy_step);
    std::optional<runtime::CudaGraphsScope> graphs;
    if (way.recorded) graphs.emplace(runtime::enable_cudagraphs(module));
    for (int i = 0; i < 3; ++i) {
      EXPECT_THROW((void)call(module, {floats({-1, 2})}), InvalidArgument);
      EXPECT_EQ(values(call(module, {floats({1, 2})})[0]), (std::vector<float>{11, 15}));
    }
    EXPECT_EQ(module.stats().failed_calls, 3u);
  }
}

/// Loading fails at the n-th allocation or copy: what was made until then goes, and nothing is destroyed twice.
TEST(Failure, AModuleThatIsHalfMade) {
  for (const auto operation : {FaultyDevice::allocation, FaultyDevice::commit, FaultyDevice::copying}) {
    int n = 0;
    for (bool made = false; !made;) {
      const auto device = std::make_shared<FaultyDevice>(true);
      device->fail_at[operation] = ++n;
      try {
        const Module module = runtime::make_module(program(true), device, make_toy_step);
        made = true;
      } catch (const Error&) {
      }
      EXPECT_EQ(device->held() + device->held(device::MemoryKind::pinned), 0u) << n;
    }
    EXPECT_GT(n, 1);
  }
}

}  // namespace
}  // namespace reprise::test
