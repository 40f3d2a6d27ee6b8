// Modules with the device's own kernels, on REPRISE_TEST_DEVICE (the CPU without it): what lies between the caller's tensors and the kernels.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;
using sym::Expr;

Device tested_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}

core::Attrs program(std::vector<DType> inputs, std::vector<Instr> code) {
  const int last = static_cast<int>(code.size()) - 1;
  return {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{std::move(inputs), {}, std::move(code), {last}})}};
}

/// relu((x + 2) * 0.5)
core::Attrs relu_program() {
  return program({DType::f32}, {{.op = ScalarOp::input},
                                {.op = ScalarOp::constant, .imm_real = 2},
                                {.op = ScalarOp::add, .a = 0, .b = 1},
                                {.op = ScalarOp::constant, .imm_real = 0.5},
                                {.op = ScalarOp::mul, .a = 2, .b = 3},
                                {.op = ScalarOp::constant, .imm_real = 0},
                                {.op = ScalarOp::maximum, .a = 4, .b = 5}});
}
float relu(float x) { return std::max((x + 2) * 0.5F, 0.0F); }

core::Attrs add_program() {
  return program({DType::f32, DType::f32}, {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = ScalarOp::add, .a = 0, .b = 1}});
}

std::vector<float> counted(std::int64_t n, float start = -5) {
  std::vector<float> all(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = start + static_cast<float>(i) * 0.25F;
  return all;
}
template <class F>
std::vector<float> mapped(std::vector<float> all, F f) {
  for (float& v : all) v = f(v);
  return all;
}

Tensor to_device(const Tensor& tensor) { return runtime::copy_to(tensor, tested_device()); }
std::vector<float> host_values(const Argument& argument) { return values(Argument(runtime::copy_to(std::get<Tensor>(argument), Device::cpu()))); }

Module module_on_device(PlanMaker& m) { return runtime::make_module(m.finish(), tested_device()); }

/// Each test with and without recordings.
class DeviceModule : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override { runtime::set_cudagraphs_mode(GetParam()); }
  void TearDown() override { runtime::set_cudagraphs_mode(false); }
};

/// y = relu(..x..) of any length.
Module relu_module() {
  PlanMaker m;
  const Expr s = m.symbol("s", 0, 1 << 20);
  const Ref x = m.input("x", {s}), y = m.output("y", {s});
  m.add(core::Op::pointwise, {x}, {y}, relu_program());
  return module_on_device(m);
}

TEST_P(DeviceModule, ManyShapesAndTheirResultsSurvive) {
  const Module module = relu_module();
  std::vector<std::pair<std::int64_t, Argument>> kept;
  for (int round = 0; round < 3; ++round)
    for (const std::int64_t n : {1000, 3, 0, 70000, 1000}) kept.emplace_back(n, call(module, {to_device(floats(counted(n, static_cast<float>(-round))))})[0]);
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(host_values(kept[i].second), mapped(counted(kept[i].first, -static_cast<float>(i / 5)), relu)) << i;
}

TEST_P(DeviceModule, InputsOnTheHost) {
  const Module module = relu_module();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(host_values(call(module, {floats(counted(100))})[0]), mapped(counted(100), relu));
  const Tensor every_other = floats(counted(100)).as_strided(std::vector<std::int64_t>{50}, std::vector<std::int64_t>{2});
  const auto got = host_values(call(module, {every_other})[0]);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(got[i], relu(counted(100)[2 * i]));
}

TEST_P(DeviceModule, InputsThatAreStridedOrUnaligned) {
  const Module module = relu_module();
  const Tensor all = to_device(floats(counted(301)));
  for (int round = 0; round < 2; ++round) {
    for (const std::int64_t offset : {0, 1, 2, 3, 4}) {
      const Tensor shifted = all.as_strided(std::vector<std::int64_t>{256}, std::vector<std::int64_t>{1}, offset);
      const auto got = host_values(call(module, {shifted})[0]);
      for (std::size_t i = 0; i < 256; ++i) ASSERT_EQ(got[i], relu(counted(301)[i + static_cast<std::size_t>(offset)])) << offset;
    }
    const Tensor third = all.as_strided(std::vector<std::int64_t>{100}, std::vector<std::int64_t>{3}, 1);
    const auto got = host_values(call(module, {third})[0]);
    for (std::size_t i = 0; i < 100; ++i) ASSERT_EQ(got[i], relu(counted(301)[3 * i + 1]));
  }
}

TEST_P(DeviceModule, OutputsOfTheCallerWhereverTheyLie) {
  const Module module = relu_module();
  const Tensor x = to_device(floats(counted(64))), y = to_device(floats(std::vector<float>(300, 7)));
  for (int round = 0; round < 2; ++round) {
    for (const std::int64_t offset : {64, 1, 130}) {
      const Tensor part = y.as_strided(std::vector<std::int64_t>{64}, std::vector<std::int64_t>{1}, offset);
      module.run(std::vector<Tensor>{x}, std::vector<Tensor>{part});
      EXPECT_EQ(host_values(Argument(part)), mapped(counted(64), relu));
    }
  }
  EXPECT_EQ(host_values(Argument(y)).front(), 7);
  EXPECT_EQ(host_values(Argument(y)).back(), 7);
}

TEST_P(DeviceModule, AnOutputMayLieOnAnInput) {
  const Module module = relu_module();
  const Tensor x = to_device(floats(counted(1000)));
  module.run(std::vector<Tensor>{x}, std::vector<Tensor>{x});
  EXPECT_EQ(host_values(Argument(x)), mapped(counted(1000), relu));
  module.run(std::vector<Tensor>{x}, std::vector<Tensor>{x});
  EXPECT_EQ(host_values(Argument(x)), mapped(mapped(counted(1000), relu), relu));
}

TEST_P(DeviceModule, StateLivesOnTheDevice) {
  PlanMaker m;
  const Ref x = m.input("x", {4}), total = m.state("total", {1, 2, 3, 4}), y = m.output("y", {4}), w = m.weight("w", {10, 20, 30, 40}), t = m.temp({4});
  m.add(core::Op::pointwise, {x, w}, {t}, add_program());
  m.add(core::Op::pointwise, {total, t}, {total}, add_program());
  m.add(core::Op::copy, {total}, {y});
  Module module = module_on_device(m);
  const Tensor one = to_device(floats({1, 1, 1, 1}));
  EXPECT_EQ(host_values(call(module, {one})[0]), (std::vector<float>{12, 23, 34, 45}));
  EXPECT_EQ(host_values(call(module, {one})[0]), (std::vector<float>{23, 44, 65, 86}));
  EXPECT_EQ(host_values(Argument(module.state("total"))), (std::vector<float>{23, 44, 65, 86}));
  module.set_state("total", floats({0, 0, 0, 0}));
  EXPECT_EQ(host_values(call(module, {one})[0]), (std::vector<float>{11, 21, 31, 41}));
  module.reset_state();
  EXPECT_EQ(host_values(call(module, {one})[0]), (std::vector<float>{12, 23, 34, 45}));
}

TEST_P(DeviceModule, MutatedInputsAreWrittenWhereverTheyAre) {
  PlanMaker m;
  const Ref x = m.input("x", {4}, DType::f32, true), y = m.output("y", {4});
  m.add(core::Op::pointwise, {x, x}, {x}, add_program());
  m.add(core::Op::copy, {x}, {y});
  const Module module = module_on_device(m);
  const Tensor there = to_device(floats({1, 2, 3, 4})), here = floats({1, 2, 3, 4});
  const Tensor strided = floats({1, 0, 2, 0, 3, 0, 4, 0}).as_strided(std::vector<std::int64_t>{4}, std::vector<std::int64_t>{2});
  for (const float factor : {2.0F, 4.0F}) {
    const std::vector<float> want = {1 * factor, 2 * factor, 3 * factor, 4 * factor};
    for (const Tensor& input : {there, here, strided}) {
      EXPECT_EQ(host_values(call(module, {input})[0]), want);
      EXPECT_EQ(host_values(Argument(input)), want);
    }
  }
}

TEST_P(DeviceModule, NumbersFromDataSteerTheCall) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), limit = m.weight("limit", {3}), y = m.output("y", {1}), pred = m.temp({}, DType::boolean);
  const int then_block = m.block(), else_block = m.block();
  const Ref flat_x{x.buffer, DType::f32, {}}, flat_limit{limit.buffer, DType::f32, {}};
  m.add(core::Op::pointwise, {flat_x, flat_limit}, {pred},
        program({DType::f32, DType::f32},
                {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = ScalarOp::lt, .type = DType::boolean, .a = 0, .b = 1}}));
  m.cond(pred, {y}, then_block, else_block);
  m.add(core::Op::pointwise, {x}, {y}, relu_program(), then_block);
  m.add(core::Op::pointwise, {x, limit}, {y}, add_program(), else_block);
  const Module module = module_on_device(m);
  for (int round = 0; round < 2; ++round)
    for (const float v : {1.0F, 5.0F, -8.0F}) EXPECT_EQ(host_values(call(module, {to_device(floats({v}))})[0])[0], v < 3 ? relu(v) : v + 3);
}

TEST_P(DeviceModule, ErrorsInTheDataLeaveTheModuleUsable) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), zero = m.weight("zero", {0}), y = m.output("y", {1}), good = m.temp({}, DType::boolean);
  const Ref flat_x{x.buffer, DType::f32, {}}, flat_zero{zero.buffer, DType::f32, {}};
  m.add(core::Op::pointwise, {flat_x, flat_zero}, {good},
        program({DType::f32, DType::f32},
                {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = ScalarOp::ge, .type = DType::boolean, .a = 0, .b = 1}}));
  m.add(core::Op::check, {good}, {}, {{"message", std::string("x must not be negative")}});
  m.add(core::Op::pointwise, {x}, {y}, relu_program());
  const Module module = module_on_device(m);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(host_values(call(module, {to_device(floats({2}))})[0])[0], 2);
    const auto message = message_of<ShapeError>([&] { (void)call(module, {to_device(floats({-1}))}); });
    EXPECT_NE(message.find("x must not be negative"), std::string::npos) << message;
  }
}

TEST_P(DeviceModule, ManyThreadsAtOnce) {
  const Module module = relu_module();
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::int64_t n = 100 + 37 * ((i + t) % 3);
        const auto start = static_cast<float>(t);
        wrong += host_values(call(module, {to_device(floats(counted(n, start)))})[0]) != mapped(counted(n, start), relu);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(DeviceModule, CallsThatDoNotWaitKeepTheirOrder) {
  const Module module = relu_module();
  const Stream stream(tested_device());
  const std::int64_t n = 100000;
  const Tensor x = to_device(floats(counted(n))), y = to_device(floats(counted(n))), z = to_device(floats(counted(n)));
  for (int i = 0; i < 20; ++i) {
    module.enqueue(std::vector<Tensor>{x}, std::vector<Tensor>{y}, stream);
    module.enqueue(std::vector<Tensor>{y}, std::vector<Tensor>{z}, stream);
    module.enqueue(std::vector<Tensor>{z}, std::vector<Tensor>{y}, stream);
  }
  stream.synchronize();
  EXPECT_TRUE(stream.query());
  EXPECT_EQ(host_values(Argument(y)), mapped(mapped(mapped(counted(n), relu), relu), relu));
}

TEST_P(DeviceModule, CallsInManyStreams) {
  const Module module = relu_module();
  std::vector<Tensor> inputs, outputs;
  std::vector<Stream> streams;
  for (int i = 0; i < 6; ++i) {
    inputs.push_back(to_device(floats(counted(5000 + 100 * i, static_cast<float>(i)))));
    outputs.push_back(to_device(floats(counted(5000 + 100 * i))));
    streams.emplace_back(tested_device());
  }
  for (int round = 0; round < 20; ++round)
    for (std::size_t i = 0; i < inputs.size(); ++i)
      module.enqueue(std::vector<Tensor>{inputs[i]}, std::vector<Tensor>{outputs[i]}, streams[(i + static_cast<std::size_t>(round)) % 6]);
  for (const Stream& stream : streams) stream.synchronize();
  for (std::size_t i = 0; i < inputs.size(); ++i) EXPECT_EQ(host_values(Argument(outputs[i])), mapped(host_values(Argument(inputs[i])), relu));
  EXPECT_LE(module.memory().contexts, 18u);  // of 120 calls: used again as soon as a stream has passed them
}

TEST_P(DeviceModule, StatefulCallsInManyStreamsFollowOneAnother) {
  PlanMaker m;
  const Ref x = m.input("x", {1000}), total = m.state("total", std::vector<float>(1000)), y = m.output("y", {1000});
  m.add(core::Op::pointwise, {total, x}, {total}, add_program());
  m.add(core::Op::copy, {total}, {y});
  const Module module = module_on_device(m);
  const Tensor one = to_device(floats(std::vector<float>(1000, 1)));
  std::vector<Stream> streams(3, Stream(tested_device()));
  for (Stream& stream : streams) stream = Stream(tested_device());
  std::vector<Tensor> outputs;
  for (int i = 0; i < 60; ++i) {
    outputs.push_back(to_device(one));
    module.enqueue(std::vector<Tensor>{one}, std::vector<Tensor>{outputs.back()}, streams[static_cast<std::size_t>(i) % 3]);
  }
  EXPECT_EQ(host_values(Argument(module.state("total"))), std::vector<float>(1000, 60));
  for (const Stream& stream : streams) stream.synchronize();
  for (std::size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(host_values(Argument(outputs[i])), std::vector<float>(1000, static_cast<float>(i + 1)));
}

TEST_P(DeviceModule, ErrorsOfCallsThatDoNotWaitComeWithTheStream) {
  PlanMaker m;
  const Ref x = m.input("x", {}, DType::boolean), y = m.output("y", {}, DType::boolean);
  m.add(core::Op::check, {x}, {}, {{"message", std::string("x must hold")}});
  m.add(core::Op::copy, {x}, {y});
  const Module module = module_on_device(m);
  const Stream stream(tested_device());
  const auto flag = [](bool value) {
    Tensor tensor = Tensor::empty({}, DType::boolean);
    *tensor.data_as<bool>() = value;
    return to_device(tensor);
  };
  const Tensor good = flag(true), bad = flag(false), out = flag(true);
  const auto call_all = [&](const Tensor& input) {
    module.enqueue(std::vector<Tensor>{input}, std::vector<Tensor>{out}, stream);
    stream.synchronize();
  };
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(call_all(bad), ShapeError);
    EXPECT_NO_THROW(call_all(good));
  }
}

TEST_P(DeviceModule, AModuleMayGoWhileItsWorkGoesOn) {
  const Stream stream(tested_device());
  const Tensor x = to_device(floats(counted(1 << 20))), y = to_device(floats(counted(1 << 20)));
  {
    const Module module = relu_module();
    for (int i = 0; i < 10; ++i) module.enqueue(std::vector<Tensor>{x}, std::vector<Tensor>{y}, stream);
  }
  stream.synchronize();
  EXPECT_EQ(host_values(Argument(y)), mapped(counted(1 << 20), relu));
}

TEST_P(DeviceModule, ProfilesEveryCommandAndStillComputes) {
  PlanMaker m;
  const Ref x = m.input("x", {4}), total = m.state("total", {0, 0, 0, 0}), y = m.output("y", {4}), t = m.temp({4});
  m.add(core::Op::pointwise, {x}, {t}, relu_program());
  m.add(core::Op::pointwise, {total, t}, {total}, add_program());  // in place: measured many times, computed once
  m.add(core::Op::copy, {total}, {y});
  const Module module = module_on_device(m);
  const Tensor two = to_device(floats({2, 2, 2, 2}));
  const auto commands = module.profile(std::vector<Tensor>{two}, 3);
  ASSERT_EQ(commands.size(), 3u);
  for (std::size_t i = 0; i < commands.size(); ++i) {
    EXPECT_EQ(commands[i].position, static_cast<int>(i));
    EXPECT_EQ(commands[i].runs, 1);
    EXPECT_GT(commands[i].microseconds, 0);
    EXPECT_FALSE(commands[i].kernels.empty());
  }
  EXPECT_EQ(commands[1].op, "pointwise");
  EXPECT_EQ(host_values(Argument(module.state("total"))), std::vector<float>(4, 4 * 2.0F));  // three calls and the one before them
  EXPECT_EQ(host_values(call(module, {two})[0]), std::vector<float>(4, 5 * 2.0F));
  EXPECT_THROW((void)module.profile(std::vector<Tensor>{two}, 0), InvalidArgument);
}

TEST_P(DeviceModule, ProfilesTheBranchThatRuns) {
  PlanMaker m;
  const Ref pred = m.input("pred", {}, DType::boolean), x = m.input("x", {8}), y = m.output("y", {8});
  const int then_block = m.block(), else_block = m.block();
  m.cond(pred, {y}, then_block, else_block);
  m.add(core::Op::pointwise, {x}, {y}, relu_program(), then_block);
  m.add(core::Op::pointwise, {x, x}, {y}, add_program(), else_block);
  const Module module = module_on_device(m);
  Tensor no = Tensor::empty({}, DType::boolean);
  *no.data_as<bool>() = false;
  const auto commands = module.profile(std::vector<Tensor>{to_device(no), to_device(floats(counted(8)))}, 2);
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].position, 2);
}

TEST_P(DeviceModule, AStreamOfAnotherDeviceIsRefused) {
  const Module module = relu_module();
  const Tensor x = to_device(floats(counted(4)));
  EXPECT_THROW(module.enqueue(std::vector<Tensor>{x}, std::vector<Tensor>{x}, Stream(Device::cpu(1))), InvalidArgument);
  EXPECT_THROW((void)Stream::wrap(Device::cpu(), nullptr), InvalidArgument);
}

TEST_P(DeviceModule, ReplicasAndModesMix) {
  const Module first = relu_module();
  const Module second = first.to(tested_device());
  const Tensor x = to_device(floats(counted(500)));
  const auto want = mapped(counted(500), relu);
  for (const bool on : {true, false, true, true}) {
    runtime::set_cudagraphs_mode(on);
    EXPECT_EQ(runtime::get_cudagraphs_mode(), on);
    EXPECT_FALSE(runtime::get_whole_cudagraphs_mode());
    EXPECT_EQ(host_values(call(first, {x})[0]), want);
    EXPECT_EQ(host_values(call(second, {x})[0]), want);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, DeviceModule, testing::Bool(), [](const auto& mode) { return mode.param ? "Recorded" : "Plain"; });

}  // namespace
}  // namespace reprise::test
