// Graph modes: scopes, strategies, bounds of recordings, strictness, the self-check.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "reprise/log.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "support/faulty_device.h"

namespace reprise::test {
namespace {

using runtime::CudaGraphOptions;
using runtime::CudaGraphsMode;
using runtime::enable_cudagraphs;
using runtime::get_cudagraphs_mode;
using runtime::get_whole_cudagraphs_mode;
using runtime::OnUncapturable;
using runtime::set_cudagraphs_mode;
using sym::Expr;

constexpr CudaGraphOptions kStrict = {.on_uncapturable = OnUncapturable::error};

class CudaGraphs : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_FALSE(get_cudagraphs_mode());
    EXPECT_FALSE(get_whole_cudagraphs_mode());
    set_cudagraphs_mode(false);
    set_log_callback({});
  }
};

/// y = (x + 1) * 2 over [s].
PlanMaker chain_plan() {
  PlanMaker m;
  const Expr s = m.symbol("s", 0, 1000);
  const Ref x = m.input("x", {s}), a = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 2, 0);
  return m;
}
Module chain() {
  auto m = chain_plan();
  return module_of(m);
}
/// The same with its second half in a fallback segment.
Module broken_chain() {
  auto m = chain_plan();
  m.plan.segments.push_back({false, "in fallback_ops"});
  m.plan.blocks[0].commands[1].segment = 1;
  return module_of(m);
}
/// positions of what is not zero.
Module data_dependent() {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 8, true);
  const Ref x = m.input("x", {8}), y = m.output("y", {u, 1}, DType::i64, 64), count = m.temp({1}, DType::i64);
  m.nonzero(x, y, count, "u0");
  return module_of(m);
}
/// total += x, cache += x; y = total
Module stateful(std::shared_ptr<FaultyDevice> device = nullptr) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), cache = m.input("cache", {2}, DType::f32, true), total = m.state("total", {0, 0}), y = m.output("y", {2});
  m.sum(total, x, total);
  m.sum(cache, x, cache);
  m.affine(total, y, 1, 0);
  return device == nullptr ? module_of(m) : runtime::make_module(m.finish(), std::move(device), make_toy_step);
}

Tensor ones(std::size_t n) { return floats(std::vector<float>(n, 1)); }
void expect_right(const Module& module, std::size_t n) { EXPECT_EQ(values(call(module, {ones(n)})[0]), std::vector<float>(n, 4)); }

std::uint64_t count_of(const std::vector<ReasonCount>& list, const std::string& reason) {
  for (const auto& entry : list)
    if (entry.reason == reason) return entry.count;
  return 0;
}

// ---- scopes ----

TEST_F(CudaGraphs, AScopeRecordsAndLeavesEverythingAsItWas) {
  const Module module = chain();
  {
    const auto graphs = enable_cudagraphs(module);
    EXPECT_EQ(graphs.mode(), CudaGraphsMode::subgraph_cudagraphs);
    EXPECT_TRUE(get_cudagraphs_mode());
    EXPECT_FALSE(get_whole_cudagraphs_mode());
    for (int i = 0; i < 3; ++i) EXPECT_EQ(values(graphs(std::vector<Tensor>{ones(2)})[0]), (std::vector<float>{4, 4}));
    expect_right(module, 2);  // the module itself does the same
    EXPECT_EQ(module.stats().records, 1u);
    EXPECT_EQ(module.stats().replays, 4u);
  }
  EXPECT_FALSE(get_cudagraphs_mode());
  EXPECT_EQ(module.stats().recordings_held, 0u);
  EXPECT_EQ(module.stats().recording_bytes, 0u);
  EXPECT_EQ(module.stats().recordings_dropped, 1u);
  expect_right(module, 2);
  EXPECT_EQ(module.stats().plain_enqueues, 1u);
}

TEST_F(CudaGraphs, AScopeClosesByExceptions) {
  const Module module = chain();
  for (const bool before : {false, true}) {
    set_cudagraphs_mode(before);
    EXPECT_THROW(
        {
          const auto graphs = enable_cudagraphs(module);
          set_cudagraphs_mode(!before);
          (void)graphs(std::vector<Tensor>{floats({1}, {1, 1})});
        },
        ShapeError);
    EXPECT_EQ(get_cudagraphs_mode(), before);
  }
  set_cudagraphs_mode(false);
}

TEST_F(CudaGraphs, AGraphBreakMakesItWholeGraph) {
  const Module module = broken_chain();
  auto graphs = enable_cudagraphs(module);
  EXPECT_EQ(graphs.mode(), CudaGraphsMode::whole_graph_cudagraphs);
  EXPECT_TRUE(get_whole_cudagraphs_mode());
  EXPECT_FALSE(get_cudagraphs_mode());
  expect_right(module, 3);
  EXPECT_EQ(module.stats().records, 1u);  // one recording around both segments
  EXPECT_EQ(message_of<InvalidArgument>([&] { graphs.save("x.rpz"); }),
            "[save/cudagraphs] a whole-graph wrapper cannot be saved: save the module under it, module().save(\"x.rpz\")");
  graphs.close();
  graphs.close();
  EXPECT_FALSE(get_whole_cudagraphs_mode());
}

TEST_F(CudaGraphs, AModuleWithNoEngineWorksToo) {
  auto m = chain_plan();
  m.plan.segments[0] = {false, "no converter"};
  const Module module = module_of(m);
  const auto graphs = enable_cudagraphs(module);
  EXPECT_TRUE(get_whole_cudagraphs_mode());
  expect_right(module, 3);
  EXPECT_EQ(module.stats().replays, 1u);
}

TEST_F(CudaGraphs, APerSubgraphScopeCanBeSaved) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), y = m.output("y", {2});
  m.add(core::Op::copy, {x}, {y});
  const Module module = runtime::make_module(m.finish());
  const std::string path = testing::TempDir() + "scope.rpz";
  enable_cudagraphs(module).save(path);
  EXPECT_EQ(Module::load(path).inputs().size(), 1u);
  std::remove(path.c_str());
}

TEST_F(CudaGraphs, TheNewestOpenScopeWinsInWhateverOrderTheyClose) {
  const Module sub = chain(), whole = broken_chain();
  for (const bool before : {false, true}) {
    set_cudagraphs_mode(before);
    auto outer = enable_cudagraphs(sub);
    auto inner = enable_cudagraphs(whole);
    EXPECT_TRUE(get_whole_cudagraphs_mode());
    std::thread([&] { outer.close(); }).join();
    EXPECT_TRUE(get_whole_cudagraphs_mode());
    auto third = enable_cudagraphs(sub);
    EXPECT_TRUE(get_cudagraphs_mode());
    inner.close();
    EXPECT_TRUE(get_cudagraphs_mode());
    third.close();
    EXPECT_EQ(get_cudagraphs_mode(), before);
    EXPECT_FALSE(get_whole_cudagraphs_mode());
  }
  set_cudagraphs_mode(false);
}

TEST_F(CudaGraphs, PerSubgraphRecordingsEndWithSegments) {
  auto m = chain_plan();  // engine, fallback, engine
  const auto sizes = m.plan.outputs[0].sizes;
  const Ref y = {2, DType::f32, sizes}, z = m.output("z", sizes);
  m.affine(y, z, 1, 1);
  m.plan.segments = {{true, ""}, {false, "in fallback_ops"}, {true, ""}};
  for (int i = 0; i < 3; ++i) m.plan.blocks[0].commands[static_cast<std::size_t>(i)].segment = i;
  Module module = module_of(m);
  const auto check = [&](std::uint64_t records, std::uint64_t replays, std::uint64_t plain, std::uint64_t held) {
    const auto before = module.stats();
    const auto results = call(module, {ones(3)});
    EXPECT_EQ(values(results[0]), (std::vector<float>{4, 4, 4}));
    EXPECT_EQ(values(results[1]), (std::vector<float>{5, 5, 5}));
    const auto after = module.stats();
    EXPECT_EQ(after.records - before.records, records);
    EXPECT_EQ(after.replays - before.replays, replays);
    EXPECT_EQ(after.plain_enqueues - before.plain_enqueues, plain);
    EXPECT_EQ(after.recordings_held, held);
  };
  check(0, 0, 1, 0);
  set_cudagraphs_mode(true);
  check(2, 2, 1, 2);  // each engine; the fallback runs as it is
  check(0, 2, 1, 2);
  {
    const auto graphs = enable_cudagraphs(module);
    check(1, 1, 0, 1);  // one recording around all, and no other
    check(0, 1, 0, 1);
  }
  check(2, 2, 1, 2);
  set_cudagraphs_mode(false);
  module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture);
  check(2, 2, 1, 2);  // native: engine by engine
  EXPECT_EQ(count_of(module.stats().records_by, "mode"), 1u);
}

TEST_F(CudaGraphs, TheModeSetByHandInsideAScopeEndsWithIt) {
  const Module module = broken_chain();
  {
    const auto graphs = enable_cudagraphs(module);
    set_cudagraphs_mode(true);
    EXPECT_TRUE(get_cudagraphs_mode());
    set_cudagraphs_mode(false);
    EXPECT_FALSE(get_cudagraphs_mode());
    EXPECT_FALSE(get_whole_cudagraphs_mode());
    expect_right(module, 2);
    EXPECT_EQ(module.stats().records, 0u);
  }
  EXPECT_FALSE(get_whole_cudagraphs_mode());
}

TEST_F(CudaGraphs, ScopesComeAndGoWithoutGrowth) {
  const Module module = chain();
  (void)call(module, {ones(4)});
  for (int i = 0; i < 20000; ++i) {
    const auto graphs = enable_cudagraphs(module);
    set_cudagraphs_mode(i % 2 == 0);
    if (i % 100 == 0) expect_right(module, 4);
  }
  const auto stats = module.stats();
  EXPECT_EQ(stats.contexts, 1u);
  EXPECT_EQ(stats.recordings_held, 0u);
  EXPECT_EQ(stats.memory_growths, 1u);
  EXPECT_EQ(stats.records, stats.recordings_dropped);
}

TEST_F(CudaGraphs, ACallSeesTheModesAsTheyWereWhenItBegan) {
  // The first of two stages turns the mode on: the second still runs as the call began.
  class Toggle final : public device::Step {
   public:
    void run(void* const*) const override { set_cudagraphs_mode(true); }
  };
  PlanMaker m;
  m.symbol("u0", 0, 9, true);
  const Ref x = m.input("x", {1}), n = m.input("n", {}, DType::i64), y = m.output("y", {1});
  m.affine(x, y, 1, 0);
  m.item(n, "u0");
  m.affine(x, y, 1, 0);
  const Module module =
      runtime::make_module(m.finish(), Device::cpu(), [](const kernels::StepSpec&) -> std::unique_ptr<device::Step> { return std::make_unique<Toggle>(); });
  const Tensor zero = Tensor::zeros({}, DType::i64);
  (void)call(module, {ones(1), zero});
  EXPECT_EQ(module.stats().records, 0u);
  EXPECT_EQ(module.stats().plain_enqueues, 2u);
  (void)call(module, {ones(1), zero});
  EXPECT_EQ(module.stats().records, 2u);
  set_cudagraphs_mode(false);
}

TEST_F(CudaGraphs, ThreadsCallWhileScopesOpenAndClose) {
  const Module module = chain();
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (std::size_t t = 0; t < 3; ++t)
    callers.emplace_back([&, t] {
      for (std::size_t i = 0; !stop; ++i) {
        const std::size_t n = 1 + (i + t) % 5;
        wrong += values(call(module, {ones(n)})[0]) != std::vector<float>(n, 4);
      }
    });
  for (int i = 0; i < 300; ++i) {
    const auto graphs = enable_cudagraphs(module, {.verify_first_replay = i % 3 == 0, .max_recordings = 1 + static_cast<std::size_t>(i % 4)});
    std::this_thread::yield();
  }
  stop = true;
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(module.stats().recordings_held, 0u);
  EXPECT_EQ(module.stats().recording_bytes, 0u);
}

/// y = x * 2; total += 1: calls follow one another. Two profiles of x's length, up to 4 and from 5.
Module counting() {
  PlanMaker m;
  const Expr s = m.symbol("s", 1, 8);
  const Ref x = m.input("x", {s}), y = m.output("y", {s}), total = m.state("total", {0});
  m.plan.profiles = {{{1}, {2}, {4}}, {{5}, {6}, {8}}};
  m.affine(x, y, 2, 0);
  m.affine(total, total, 1, 1);
  return module_of(m);
}

TEST_F(CudaGraphs, ACallThatBeganInAScopeLeavesNoRecordingBehindIt) {
  const Module module = counting();
  auto graphs = enable_cudagraphs(module);
  auto calls_wait = module.impl()->lock_calls();
  std::vector<float> result;
  std::thread caller([&] { result = values(call(module, {ones(6)})[0]); });
  while (module.active_profile() != 1) std::this_thread::yield();  // it has read the modes, and waits
  graphs.close();
  calls_wait.unlock();
  caller.join();
  EXPECT_EQ(result, std::vector<float>(6, 2));
  EXPECT_EQ(module.stats().recordings_held, 0u);
}

// ---- recordings: which are kept ----

TEST_F(CudaGraphs, TheRecordingUsedLeastGoesFirst) {
  const Module module = chain();
  const auto graphs = enable_cudagraphs(module, {.max_recordings = 2});
  const auto records_of = [&](std::initializer_list<std::size_t> sizes) {
    const auto before = module.stats().records;
    for (const std::size_t n : sizes) expect_right(module, n);
    return module.stats().records - before;
  };
  EXPECT_EQ(records_of({1, 2, 1, 2}), 2u);
  EXPECT_EQ(records_of({1, 3}), 1u);  // 2 goes
  EXPECT_EQ(records_of({1, 3, 1}), 0u);
  EXPECT_EQ(records_of({2}), 1u);  // 3 goes
  EXPECT_EQ(records_of({1}), 0u);
  const auto stats = module.stats();
  EXPECT_EQ(stats.recordings_evicted, 2u);
  EXPECT_EQ(stats.recordings_held, 2u);
  EXPECT_EQ(count_of(stats.records_by, "evicted"), 1u);
  EXPECT_EQ(stats.shapes_evicted, 0u);
}

TEST_F(CudaGraphs, BytesBoundTheRecordings) {
  const Module module = chain();
  {
    const auto graphs = enable_cudagraphs(module);
    expect_right(module, 1);
  }
  std::size_t one = 0;
  {
    const auto graphs = enable_cudagraphs(module);
    expect_right(module, 1);
    one = module.stats().recording_bytes;
    ASSERT_GT(one, 0u);
  }
  {
    const auto graphs = enable_cudagraphs(module, {.max_recording_bytes = 2 * one});
    for (int round = 0; round < 3; ++round)
      for (const std::size_t n : {1, 2, 3}) {
        expect_right(module, n);
        EXPECT_LE(module.stats().recording_bytes, 2 * one);
      }
    EXPECT_EQ(module.stats().unrecorded, 0u);
    EXPECT_EQ(module.stats().recordings_evicted, 7u);
  }
  {
    const auto graphs = enable_cudagraphs(module, {.max_recording_bytes = one - 1});
    for (int i = 0; i < 4; ++i) expect_right(module, 1);
    EXPECT_EQ(module.stats().recordings_held, 0u);
    EXPECT_EQ(count_of(module.stats().unrecorded_by, "over_bound"), 4u);
    const auto wider = enable_cudagraphs(module);
    expect_right(module, 1);
    EXPECT_EQ(module.stats().recordings_held, 1u);
  }
  CudaGraphOptions strict = kStrict;
  strict.max_recording_bytes = one - 1;
  const auto graphs = enable_cudagraphs(module, strict);
  EXPECT_EQ(message_of<Error>([&] { expect_right(module, 1); }),
            "[run/cudagraphs] segment 0 cannot be recorded at 'pointwise': its recording is larger than what may be kept (" + std::to_string(one) +
                " bytes); on_uncapturable = piecewise runs it unrecorded");
}

TEST_F(CudaGraphs, ARecordingThatFailsRunsUnrecordedAndIsCounted) {
  const auto device = std::make_shared<FaultyDevice>();
  auto m = chain_plan();
  const Module module = runtime::make_module(m.finish(), device, make_toy_step);
  device->refuse_recording = true;
  {
    const auto graphs = enable_cudagraphs(module);
    for (int i = 0; i < 3; ++i) expect_right(module, 2);
    EXPECT_EQ(module.stats().records, 0u);
    EXPECT_EQ(count_of(module.stats().unrecorded_by, "capture_failed"), 3u);
    const auto strict = enable_cudagraphs(module, kStrict);
    EXPECT_EQ(message_of<Error>([&] { expect_right(module, 2); }),
              "[run/cudagraphs] segment 0 cannot be recorded at 'pointwise': recording failed ([test/record] refused); on_uncapturable = piecewise runs it "
              "unrecorded");
  }
  device->refuse_recording = false;
  const auto graphs = enable_cudagraphs(module, kStrict);
  expect_right(module, 2);
  EXPECT_EQ(module.stats().records, 1u);
}

// ---- strictness ----

TEST_F(CudaGraphs, DataDependentProgramsAreRecordedPiecewiseOrRefused) {
  const Module module = data_dependent();
  EXPECT_TRUE(module.requires_output_allocator());
  const auto capturable = module.is_monolithic_capturable();
  EXPECT_FALSE(capturable);
  EXPECT_EQ(capturable.reason, "segment 0 needs the host: the host needs u0 at 'nonzero' (nonzero)");
  for (const CudaGraphOptions& options : {kStrict, CudaGraphOptions{.require_full_graph = true}}) {
    EXPECT_EQ(message_of<ModeConflict>([&] { (void)enable_cudagraphs(module, options); }),
              "The model contains submodules that require a dynamic output allocator at runtime, which is incompatible with CUDA Graphs.");
    EXPECT_FALSE(get_cudagraphs_mode());
  }
  const auto graphs = enable_cudagraphs(module);
  const auto out = call(module, {floats({0, 1, 0, 0, 1, 0, 0, 0})});
  EXPECT_EQ(values<std::int64_t>(out[0]), (std::vector<std::int64_t>{1, 4}));
  EXPECT_EQ(module.stats().records, 1u);
  EXPECT_EQ(module.stats().islands.at(0).runs, 1u);
}

TEST_F(CudaGraphs, WhatNeedsTheHostIsNotMonolithicallyCapturable) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), p = m.temp({1}, DType::boolean), y = m.output("y", {1});
  const int negative = m.block(), positive = m.block();
  m.less(x, p, 0);
  m.cond(p, {y}, negative, positive);
  m.affine(x, y, -1, 0, negative);
  m.affine(x, y, 10, 0, positive);
  const Module branching = module_of(m);
  EXPECT_FALSE(branching.requires_output_allocator());
  EXPECT_EQ(message_of<Error>([&] { (void)enable_cudagraphs(branching, kStrict); }),
            "[run/cudagraphs] the module is not monolithically capturable: segment 0 needs the host: the host chooses a branch at 'cond' (cond); "
            "on_uncapturable = piecewise records what lies between");
  const auto graphs = enable_cudagraphs(branching);
  for (const float v : {1.0F, -2.0F, 3.0F}) EXPECT_EQ(values(call(branching, {floats({v})})[0])[0], v < 0 ? -v : 10 * v);

  const Module straight = chain();
  EXPECT_TRUE(straight.is_monolithic_capturable());
  EXPECT_EQ(straight.is_monolithic_capturable().reason, "");
  EXPECT_FALSE(straight.requires_output_allocator());
  EXPECT_NO_THROW((void)enable_cudagraphs(straight, kStrict));
}

// ---- strategy ----

TEST_F(CudaGraphs, StrategyNames) {
  EXPECT_EQ(parse_cuda_graph_strategy("disabled"), CudaGraphStrategy::disabled);
  EXPECT_EQ(parse_cuda_graph_strategy("whole_graph_capture"), CudaGraphStrategy::whole_graph_capture);
  EXPECT_EQ(parse_cuda_graph_strategy("per_engine_capture"), CudaGraphStrategy::whole_graph_capture);
  EXPECT_STREQ(name(CudaGraphStrategy::whole_graph_capture), "whole_graph_capture");
  EXPECT_EQ(message_of<InvalidArgument>([] { (void)parse_cuda_graph_strategy("always"); }),
            "[run/cudagraphs] unknown cuda_graph_strategy (got 'always', want one of: disabled, whole_graph_capture, per_engine_capture)");
}

TEST_F(CudaGraphs, TheMatrixOfModesAndStrategies) {
  for (const bool native : {false, true}) {
    const auto strategy = native ? CudaGraphStrategy::whole_graph_capture : CudaGraphStrategy::disabled;
    Module module = chain();
    const Module other = broken_chain();
    module.set_cuda_graph_strategy(strategy);
    EXPECT_EQ(module.cuda_graph_strategy(), strategy);
    const auto replays = [&] {
      const auto before = module.stats();
      for (int i = 0; i < 3; ++i) expect_right(module, 2);
      const auto after = module.stats();
      return std::pair(after.replays - before.replays, after.native_replays - before.native_replays);
    };
    using Counts = std::pair<std::uint64_t, std::uint64_t>;
    EXPECT_EQ(replays(), native ? Counts(3, 3) : Counts(0, 0));
    {
      const auto graphs = enable_cudagraphs(module);
      EXPECT_EQ(replays(), native ? Counts(3, 3) : Counts(3, 0));
    }
    {
      const auto graphs = enable_cudagraphs(other);  // whole-graph, for the whole process
      EXPECT_EQ(replays(), Counts(3, 0));
    }
    EXPECT_EQ(replays(), native ? Counts(3, 3) : Counts(0, 0));
    EXPECT_EQ(module.cuda_graph_strategy(), strategy);
    EXPECT_LE(module.stats().recordings_held, 1u);  // never two of one thing
  }
}

TEST_F(CudaGraphs, AScopeMayBringAStrategyAndTakesItAlong) {
  const Module module = chain();
  {
    const auto graphs = enable_cudagraphs(module, {.cuda_graph_strategy = CudaGraphStrategy::whole_graph_capture});
    expect_right(module, 2);
    EXPECT_EQ(module.stats().native_replays, 1u);
    set_cudagraphs_mode(false);
    expect_right(module, 2);
    EXPECT_EQ(module.stats().native_replays, 2u);
  }
  EXPECT_EQ(module.cuda_graph_strategy(), CudaGraphStrategy::disabled);
  expect_right(module, 2);
  EXPECT_EQ(module.stats().native_replays, 2u);
}

TEST_F(CudaGraphs, LogsTellOfStrategies) {
  std::vector<std::string> lines;
  set_log_callback([&](LogLevel, std::string_view message) { lines.emplace_back(message); });
  const auto count = [&](const std::string& part) {
    return std::count_if(lines.begin(), lines.end(), [&](const auto& line) { return line.find(part) != std::string::npos; });
  };
  Module module = chain();
  set_cudagraphs_mode(true);
  for (int i = 0; i < 3; ++i) expect_right(module, 2);
  set_cudagraphs_mode(false);
  EXPECT_EQ(count("is recorded in every mode"), 1);
  EXPECT_EQ(count("(native)"), 0);
  module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture);
  EXPECT_EQ(count("cuda_graph_strategy = whole_graph_capture"), 2);
  expect_right(module, 2);
  EXPECT_EQ(count("[run/enqueue] on cpu:0 (native)"), 1);
}

// ---- the self-check ----

TEST_F(CudaGraphs, TheFirstReplayIsVerifiedAndChangesNothing) {
  const Module plain = stateful(), checked = stateful();
  const auto graphs = enable_cudagraphs(checked, {.verify_first_replay = true});
  const Tensor a = floats({5, 6}), b = floats({5, 6}), x = floats({1, 2});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(values(call(plain, {x, a})[0]), values(call(checked, {x, b})[0]));
  EXPECT_EQ(values(a), values(b));
  EXPECT_EQ(values(plain.state("total")), values(checked.state("total")));
  EXPECT_EQ(checked.stats().verified_replays, 1u);
  EXPECT_EQ(checked.stats().replays, 3u);
  EXPECT_EQ(checked.stats().unrecorded, 0u);
}

// The second stage reads what the first one wrote, and then overwrites its memory with scratch.
TEST_F(CudaGraphs, WhatScratchOverwritesIsPutBackForTheCheck) {
  PlanMaker m;
  const std::string u = "u0";
  m.symbol(u, 0, 8, true);
  const Ref x = m.input("x", {100}), a = m.temp({100}), b = m.temp({100}), y = m.output("y", {100});
  m.affine(x, a, 1, 1);
  m.item(x, u);
  m.affine(a, b, 2, 0);
  m.add(core::Op::pointwise, {b}, {y}, {{"toy", std::string("affine")}, {"scale", 2.0}, {"scratch", 400}});
  const Module module = runtime::make_module(m.finish(), Device::cpu(), make_toy_step);
  const auto graphs = enable_cudagraphs(module, {.verify_first_replay = true});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(values(call(module, {ones(100)})[0]), std::vector<float>(100, 8));
  EXPECT_EQ(module.stats().verified_replays, 2u);
  EXPECT_EQ(module.stats().unrecorded, 0u);
}

TEST_F(CudaGraphs, AReplayThatDiffersIsFoundAndItsRecordingDropped) {
  const auto device = std::make_shared<FaultyDevice>();
  Module module = stateful(device);
  device->lying_slot = 3;  // y
  const Tensor cache = floats({0, 0}), x = floats({1, 2});
  {
    const auto graphs = enable_cudagraphs(module);
    EXPECT_EQ(values(call(module, {x, cache})[0]), (std::vector<float>{-1, 2}));  // nobody looks
  }
  module.reset_state();
  {
    const auto graphs = enable_cudagraphs(module, {.verify_first_replay = true});
    for (const float i : {1.0F, 2.0F, 3.0F}) EXPECT_EQ(values(call(module, {x, cache})[0]), (std::vector<float>{i, 2 * i}));
    EXPECT_EQ(module.stats().recordings_held, 0u);
    EXPECT_EQ(module.stats().verified_replays, 0u);
    EXPECT_GE(count_of(module.stats().unrecorded_by, "verify_mismatch"), 3u);
  }
  EXPECT_EQ(values(cache), (std::vector<float>{4, 8}));
  CudaGraphOptions strict = kStrict;
  strict.verify_first_replay = true;
  const auto graphs = enable_cudagraphs(module, strict);
  EXPECT_NE(message_of<Error>([&] { (void)call(module, {x, cache}); }).find("the first replay differs from an unrecorded run"), std::string::npos);
}

TEST_F(CudaGraphs, WhatIsNotReproducibleStaysRecorded) {
  // Every run gives another number.
  class Count final : public device::Step {
   public:
    explicit Count(int slot) : slot_(slot) {}
    void run(void* const* bindings) const override { *static_cast<float*>(bindings[slot_]) = static_cast<float>(++runs_); }

   private:
    int slot_;
    mutable int runs_ = 0;
  };
  PlanMaker m;
  const Ref x = m.input("x", {1}), y = m.output("y", {1});
  m.affine(x, y, 1, 0);
  const Module module = runtime::make_module(
      m.finish(), Device::cpu(), [](const kernels::StepSpec& spec) -> std::unique_ptr<device::Step> { return std::make_unique<Count>(spec.outputs[0].slot); });
  const auto graphs = enable_cudagraphs(module, {.verify_first_replay = true});
  EXPECT_EQ(values(call(module, {ones(1)})[0]), std::vector<float>{3});
  EXPECT_EQ(values(call(module, {ones(1)})[0]), std::vector<float>{4});
  EXPECT_EQ(module.stats().recordings_held, 1u);
  EXPECT_EQ(module.stats().unrecorded, 0u);
}

}  // namespace
}  // namespace reprise::test
