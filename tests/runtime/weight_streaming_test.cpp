// Weights that pass through slots, on REPRISE_TEST_DEVICE (the CPU without it): whatever the budget, results are the same bits.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "kernels/kernel.h"
#include "reprise/log.h"
#include "reprise/runtime.h"
#include "runtime/call.h"
#include "runtime/faulty_device.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;
using runtime::weight_streaming;
using runtime::WeightStreamingScope;
using sym::Expr;

Device tested_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}
Tensor to_device(const Tensor& tensor) { return runtime::copy_to(tensor, tested_device()); }
std::vector<float> host_values(const Argument& argument) { return values(Argument(runtime::copy_to(std::get<Tensor>(argument), Device::cpu()))); }

core::Attrs add_program() {
  std::vector<Instr> code = {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = ScalarOp::add, .a = 0, .b = 1}};
  return {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32, DType::f32}, {}, std::move(code), {2}})}};
}

std::vector<float> numbers(std::int64_t count, unsigned seed) {
  std::vector<float> all(static_cast<std::size_t>(count));
  for (auto& value : all) value = static_cast<float>((seed = seed * 1664525u + 1013904223u) >> 16 & 255u) / 1024.0F - 0.125F;
  return all;
}

struct Network {
  std::int64_t width = 48;
  int layers = 6;
  bool streams = true, broken = false, dynamic = false, table = false;

  [[nodiscard]] std::int64_t matrix_bytes() const { return width * width * 4; }
  [[nodiscard]] std::int64_t total() const { return layers * (matrix_bytes() + width * 4) + (table ? 64 * width * 4 : 0); }

  /// x[s, width], ids[s] → layers of x · W + b; dynamic: what is not 0 is counted half way.
  [[nodiscard]] plan::PlanPtr plan() const {
    PlanMaker m;
    m.plan.settings.enable_weight_streaming = streams;
    const Expr s = m.symbol("s", 1, 8);
    Ref h = m.input("x", {s, width});
    if (broken) m.plan.segments.push_back({false, "in fallback_ops"});
    if (table) h = add_rows(m, h, s);
    for (int i = 0; i < layers; ++i) {
      h = add_layer(m, h, s, i);
      if (dynamic && i == layers / 2) count(m, h);
    }
    return m.finish();
  }

 private:
  Ref add_rows(PlanMaker& m, const Ref& h, const Expr& s) const {
    const Ref ids = m.input("ids", {s}, DType::i64), rows = m.temp({s, width}), sum = m.temp({s, width});
    Ref all = m.weight("table", numbers(64 * width, 99));
    all.sizes = {64, width};
    m.add(core::Op::index, {all, ids}, {rows}, {{"axes", std::vector<Expr>{0}}, {"position", Expr(0)}});
    m.add(core::Op::pointwise, {h, rows}, {sum}, add_program());
    return sum;
  }
  Ref add_layer(PlanMaker& m, const Ref& h, const Expr& s, int i) const {
    Ref w = m.weight("w" + std::to_string(i), numbers(width * width, static_cast<unsigned>(i)));
    w.sizes = {width, width};
    Ref b = m.weight("b" + std::to_string(i), numbers(width, 100u + static_cast<unsigned>(i)));
    b.sizes = {s, width};
    const bool last = i == layers - 1;
    const Ref product = m.temp({s, width}), sum = last ? m.output("y", {s, width}) : m.temp({s, width});
    const int segment = broken && i % 2 != 0 ? 1 : 0;
    m.add(core::Op::matmul, {h, w}, {product}, {{"has_bias", false}}).segment = segment;
    auto& add = m.add(core::Op::pointwise, {product, b}, {sum}, add_program());
    add.inputs[1].strides = {0, 1};
    add.segment = segment;
    return sum;
  }
  static void count(PlanMaker& m, const Ref& h) {
    const Expr u = m.symbol("u0", 0, 1 << 20, true);
    const Ref positions = m.output("positions", {u, 2}, DType::i64, sym::product(h.sizes) * 16), found = m.temp({1}, DType::i64);
    m.nonzero(h, positions, found, "u0");
  }
};

Module make(const Network& network) { return runtime::make_module(network.plan(), tested_device()); }

std::vector<Tensor> host_inputs_of(const Network& network, std::int64_t rows, unsigned seed = 7) {
  std::vector<Tensor> in = {floats(numbers(rows * network.width, seed), {rows, network.width})};
  if (!network.table) return in;
  Tensor ids = Tensor::empty(std::vector<std::int64_t>{rows}, DType::i64);
  for (std::int64_t i = 0; i < rows; ++i) ids.data_as<std::int64_t>()[i] = (i * 37 + seed) % 64;
  in.push_back(ids);
  return in;
}
std::vector<Tensor> inputs_of(const Network& network, std::int64_t rows, unsigned seed = 7) {
  std::vector<Tensor> in = host_inputs_of(network, rows, seed);
  for (Tensor& t : in) t = to_device(t);
  return in;
}
std::vector<float> y_of(const Module& module, const std::vector<Tensor>& in) { return host_values(call(module, in)[0]); }

std::uint64_t records_by(const ModuleStats& stats, const std::string& reason) {
  for (const auto& entry : stats.records_by)
    if (entry.reason == reason) return entry.count;
  return 0;
}

std::vector<std::int64_t> budgets_of(const Network& network) {
  const std::int64_t total = network.total();
  return {0, total / 40, total / 3, total / 2, total * 3 / 4, total - 1, total};
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

// ---- memory, on a device that has its own ----

struct Card {
  std::shared_ptr<FaultyDevice> device = std::make_shared<FaultyDevice>(true);
  [[nodiscard]] Module load(const Network& network) const { return runtime::make_module(network.plan(), device, kernels::make_reference_step); }
  [[nodiscard]] std::size_t held() const { return device->held(device::MemoryKind::device) + device->committed(); }
};

TEST(WeightStreaming, TheDeviceHoldsTheBudgetAndWhatCallsNeed) {
  const Network network{.width = 64, .layers = 20};
  const Card card;
  const Module module = card.load(network);
  const auto in = host_inputs_of(network, 8);
  const auto want = values(call(module, in)[0]);
  auto scope = weight_streaming(module);
  const auto slot = static_cast<std::size_t>(network.matrix_bytes());
  for (const std::int64_t budget : budgets_of(network)) {
    scope.set_device_budget(budget);
    EXPECT_EQ(values(call(module, in)[0]), want);
    const auto use = module.memory();
    const auto limit = static_cast<std::size_t>(budget);
    EXPECT_EQ(use.weight_bytes + use.pinned_bytes, static_cast<std::size_t>(network.total()));
    EXPECT_EQ(card.device->held(device::MemoryKind::pinned), use.pinned_bytes);
    EXPECT_EQ(card.held(), use.weight_bytes + use.slot_bytes + use.arena_committed_bytes);
    EXPECT_LE(use.weight_bytes, limit);
    EXPECT_LE(use.slot_bytes, 3 * slot + 4096);
    // Slots are part of a budget that has room for them; what is left of it is used, but for less than a weight.
    if (limit > 4 * slot) {
      EXPECT_LE(use.weight_bytes + use.slot_bytes, limit + 4096);
      EXPECT_TRUE(use.pinned_bytes == 0 || use.weight_bytes + use.slot_bytes + 2 * slot > limit);
    }
  }
  scope.set_device_budget(0);
  scope.close();
  (void)call(module, in);
  EXPECT_EQ(module.memory().pinned_bytes, 0u);
  EXPECT_EQ(module.memory().slot_bytes, 0u);
}

TEST(WeightStreaming, LoadingTakesWhatFits) {
  const Network network{.width = 64, .layers = 20};
  Card card;
  card.device->free_bytes = static_cast<std::size_t>(network.total()) / 2;
  const Module module = card.load(network);
  EXPECT_LT(card.device->held(device::MemoryKind::device), card.device->free_bytes);
  auto scope = weight_streaming(module);
  EXPECT_GT(scope.device_budget(), 0);
  EXPECT_LT(scope.device_budget(), network.total() / 2);
  EXPECT_EQ(values(call(module, host_inputs_of(network, 2))[0]), values(call(Card().load(network), host_inputs_of(network, 2))[0]));
}

TEST(WeightStreaming, ACallInFlightFinishesUnderItsBudget) {
  const Network network{.layers = 4};
  const Card card;
  const Module module = card.load(network);
  const auto in = host_inputs_of(network, 2);
  const auto want = values(call(module, in)[0]);
  std::vector<float> got;
  {
    const Tensor y = Tensor::empty(std::vector<std::int64_t>{2, network.width}, DType::f32);
    runtime::Call running(*module.impl(), std::span<const Tensor>(in));
    running.place(std::span(&y, 1));
    running.context().set_output(0, y.data());
    auto scope = weight_streaming(module);
    scope.set_device_budget(0);
    EXPECT_GE(card.device->held(device::MemoryKind::device), static_cast<std::size_t>(network.total()));  // still in use
    running.run();
    got = values(y);
    scope.close();
  }
  EXPECT_EQ(got, want);
  EXPECT_EQ(card.device->held(device::MemoryKind::device), static_cast<std::size_t>(network.total()));
  EXPECT_EQ(card.device->held(device::MemoryKind::pinned), 0u);
}

TEST(WeightStreaming, EnqueuedWorkKeepsItsWeights) {
  const Network network{.width = 96, .layers = 12};
  const Card card;
  const Module module = card.load(network);
  const auto in = host_inputs_of(network, 8);
  const auto want = values(call(module, in)[0]);
  const Stream stream(Device::cpu());
  std::vector<Tensor> results;
  {
    auto scope = weight_streaming(module);
    for (int i = 0; i < 12; ++i) {
      scope.set_device_budget(network.total() / 4 * (i % 5));
      results.push_back(Tensor::empty(std::vector<std::int64_t>{8, network.width}, DType::f32));
      module.enqueue(in, std::span(&results.back(), 1), stream);
    }
  }
  stream.synchronize();
  for (const Tensor& result : results) EXPECT_EQ(values(result), want);
  EXPECT_EQ(card.device->held(device::MemoryKind::device), static_cast<std::size_t>(network.total()));
  EXPECT_EQ(card.device->held(device::MemoryKind::pinned), 0u);
}

TEST(WeightStreaming, AHostBufferIsNotFreedBehindARecordedCopy) {
  const Network network{.layers = 4};
  const Card card;
  const Module module = card.load(network);
  const auto graphs = runtime::enable_cudagraphs(module);
  auto scope = weight_streaming(module);
  scope.set_device_budget(0);
  const auto in = host_inputs_of(network, 2);
  const auto want = values(call(module, in)[0]);
  {
    const Tensor y = Tensor::empty(std::vector<std::int64_t>{2, network.width}, DType::f32);
    runtime::Call running(*module.impl(), std::span<const Tensor>(in));
    running.place(std::span(&y, 1));
    running.context().set_output(0, y.data());
    scope.set_device_budget(network.total());
    EXPECT_EQ(card.device->held(device::MemoryKind::pinned), static_cast<std::size_t>(network.total()));
    running.run();
    EXPECT_EQ(values(y), want);
  }
  EXPECT_EQ(card.device->held(device::MemoryKind::pinned), 0u);
  EXPECT_EQ(values(call(module, in)[0]), want);
}

TEST(WeightStreaming, WhatDoesNotReachTheDeviceIsStreamed) {
  const Network network{.layers = 5};
  const Card card;
  const Module module = card.load(network);
  const auto in = host_inputs_of(network, 2);
  const auto want = values(call(module, in)[0]);
  auto scope = weight_streaming(module);
  for (int n = 1; n <= 10; ++n) {
    scope.set_device_budget(0);
    EXPECT_EQ(values(call(module, in)[0]), want);
    card.device->fail_at[FaultyDevice::allocation] = n;
    EXPECT_THROW(scope.set_device_budget(network.total()), OutOfMemory);
    EXPECT_EQ(card.device->held(device::MemoryKind::device), 0u) << "the failed attempt left something";
    EXPECT_EQ(values(call(module, in)[0]), want);
  }
  scope.set_device_budget(network.total());
  EXPECT_EQ(values(call(module, in)[0]), want);
}

// ---- memory, on a CPU ----

/// Of this process, in bytes: "RssAnon:", "RssFile:".
std::size_t resident(const std::string& kind) {
  std::ifstream status("/proc/self/status");
  for (std::string key, rest; status >> key && std::getline(status, rest);)
    if (key == kind) return std::strtoull(rest.c_str(), nullptr, 10) * 1024;
  return 0;
}

TEST(WeightStreaming, OnACpuWeightsOfAFileAreNotInMemory) {
  if (tested_device().type != DeviceType::cpu) GTEST_SKIP() << "of the host's memory";
  const Network network{.width = 1024, .layers = 10};  // 40 MiB
  const auto path = std::filesystem::temp_directory_path() / ("weight_streaming_" + std::to_string(::getpid()) + ".rpz");
  make(network).save(path);
  const auto in = inputs_of(network, 2);
  std::vector<float> want;
  {
    const Module module = Module::load(path);
    want = y_of(module, in);
    EXPECT_GE(resident("RssFile:") + resident("RssAnon:"), static_cast<std::size_t>(network.total()));
    auto scope = weight_streaming(module);
    scope.set_device_budget(0);
    const std::size_t file = resident("RssFile:"), anonymous = resident("RssAnon:");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(y_of(module, in), want);
    const std::size_t slack = std::size_t{REPRISE_TEST_SLACK_MIB} << 20;
    EXPECT_LE(resident("RssFile:"), file + slack);
    EXPECT_LE(resident("RssAnon:"), anonymous + module.memory().slot_bytes + slack);
    EXPECT_LE(module.memory().slot_bytes, static_cast<std::size_t>(3 * network.matrix_bytes()));
    scope.set_device_budget(network.total() / 2);
    EXPECT_EQ(y_of(module, in), want);
    EXPECT_LE(resident("RssFile:") + resident("RssAnon:"), file + anonymous + static_cast<std::size_t>(network.total()) / 2 + 2 * slack);
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace reprise::test
