// What modules whose weights are streamed hold: on a card that the CPU plays, on a CPU, and what a GPU's driver counts.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "exec/weight_blocks.h"
#include "kernels/kernel.h"
#include "reprise/runtime.h"
#include "runtime/call.h"
#include "runtime/streamed_network.h"
#include "support/faulty_device.h"

namespace reprise::test {
namespace {

using runtime::weight_streaming;

// ---- memory, on a device that has its own ----

constexpr std::size_t kBlock = exec::WeightBlock::kBytes;

/// Matrices of 1 to 5 MiB, 14.5 MiB a round.
struct Uneven {
  int rounds = 5;

  [[nodiscard]] std::int64_t total() const { return rounds * (std::int64_t{29} << 19); }
  [[nodiscard]] plan::PlanPtr plan() const {
    PlanMaker m;
    m.plan.settings.enable_weight_streaming = true;
    Ref h = m.input("x", {2, kWidths[0]});
    for (int i = 0; i < rounds * kMatrices; ++i) {
      const std::int64_t from = kWidths[i % kMatrices], to = kWidths[(i + 1) % kMatrices];
      Ref w = m.weight("w" + std::to_string(i), numbers(from * to, static_cast<unsigned>(i)));
      w.sizes = {from, to};
      const Ref product = i == rounds * kMatrices - 1 ? m.output("y", {2, to}) : m.temp({2, to});
      m.add(core::Op::matmul, {h, w}, {product}, {{"has_bias", false}});
      h = product;
    }
    return m.finish();
  }
  [[nodiscard]] static Tensor input() { return floats(numbers(2 * kWidths[0], 7), {2, kWidths[0]}); }

 private:
  static constexpr int kMatrices = 5;
  static constexpr std::int64_t kWidths[kMatrices] = {512, 512, 1024, 1024, 1280};
};

std::size_t in_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

/// What all weights of a network take of a block: less than one.
std::size_t block_of(const Network& network) {
  const auto room = [](std::int64_t bytes) { return exec::room_for_weight(static_cast<std::size_t>(bytes)); };
  return in_pages(static_cast<std::size_t>(network.layers) * (room(network.matrix_bytes()) + room(network.width * 4)));
}

struct Card {
  std::shared_ptr<FaultyDevice> device = std::make_shared<FaultyDevice>(true);
  template <class T>
  [[nodiscard]] Module load(const T& network) const {
    return runtime::make_module(network.plan(), device, kernels::make_reference_step);
  }
  /// Of what the device holds, what is neither for activations nor for slots.
  [[nodiscard]] std::size_t weights(const Module& module) const {
    const auto use = module.memory();
    return device->held() - use.arena_committed_bytes - use.slot_bytes;
  }
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
    EXPECT_EQ(card.weights(module), in_pages(use.weight_bytes));  // their sizes are multiples of 256
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
  EXPECT_LT(card.device->held(), card.device->free_bytes);
  EXPECT_GE(card.device->held(), module.memory().weight_bytes);
  auto scope = weight_streaming(module);
  EXPECT_GT(scope.device_budget(), 0);
  EXPECT_LT(scope.device_budget(), network.total() / 2);
  EXPECT_EQ(values(call(module, host_inputs_of(network, 2))[0]), values(call(Card().load(network), host_inputs_of(network, 2))[0]));
}

TEST(WeightStreaming, ACallInFlightFinishesUnderItsBudget) {
  const Network network{.layers = 4};
  const auto total = static_cast<std::size_t>(network.total());
  for (const std::size_t budget : {std::size_t{0}, total / 2}) {
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
      scope.set_device_budget(static_cast<std::int64_t>(budget));
      EXPECT_GE(card.weights(module), total + module.memory().weight_bytes);  // the old ones are still in use
      running.run();
      got = values(y);
      scope.close();
    }
    EXPECT_EQ(got, want);
    EXPECT_EQ(card.weights(module), block_of(network));
    EXPECT_EQ(card.device->held(device::MemoryKind::pinned), 0u);
  }
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
      scope.set_device_budget(network.total() / 4 * (i * 3 % 5));
      results.push_back(Tensor::empty(std::vector<std::int64_t>{8, network.width}, DType::f32));
      module.enqueue(in, std::span(&results.back(), 1), stream);
    }
  }
  stream.synchronize();
  for (const Tensor& result : results) EXPECT_EQ(values(result), want);
  EXPECT_EQ(card.weights(module), block_of(network));
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

/// A change of the budget runs out of memory at every occasion that there is for it. Returns how many there were.
template <class Check>
int fail_everywhere(const Card& card, const Module& module, runtime::WeightStreamingScope& scope, std::pair<std::int64_t, std::int64_t> change,
                    FaultyDevice::Operation operation, const Check& check) {
  for (int n = 1;; ++n) {
    scope.set_device_budget(change.first);
    check(nullptr);
    const std::size_t before = card.weights(module);
    card.device->fail_at[operation] = n;
    try {
      scope.set_device_budget(change.second);
      card.device->fail_at[operation] = 0;
      return n - 1;
    } catch (const OutOfMemory&) {
      check(&before);
    }
  }
}

TEST(WeightStreaming, WhatDoesNotReachTheDeviceIsStreamed) {
  const Network network{.layers = 5};
  const Card card;
  const Module module = card.load(network);
  const auto in = host_inputs_of(network, 2);
  const auto want = values(call(module, in)[0]);
  const auto check = [&](const std::size_t* before) {
    EXPECT_TRUE(before == nullptr || card.weights(module) == *before) << "the failed attempt left something";
    EXPECT_EQ(values(call(module, in)[0]), want);
  };
  auto scope = weight_streaming(module);
  const std::int64_t all = network.total();
  EXPECT_EQ(fail_everywhere(card, module, scope, {0, all}, FaultyDevice::allocation, check), 1);  // the block
  EXPECT_GE(fail_everywhere(card, module, scope, {0, all}, FaultyDevice::commit, check), 5);
  EXPECT_GE(fail_everywhere(card, module, scope, {all / 2, all}, FaultyDevice::commit, check), 2);
  EXPECT_EQ(card.weights(module), block_of(network));
  EXPECT_EQ(values(call(module, in)[0]), want);
}

TEST(WeightStreaming, BlocksThatCouldNotBeEmptiedAreTriedAgain) {
  const Network network{.layers = 9};
  const Card card;
  const Module module = card.load(network);
  const auto in = host_inputs_of(network, 2);
  const auto want = values(call(module, in)[0]);
  auto scope = weight_streaming(module);
  scope.set_device_budget(network.total() / 2);
  (void)call(module, in);
  const std::size_t half = card.weights(module);
  const auto check = [&](const std::size_t* before) {
    EXPECT_EQ(values(call(module, in)[0]), want);
    if (before == nullptr) return;
    EXPECT_EQ(card.weights(module), block_of(network)) << "what stays lies where it did";
    scope.set_device_budget(network.total() / 2);
    EXPECT_EQ(values(call(module, in)[0]), want);
    EXPECT_EQ(card.weights(module), half);
  };
  // A page of the new block for each of its weights; the rest of them are pinned copies of what leaves.
  EXPECT_GE(fail_everywhere(card, module, scope, {network.total(), network.total() / 2}, FaultyDevice::commit, check), 3);
}

TEST(WeightStreaming, MemoryFollowsTheBudget) {
  const Uneven network{.rounds = 8};
  const Card card;
  const Module module = card.load(network);
  const std::vector<Tensor> in = {Uneven::input()};
  const auto want = values(call(module, in)[0]);
  auto scope = weight_streaming(module);
  const std::int64_t all = network.total();
  ASSERT_EQ(scope.total_device_budget(), all);
  ASSERT_GT(static_cast<std::size_t>(all), 3 * kBlock);
  EXPECT_EQ(card.weights(module), static_cast<std::size_t>(all));  // every size is a multiple of a page
  for (const std::int64_t budget : {all / 2, all / 4, all / 2, std::int64_t{0}, all, all / 3 * 2, all / 3}) {
    const std::size_t before = card.device->held();
    (void)card.device->take_peak();
    scope.set_device_budget(budget);
    const std::size_t peak = card.device->take_peak(), weights = module.memory().weight_bytes;
    EXPECT_EQ(card.weights(module), weights) << "holes stay";
    EXPECT_LE(peak, std::max(before, card.device->held()) + kBlock);
    EXPECT_LE(weights, static_cast<std::size_t>(budget));
    EXPECT_EQ(values(call(module, in)[0]), want);
    EXPECT_EQ(card.weights(module), weights);
  }
}

TEST(WeightStreaming, BlocksAreEmptiedWhileOtherThreadsCall) {
  const Network network;
  const Card card;
  const Module module = card.load(network);
  const auto in = host_inputs_of(network, 3);
  const auto want = values(call(module, in)[0]);
  const auto graphs = runtime::enable_cudagraphs(module);
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0, calls = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (; !stop; ++calls)
        if (values(call(module, in)[0]) != want) ++wrong;
    });
  }
  {
    auto scope = weight_streaming(module);
    for (int i = 0; i < 60 || calls < 60; ++i) scope.set_device_budget(network.total() / 6 * (i * 5 % 7));
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(card.weights(module), block_of(network));
}

TEST(WeightStreaming, OnAGpuTheDriverCountsTheBudget) {
  if (tested_device().type != DeviceType::cuda) GTEST_SKIP() << "of a GPU's memory";
  const Uneven network;  // 72.5 MiB
  const Module module = runtime::make_module(network.plan(), tested_device());
  const std::vector<Tensor> in = {to_device(Uneven::input())};
  const auto want = y_of(module, in);
  auto scope = weight_streaming(module);
  const auto device = device::open(tested_device());
  const auto held_at = [&](std::int64_t budget) {
    scope.set_device_budget(budget);
    EXPECT_EQ(y_of(module, in), want);
    const auto size = device->memory_size();
    return static_cast<std::int64_t>(size.total_bytes - size.free_bytes);
  };
  const std::int64_t all = network.total(), others = std::int64_t{4} << 20, page = std::int64_t{2} << 20;
  for (const std::int64_t budget : {all, all / 2, std::int64_t{0}}) (void)held_at(budget);  // kernels take memory too
  const std::int64_t nothing = held_at(0), slots = static_cast<std::int64_t>(module.memory().slot_bytes);
  for (const std::int64_t budget : {all, all / 2, all / 4, all / 2, std::int64_t{0}, all, all / 3}) {
    const std::int64_t grown = held_at(budget) - nothing;
    const auto use = module.memory();
    const auto weights = static_cast<std::int64_t>(use.weight_bytes), now = static_cast<std::int64_t>(use.slot_bytes);
    const std::int64_t blocks = weights / static_cast<std::int64_t>(kBlock / 2) + 1;
    EXPECT_LE(weights, budget);
    EXPECT_LE(grown + slots, weights + now + blocks * page + others) << "under " << budget << " bytes";
    EXPECT_GE(grown + slots, weights + now - others) << "under " << budget << " bytes";
  }
}

// ---- memory, on a CPU ----

/// Of this process, in bytes: "RssAnon:", "RssFile:".
std::size_t resident(const std::string& kind) {
  std::ifstream status("/proc/self/status");
  for (std::string key, rest; status >> key && std::getline(status, rest);)
    if (key == kind) return std::strtoull(rest.c_str(), nullptr, 10) * 1024;
  return 0;
}

class WeightStreamingOfAFile : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(PackedOrNot, WeightStreamingOfAFile, testing::Bool());

TEST_P(WeightStreamingOfAFile, OnACpuIsNotInMemory) {
  if (tested_device().type != DeviceType::cpu) GTEST_SKIP() << "of the host's memory";
  const Network network{.width = 1024, .layers = 10, .packed = GetParam()};  // 40 MiB
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
