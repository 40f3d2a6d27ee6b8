// Two real GPUs, where there are two.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "device/current.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;

class TwoGpus : public testing::Test {
 protected:
  void SetUp() override {
    const int gpus = device::count(DeviceType::cuda);
    if (gpus < 2) GTEST_SKIP() << "this machine has " << gpus << " CUDA GPUs, not two";
    runtime::set_current_device(Device::cuda(0));
  }
};

/// y = x + w
plan::PlanPtr adder(Device device) {
  core::ScalarProgram program;
  program.inputs = {DType::f32, DType::f32};
  program.code = {Instr{.op = ScalarOp::input}, Instr{.op = ScalarOp::input, .imm_int = 1}, Instr{.op = ScalarOp::add, .a = 0, .b = 1}};
  program.outputs = {2};
  PlanMaker m;
  const Ref x = m.input("x", {4}), w = m.weight("w", {1, 2, 3, 4}), y = m.output("y", {4});
  m.add(core::Op::pointwise, {x, w}, {y}, {{"program", std::make_shared<const core::ScalarProgram>(program)}});
  m.plan.settings.device = device;
  return m.finish();
}
std::vector<float> read(const Argument& argument) { return values(runtime::copy_to(std::get<Tensor>(argument), Device::cpu())); }
const std::vector<float> kWant = {2, 4, 6, 8};
Tensor input_on(Device device) { return runtime::copy_to(floats({1, 2, 3, 4}), device); }

TEST_F(TwoGpus, ThreadsCallReplicasOnBothAndKeepTheirOwnDevice) {
  const Module first = runtime::make_module(adder(Device::cuda(0))), second = first.to(Device::cuda(1));
  const auto graphs = runtime::enable_cudagraphs(first), more_graphs = runtime::enable_cudagraphs(second);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      runtime::set_current_device(Device::cuda(t / 4));
      const Module& module = t % 2 == 0 ? first : second;
      for (int i = 0; i < 100; ++i) {
        wrong += read(call(module, {input_on(module.device())})[0]) != kWant;
        wrong += runtime::current_device(DeviceType::cuda) != Device::cuda(t / 4);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(second.stats().replays, 0u);
}

TEST_F(TwoGpus, SafeModeMovesInputs) {
  const Module module = runtime::make_module(adder(Device::cuda(1)));
  EXPECT_THROW((void)call(module, {input_on(Device::cuda(0))}), InvalidArgument);
  const runtime::MultiDeviceSafeModeScope safe;
  EXPECT_EQ(read(call(module, {input_on(Device::cuda(0))})[0]), kWant);
  EXPECT_EQ(module.stats().device_switches, 1u);
  EXPECT_EQ(runtime::current_device(DeviceType::cuda), Device::cuda(0));
}

}  // namespace
}  // namespace reprise::test
