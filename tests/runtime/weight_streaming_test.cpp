// Weights that pass through slots, on REPRISE_TEST_DEVICE (the CPU without it): whatever the budget, results are the same bits.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "reprise/log.h"
#include "reprise/runtime.h"
#include "runtime/streamed_network.h"
#include "support/faulty_device.h"

namespace reprise::test {
namespace {

using runtime::weight_streaming;
using runtime::WeightStreamingScope;
using sym::Expr;

std::uint64_t records_by(const ModuleStats& stats, const std::string& reason) {
  for (const auto& entry : stats.records_by)
    if (entry.reason == reason) return entry.count;
  return 0;
}

// ---- results ----

TEST(WeightStreaming, EveryBudgetGivesTheSameBits) {
  for (const Network& network : {Network{}, Network{.dynamic = true}, Network{.table = true}, Network{.broken = true}, Network{.width = 5, .layers = 1}}) {
    Network whole = network;
    whole.streams = false;
    const Module module = make(network), plain = make(whole);
    auto scope = weight_streaming(module);
    EXPECT_EQ(scope.total_device_budget(), network.total());
    for (const std::int64_t budget : budgets_of(network)) {
      scope.set_device_budget(budget);
      EXPECT_EQ(scope.device_budget(), budget);
      EXPECT_EQ(runtime::is_weight_streaming_set(module), budget < network.total());
      EXPECT_TRUE(budget < network.total() || module.memory().weight_bytes == static_cast<std::size_t>(budget));
      for (const std::int64_t rows : {3, 1, 8, 3}) {
        const auto in = inputs_of(network, rows);
        EXPECT_EQ(host_values(scope(in)[0]), y_of(plain, in)) << budget << " bytes, " << rows << " rows";
      }
    }
  }
}

TEST(WeightStreaming, ConvolutionsPackedInOtherWaysGiveTheSameBits) {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  const Expr n = m.symbol("n", 1, 4);
  Ref h = m.input("x", {n, 3, 12, 12});
  std::int64_t channels = 3;
  for (int i = 0; i < 3; ++i) {
    Ref w = m.weight("w" + std::to_string(i), numbers(20 * channels * 9, static_cast<unsigned>(i)));
    w.sizes = {20, channels, 3, 3};
    const Ref y = i == 2 ? m.output("y", {n, 20, 12, 12}) : m.temp({n, 20, 12, 12});
    using List = std::vector<Expr>;
    m.add(core::Op::conv, {h, w}, {y},
          {{"stride", List{1, 1}},
           {"padding", List{1, 1}},
           {"dilation", List{1, 1}},
           {"output_padding", List{0, 0}},
           {"groups", Expr(1)},
           {"transposed", false},
           {"has_bias", false}});
    h = y;
    channels = 20;
  }
  const Module module = runtime::make_module(m.finish(), tested_device());
  const std::vector<Tensor> in = {to_device(floats(numbers(2 * 3 * 144, 5), {2, 3, 12, 12}))};
  const auto want = y_of(module, in);
  auto scope = weight_streaming(module);
  for (const std::int64_t budget : {std::int64_t{0}, scope.total_device_budget() / 2}) {
    scope.set_device_budget(budget);
    EXPECT_EQ(y_of(module, in), want);
    EXPECT_EQ(y_of(module, in), want);
    EXPECT_GT(module.stats().streamed_weights, 0u);
  }
}

TEST(WeightStreaming, ATableOfWhichRowsAreReadIsNotCopied) {
  const Network network{.layers = 1, .table = true};
  const Module module = make(network);
  auto scope = weight_streaming(module);
  scope.set_device_budget(0);
  (void)y_of(module, inputs_of(network, 4));
  EXPECT_EQ(module.stats().streamed_weights, 2u);  // the matrix and its bias
  EXPECT_GE(module.stats().streamed_bytes, static_cast<std::uint64_t>(network.matrix_bytes() + network.width * 4));
  EXPECT_LT(module.stats().streamed_bytes, static_cast<std::uint64_t>(network.total()));
}

TEST(WeightStreaming, EveryRoundOfALoopAndTheBranchThatIsTakenStream) {
  // while c < 100: c = 2 c + 1 + 2 - 2; y = c < 150 ? c + 5 : c + 7
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  const Ref x = m.input("x", {1}), c = m.temp({1}), t = m.temp({1}), p = m.temp({1}, DType::boolean), y = m.output("y", {1});
  const int condition = m.block(), body = m.block(), then_block = m.block(), else_block = m.block();
  m.add(core::Op::copy, {x}, {c});
  m.loop(p, {c}, condition, body);
  m.less(c, p, 100, condition);
  m.affine(c, t, 2, 0, body);
  m.sum(t, m.weight("one", {1}), c, body);
  m.sum(c, m.weight("two", {2}), t, body);
  m.sum(t, m.weight("minus_two", {-2}), c, body);
  m.less(c, p, 150);
  m.cond(p, {y}, then_block, else_block);
  m.sum(c, m.weight("five", {5}), y, then_block);
  m.sum(c, m.weight("seven", {7}), y, else_block);
  for (const bool own_memory : {false, true}) {
    const Module module = runtime::make_module(m.finish(), std::make_shared<FaultyDevice>(own_memory), make_toy_step);
    const auto graphs = runtime::enable_cudagraphs(module);
    auto scope = weight_streaming(module);
    for (const std::int64_t budget : {0, 8, 20, 4}) {
      scope.set_device_budget(budget);
      for (int i = 0; i < 2; ++i) {
        const auto before = module.stats().streamed_weights;
        EXPECT_EQ(values(call(module, {floats({30})})[0]), (std::vector<float>{128}));  // 30, 61, 123
        EXPECT_TRUE(budget > 0 || module.stats().streamed_weights - before == 2 * 3 + 1);
        EXPECT_EQ(values(call(module, {floats({95})})[0]), (std::vector<float>{198}));  // 95, 191
      }
    }
  }
}

// ---- modes ----

TEST(WeightStreaming, ABudgetRecordsAnewInEveryGraphModeAndNeverReplaysOldWeights) {
  for (const bool broken : {false, true}) {
    for (const bool native : {false, true}) {
      const Network network{.broken = broken};
      Module module = make(network);
      const auto in = inputs_of(network, 4);
      const auto want = y_of(module, in);
      const Tensor y = to_device(floats(want, {4, network.width}));
      auto streaming = weight_streaming(module);
      std::optional<runtime::CudaGraphsScope> graphs;
      if (native)
        module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture);
      else
        graphs.emplace(runtime::enable_cudagraphs(module, {.verify_first_replay = true}));
      // Engines that record by themselves, and as many fallback segments that run as they are.
      const std::uint64_t recordings = broken && native ? 3 : 1, plain = broken && native ? 3 : 0;
      std::uint64_t changes = 0;
      for (const std::int64_t budget : {network.total(), std::int64_t{0}, network.total() / 2, network.total()}) {
        streaming.set_device_budget(budget);
        const auto before = module.stats();
        for (int i = 0; i < 3; ++i) {
          module.run(in, std::vector{y});
          EXPECT_EQ(host_values(y), want);
        }
        const auto after = module.stats();
        EXPECT_EQ(after.records - before.records, recordings);
        EXPECT_EQ(after.replays - before.replays, 3 * recordings);
        EXPECT_EQ(after.plain_enqueues - before.plain_enqueues, 3 * plain);
        EXPECT_EQ(records_by(after, "weight_budget"), recordings * changes++);
        EXPECT_EQ(after.streamed_bytes > before.streamed_bytes, budget < network.total());
        EXPECT_EQ(after.patched_addresses, before.patched_addresses);
      }
    }
  }
}

TEST(WeightStreaming, TheSameBudgetOnceMoreChangesNothing) {
  const Network network;
  const Module module = make(network);
  const auto graphs = runtime::enable_cudagraphs(module);
  auto streaming = weight_streaming(module);
  streaming.set_device_budget(network.total() / 2);
  (void)y_of(module, inputs_of(network, 2));
  streaming.set_device_budget(network.total() / 2);
  (void)y_of(module, inputs_of(network, 2));
  EXPECT_EQ(module.stats().records, 1u);
}

TEST(WeightStreaming, BoundCallsGoByTheBudgetOfTheirTime) {
  const Network network;
  const Module module = make(network);
  const auto in = inputs_of(network, 4);
  const auto want = y_of(module, in);
  const Tensor y = to_device(floats(std::vector<float>(want.size()), {4, network.width}));
  const auto graphs = runtime::enable_cudagraphs(module);
  auto scope = weight_streaming(module);
  const auto bound = module.bind(in, std::vector<Tensor>{y});
  for (const std::int64_t budget : {network.total(), std::int64_t{0}, network.total() / 2, std::int64_t{0}, network.total()}) {
    scope.set_device_budget(budget);
    for (int i = 0; i < 3; ++i) {
      const auto before = module.stats().streamed_bytes;
      bound();
      EXPECT_EQ(host_values(y), want);
      EXPECT_EQ(module.stats().streamed_bytes > before, budget < network.total());
    }
  }
}

TEST(WeightStreaming, ProfilesCommandsThatStream) {
  const Network network{.layers = 3};
  const Module module = make(network);
  auto scope = weight_streaming(module);
  scope.set_device_budget(0);
  const auto in = inputs_of(network, 2);
  EXPECT_EQ(module.profile(in, 1).size(), 6u);
  EXPECT_EQ(y_of(module, in), y_of(make(network), in));
}

TEST(WeightStreaming, ChangesWhileOtherThreadsCall) {
  const Network network;
  const Module module = make(network);
  std::vector<std::vector<float>> want;
  for (std::int64_t rows = 1; rows <= 4; ++rows) want.push_back(y_of(module, inputs_of(network, rows)));
  const auto graphs = runtime::enable_cudagraphs(module);
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0, calls = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t; !stop; ++i, ++calls) {
        const std::int64_t rows = 1 + i % 4;
        if (y_of(module, inputs_of(network, rows)) != want[static_cast<std::size_t>(rows - 1)]) ++wrong;
      }
    });
  }
  {
    auto scope = weight_streaming(module);
    const auto budgets = budgets_of(network);
    for (int i = 0; i < 60 || calls < 60; ++i) scope.set_device_budget(budgets[static_cast<std::size_t>(i * 5) % budgets.size()]);
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_FALSE(runtime::is_weight_streaming_set(module));
}

// ---- budgets ----

TEST(WeightStreaming, RestoresTheBudgetAtEntry) {
  const Network network;
  const Module module = make(network);
  const std::int64_t total = network.total();
  {
    auto outer = weight_streaming(module);
    EXPECT_EQ(outer.device_budget(), total);  // there is room for it
    EXPECT_EQ(outer.automatic_budget(), total);
    outer.set_device_budget(1000);
    try {
      auto inner = weight_streaming(module);
      EXPECT_EQ(inner.device_budget(), 1000);
      inner.set_device_budget(0);
      throw 0;
    } catch (int) {
    }
    EXPECT_EQ(outer.device_budget(), 1000);
  }
  auto scope = weight_streaming(module);
  EXPECT_EQ(scope.device_budget(), total);
}

TEST(WeightStreaming, TheNewestOpenScopeCounts) {
  const Module module = make({});
  auto first = weight_streaming(module);
  const std::int64_t total = first.device_budget();
  first.set_device_budget(1);
  auto second = weight_streaming(module);
  second.set_device_budget(2);
  first.close();
  EXPECT_EQ(second.device_budget(), 2);
  second.close();
  EXPECT_EQ(weight_streaming(module).device_budget(), total);
}

TEST(WeightStreaming, ErrorsAndWarnings) {
  const Module module = make({});
  auto scope = weight_streaming(module);
  const auto refused = [](WeightStreamingScope& s, std::int64_t bytes) { return message_of<InvalidArgument>([&] { s.set_device_budget(bytes); }); };
  EXPECT_NE(refused(scope, -1).find("Requested budget cannot be negative"), std::string::npos);
  EXPECT_EQ(scope.device_budget(), scope.total_device_budget());
  std::vector<std::string> warnings;
  set_log_callback([&](LogLevel level, std::string_view text) {
    if (level == LogLevel::warning) warnings.emplace_back(text);
  });
  scope.set_device_budget(scope.total_device_budget() + 1);
  set_log_callback({});
  EXPECT_EQ(scope.device_budget(), scope.total_device_budget());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("more than all weights need"), std::string::npos);

  const Module plain = make({.streams = false});
  auto nothing = weight_streaming(plain);
  EXPECT_EQ(nothing.total_device_budget(), 0);
  EXPECT_EQ(nothing.device_budget(), 0);
  EXPECT_FALSE(runtime::is_weight_streaming_set(plain));
  EXPECT_NE(refused(nothing, 5).find("Streamable bytes are zero. Was the module compiled with enable_weight_streaming=True?"), std::string::npos);
}

TEST(WeightStreaming, EnginesShareABudgetInProportion) {
  const Network network{.layers = 5, .broken = true};
  const Module module = make(network);
  auto scope = weight_streaming(module);
  for (const std::int64_t budget : {std::int64_t{0}, std::int64_t{1}, std::int64_t{12347}, network.total()}) {
    scope.set_device_budget(budget);
    const auto engines = scope.engine_budgets();
    ASSERT_EQ(engines.size(), 2u);
    EXPECT_EQ(engines[0].streamable_bytes, network.total() / 5 * 3);
    EXPECT_EQ(engines[0].budget_bytes + engines[1].budget_bytes, budget);
    for (const auto& engine : engines) {
      const double share = static_cast<double>(budget) * static_cast<double>(engine.streamable_bytes) / static_cast<double>(network.total());
      EXPECT_LE(std::abs(static_cast<double>(engine.budget_bytes) - share), 1);
    }
  }
}

}  // namespace
}  // namespace reprise::test
