// Several devices: virtual CPUs, and two GPUs that are stand-ins (support/fake_gpus.cpp) and count what is asked of them.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <unistd.h>

#include "device/cuda_library.h"
#include "device/offline.h"
#include "plan/rpz.h"
#include "reprise/log.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;
using runtime::current_device;
using runtime::MultiDeviceSafeModeScope;
using runtime::set_current_device;

[[maybe_unused]] const int kFakes = ::setenv("REPRISE_CUDA_LIBRARY", REPRISE_FAKE_GPUS, 1);

std::uint64_t uses(int gpu) { return device::cuda_function<std::uint64_t (*)(int)>("reprise_cuda_fake_uses")(gpu); }

core::Attrs add() {
  core::ScalarProgram program;
  program.inputs = {DType::f32, DType::f32};
  program.code = {Instr{.op = ScalarOp::input}, Instr{.op = ScalarOp::input, .imm_int = 1}, Instr{.op = ScalarOp::add, .a = 0, .b = 1}};
  program.outputs = {2};
  return {{"program", std::make_shared<const core::ScalarProgram>(program)}};
}

/// total += x; y = total + w; cache += w
plan::PlanPtr counter(Device device) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), cache = m.input("cache", {2}, DType::f32, true), total = m.state("total", {100, 200}), w = m.weight("w", {2, 3});
  const Ref y = m.output("y", {2});
  m.add(core::Op::pointwise, {total, x}, {total}, add());
  m.add(core::Op::pointwise, {total, w}, {y}, add());
  m.add(core::Op::pointwise, {cache, w}, {cache}, add());
  m.plan.settings.device = device;
  return m.finish();
}
using Floats = std::vector<float>;

Tensor on(Device device, const Floats& all) { return runtime::copy_to(floats(all), device); }
Floats read(const Argument& argument) { return values(runtime::copy_to(std::get<Tensor>(argument), Device::cpu())); }

/// In a file, for as long as this lives.
class Saved {
 public:
  explicit Saved(Device device) { plan::save(*counter(device), path()); }
  ~Saved() { std::filesystem::remove(path()); }
  [[nodiscard]] std::string path() const { return (std::filesystem::temp_directory_path() / ("reprise_devices_test" + std::to_string(::getpid()))).string(); }
};

std::vector<std::string> warnings;

class Devices : public testing::Test {
 protected:
  void SetUp() override {
    warnings.clear();
    set_log_callback([](LogLevel level, std::string_view text) {
      if (level == LogLevel::warning) warnings.emplace_back(text);
    });
    set_current_device(Device::cpu());
    set_current_device(Device::cuda());
  }
  void TearDown() override {
    set_log_callback({});
    EXPECT_FALSE(runtime::get_multi_device_safe_mode());
  }
};

TEST_F(Devices, LoadingAndCallingOnDevice1NeverTouchesDevice0) {
  const auto before = uses(0), before_1 = uses(1);
  const Saved saved(Device::cuda(0));
  const Module module = Module::load(saved.path(), {.device = Device::cuda(1)});
  EXPECT_EQ(module.device(), Device::cuda(1));
  const auto graphs = runtime::enable_cudagraphs(module);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(read(call(module, {floats({1, 2}), on(Device::cuda(1), {0, 0})})[0]), (Floats{103.F + static_cast<float>(i), 205.F + 2 * static_cast<float>(i)}));
  EXPECT_EQ(module.stats().replays, 3u);
  EXPECT_GT(uses(1), before_1);
  EXPECT_EQ(uses(0), before);
  const Module other = Module::load(saved.path());
  EXPECT_EQ(other.device(), Device::cuda(0));
  EXPECT_GT(uses(0), before);
}

TEST_F(Devices, TheDeviceOfAModuleIsCurrentInItsCallsAndTheCallersBehindThem) {
  struct Asks final : runtime::OutputAllocator {
    Device seen_cpu, seen_cuda;
    Tensor allocate(const runtime::OutputRequest& request) override {
      seen_cpu = current_device(DeviceType::cpu);
      seen_cuda = current_device(DeviceType::cuda);
      const std::int64_t sizes[] = {static_cast<std::int64_t>(request.bytes)};
      return runtime::empty(sizes, DType::u8, request.device);
    }
  };
  for (const Device device : {Device::cpu(3), Device::cuda(1), Device::cuda(0)}) {
    const Module module = runtime::make_module(counter(device));
    const auto allocator = std::make_shared<Asks>();
    const auto outputs = runtime::enable_output_allocator(module, allocator);
    set_current_device(Device::cpu(2));
    set_current_device(Device::cuda(1));
    for (const bool safe : {false, true}) {
      const MultiDeviceSafeModeScope scope(safe);
      (void)call(module, {on(device, {1, 2}), on(device, {0, 0})});
      EXPECT_EQ(device.type == DeviceType::cpu ? allocator->seen_cpu : allocator->seen_cuda, device);
      EXPECT_THROW((void)call(module, {on(device, {1}), on(device, {0, 0})}), ShapeError);
      EXPECT_EQ(current_device(DeviceType::cpu), Device::cpu(2));
      EXPECT_EQ(current_device(DeviceType::cuda), Device::cuda(1));
    }
    EXPECT_EQ(module.stats().device_switches, device == Device::cuda(1) ? 0u : 2u);
  }
}

TEST_F(Devices, TheCurrentDeviceIsTheThreadsOwn) {
  set_current_device(Device::cpu(5));
  std::thread([] {
    EXPECT_EQ(current_device(DeviceType::cpu), Device::cpu(0));
    set_current_device(Device::cpu(6));
  }).join();
  EXPECT_EQ(current_device(DeviceType::cpu), Device::cpu(5));
  EXPECT_THROW(set_current_device(Device::cpu(-1)), DeviceError);
  EXPECT_THROW(set_current_device(Device::cuda(7)), DeviceError);
}

TEST_F(Devices, OutOfSafeModeAnInputOnAnotherDeviceIsAnError) {
  const Module module = runtime::make_module(counter(Device::cpu(0)));
  EXPECT_EQ(message_of<InvalidArgument>([&] {
              (void)call(module, {on(Device::cpu(1), {1, 2}), floats({0, 0})});
            }),
            "[run/inputs] input 'x' is on the wrong device (got cpu:1, want cpu:0)");
  EXPECT_TRUE(warnings.empty());
}

TEST_F(Devices, SafeModeMovesInputsWithAWarning) {
  for (const Device device : {Device::cpu(0), Device::cuda(0), Device::cuda(1)}) {
    const Module module = runtime::make_module(counter(device));
    float calls = 0;
    for (const Device other : {Device::cpu(1), Device::cuda(0), Device::cuda(1)}) {
      if (other == device) continue;
      for (const bool strided : {false, true}) {
        const MultiDeviceSafeModeScope scope;
        const auto view = [&](const Tensor& wide) { return wide.as_strided(std::vector<std::int64_t>{2}, std::vector<std::int64_t>{strided ? 2 : 1}); };
        const Tensor cache_memory = on(other, {10, 20, 30});
        const Tensor x = view(on(other, strided ? Floats{1, -1, 2} : Floats{1, 2})), cache = view(cache_memory);
        ++calls;
        EXPECT_EQ(read(call(module, {x, cache})[0]), (Floats{100 + calls + 2, 200 + 2 * calls + 3}));
        EXPECT_EQ(read(cache_memory), strided ? (Floats{12, 20, 33}) : (Floats{12, 23, 30})) << "a mutated input is written where the caller has it";
      }
    }
    EXPECT_FALSE(runtime::get_multi_device_safe_mode());
  }
  ASSERT_FALSE(warnings.empty());
  EXPECT_EQ(warnings.front(), "[run/devices] input 'x' is moved from cpu:1 to cpu:0");
}

TEST_F(Devices, SafeModeCountsWhatItMoves) {
  const Module module = runtime::make_module(counter(Device::cpu(0)));
  const MultiDeviceSafeModeScope scope;
  (void)call(module, {on(Device::cpu(1), {1, 2}), floats({0, 0})});
  const auto stats = module.stats();
  ASSERT_EQ(stats.staged_by.size(), 1u);
  EXPECT_EQ(stats.staged_by[0].reason, "other_device");
  EXPECT_EQ(stats.staged_by[0].count, 1u);
}

TEST_F(Devices, SafeModeScopesNestAndTakeEffectAtOnce) {
  runtime::set_multi_device_safe_mode(true);
  EXPECT_TRUE(runtime::get_multi_device_safe_mode());
  {
    MultiDeviceSafeModeScope off(false);
    EXPECT_FALSE(runtime::get_multi_device_safe_mode());
    MultiDeviceSafeModeScope on;
    off.close();
    EXPECT_TRUE(runtime::get_multi_device_safe_mode());
    runtime::set_multi_device_safe_mode(false);
    EXPECT_FALSE(runtime::get_multi_device_safe_mode());
  }
  EXPECT_TRUE(runtime::get_multi_device_safe_mode());
  runtime::set_multi_device_safe_mode(false);
}

TEST_F(Devices, SafeModeLoadsOnACompatibleDevice) {
  const Saved saved(Device::cuda(5));
  EXPECT_THROW((void)Module::load(saved.path()), DeviceError);
  const MultiDeviceSafeModeScope scope;
  set_current_device(Device::cuda(1));
  EXPECT_EQ(Module::load(saved.path()).device(), Device::cuda(1));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0], "[run/devices] there is no cuda:5: the module is loaded on cuda:1");
}

TEST_F(Devices, AModuleOfADeviceThatIsNotHereHasNoCompatibleOne) {
  const auto offline = std::make_shared<device::OfflineDevice>(Device::cuda(), "sm_90a");
  const Module module = runtime::make_module(counter(Device::cuda()), offline);
  const MultiDeviceSafeModeScope scope;
  EXPECT_EQ(message_of<DeviceError>([&] {
              (void)call(module, {floats({1, 2}), floats({0, 0})});
            }),
            "[run/devices] no compatible device was found for a module of cuda:0: it is for sm_90a, not on this machine");
}

TEST_F(Devices, AReplicaSharesWeightsAndHasAStateOfItsOwn) {
  const Saved saved(Device::cpu());
  Module module = Module::load(saved.path());
  module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture);
  (void)call(module, {floats({1, 1}), floats({0, 0})});
  const Module replica = module.to(Device::cpu(1));
  EXPECT_EQ(replica.device(), Device::cpu(1));
  EXPECT_EQ(replica.cuda_graph_strategy(), CudaGraphStrategy::whole_graph_capture);
  EXPECT_EQ(replica.impl()->plan, module.impl()->plan);
  const auto weight = [](const Module& m) { return m.impl()->executable->weight_bindings(); };
  EXPECT_TRUE(std::equal(weight(module).begin(), weight(module).end(), weight(replica).begin(), weight(replica).end()));
  EXPECT_EQ(read(call(replica, {on(Device::cpu(1), {1, 1}), on(Device::cpu(1), {0, 0})})[0]), (Floats{103, 204}));
  EXPECT_EQ(read(call(module, {floats({1, 1}), floats({0, 0})})[0]), (Floats{104, 205}));
}

/// y = x + w, without state
Module adder(Device device) {
  PlanMaker m;
  const sym::Expr n = m.symbol("n", 0, 64);
  const Ref x = m.input("x", {n, 2}), w = m.weight("w", {2, 3}), y = m.output("y", {n, 2});
  m.add(core::Op::pointwise, {x, {w.buffer, DType::f32, {n, 2}}}, {y}, add());
  m.plan.blocks[0].commands[0].inputs[1].strides = {0, 1};
  return runtime::make_module(m.finish(), device);
}
Tensor rows(const Floats& all) { return floats(all, {static_cast<std::int64_t>(all.size()) / 2, 2}); }

TEST_F(Devices, NonContiguousInputsWhoseTemporaryDies) {
  const Module module = adder(Device::cuda());
  for (const bool recorded : {false, true}) {
    runtime::set_cudagraphs_mode(recorded);
    for (float i = 0; i < 3; ++i) {
      const Tensor wide = rows({i, 1, -1, -1, 2, 3, -1, -1});
      const Tensor x = wide.as_strided(std::vector<std::int64_t>{2, 2}, std::vector<std::int64_t>{4, 1});
      EXPECT_EQ(read(call(module, {x})[0]), (Floats{i + 2, 4, 4, 6}));
    }
    runtime::set_cudagraphs_mode(false);
  }
}

TEST_F(Devices, ACallFromAStreamThenOneFromTheDefaultOne) {
  const Module module = adder(Device::cuda());
  const Stream stream(Device::cuda());
  for (const bool recorded : {false, true}) {
    runtime::set_cudagraphs_mode(recorded);
    for (float i = 0; i < 5; ++i) {
      const Tensor x = rows({i, 1, 2, 3}), y = runtime::copy_to(rows({0, 0, 0, 0}), Device::cuda());
      module.enqueue(std::vector<Tensor>{x}, std::vector<Tensor>{y}, stream);
      EXPECT_EQ(read(call(module, {rows({7, 7, 7, i})})[0]), (Floats{9, 10, 9, i + 3}));
      stream.synchronize();
      EXPECT_EQ(read(y), (Floats{i + 2, 4, 4, 6}));
    }
    runtime::set_cudagraphs_mode(false);
  }
}

TEST_F(Devices, AThousandCallsWithEmptyInputsTakeNoMemory) {
  for (const Device device : {Device::cpu(), Device::cuda()}) {
    const Module module = adder(device);
    const auto graphs = runtime::enable_cudagraphs(module);
    const Tensor none = Tensor::empty(std::vector<std::int64_t>{0, 2}, DType::f32);
    (void)call(module, {none});
    const auto before = module.stats();
    const auto memory = module.memory();
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(std::get<Tensor>(call(module, {none})[0]).numel(), 0);
    const auto after = module.stats();
    EXPECT_EQ(after.contexts, 1u);
    EXPECT_EQ(after.shapes_held, 1u);
    EXPECT_EQ(after.records, 1u);
    EXPECT_EQ(after.memory_growths, before.memory_growths);
    EXPECT_EQ(module.memory().arena_reserved_bytes, memory.arena_reserved_bytes);
    EXPECT_EQ(module.memory().arena_committed_bytes, memory.arena_committed_bytes);
  }
}

TEST_F(Devices, EightThreadsOnTwoDevices) {
  for (const auto& pair : {std::pair(Device::cpu(0), Device::cpu(1)), std::pair(Device::cuda(0), Device::cuda(1))}) {
    const Module first = runtime::make_module(counter(pair.first)), second = first.to(pair.second);
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        const Module& module = t % 2 == 0 ? first : second;
        const Device device = module.device();
        for (int i = 0; i < 50; ++i) {
          const Tensor cache = on(device, {static_cast<float>(t), static_cast<float>(i)});
          wrong += read(call(module, {on(device, {1, 0}), cache})[0])[1] != 203;
          wrong += read(cache) != Floats{static_cast<float>(t) + 2, static_cast<float>(i) + 3};
          wrong += current_device(device.type).index != 0;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
    for (const Module& module : {first, second}) EXPECT_EQ(values(runtime::copy_to(module.state("total"), Device::cpu()))[0], 300);
  }
}

}  // namespace
}  // namespace reprise::test
