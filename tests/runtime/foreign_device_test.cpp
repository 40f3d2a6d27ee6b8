// Foreign kernels on REPRISE_TEST_DEVICE (the CPU without it), with the device's own kernels around them.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;
using sym::Expr;

Device foreign_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}

constexpr const char* kSchema = "mylib::triple(Tensor x, float factor) -> Tensor";

void multiply(const ForeignCall& call) {
  for (std::int64_t i = 0; i < call.input(0).numel(); ++i)
    call.output().data_as<float>()[i] = call.input("x").data_as<float>()[i] * static_cast<float>(call.real("factor"));
}

NvrtcKernel multiply_text() {
  return {.source = R"(extern "C" __global__ void multiply(const float* x, float* y, float* workspace, long long n, float factor) {
                         const long long i = blockIdx.x * 64ll + threadIdx.x;
                         if (i >= n) return;
                         workspace[i] = x[i];
                         y[i] = workspace[i] * factor;
                       })",
          .entry = "multiply",
          .launch = [](const ForeignShapes& shapes) -> NvrtcKernel::Launch {
            const std::int64_t n = shapes.input("x").numel();
            return {.grid = {static_cast<unsigned>((n + 63) / 64), 1, 1}, .block = {64, 1, 1}, .scalars = {n, static_cast<float>(shapes.real("factor"))}};
          }};
}

core::Attrs add() {
  std::vector<Instr> code = {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = ScalarOp::add, .a = 0, .b = 1}};
  return {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32, DType::f32}, {}, std::move(code), {2}})}};
}

/// y = 2 · foreign(x + x)
Module doubled_around(ForeignKernel kernel) {
  PlanMaker m;
  const Expr s = m.symbol("s", 0, 1000);
  const Ref x = m.input("x", {s}), a = m.temp({s}), b = m.temp({s}), y = m.output("y", {s});
  m.add(core::Op::pointwise, {x, x}, {a}, add());
  m.foreign("mylib.triple.default", {{"x", a}}, {b}, {{"arg.factor", 3.0}});
  m.add(core::Op::pointwise, {b, b}, {y}, add());
  return runtime::make_module(m.finish(), foreign_device(), {}, {.foreign_kernels = {std::move(kernel)}});
}

/// `factor`: of the foreign kernel.
void expect_values(const Module& module, std::size_t n, float factor) {
  std::vector<float> x(n), want(n);
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = static_cast<float>(i) - 2;
    want[i] = 4 * factor * x[i];
  }
  const auto result = call(module, {runtime::copy_to(floats(x), foreign_device())});
  EXPECT_EQ(values(runtime::copy_to(std::get<Tensor>(result[0]), Device::cpu())), want);
}

void expect_recorded_and_right(const Module& module, float factor, std::size_t islands) {
  expect_values(module, 5, factor);
  const auto graphs = runtime::enable_cudagraphs(module);
  for (const std::size_t n : {5, 200, 5, 200, 1}) expect_values(module, n, factor);
  const auto stats = module.stats();
  EXPECT_EQ(stats.islands.size(), islands);
  EXPECT_EQ(stats.records, 3 * (1 + islands));
  EXPECT_EQ(stats.replays, 5 * (1 + islands));
}

TEST(DeviceForeign, HostFunctionsRunOnEveryDevice) {
  const Module module = doubled_around({.schema = kSchema, .host = multiply});
  expect_recorded_and_right(module, 3, 0);
  EXPECT_EQ(module.stats().warm_ups, 9u);
}

TEST(DeviceForeign, HostFunctionsChangeStateAndInputs) {
  const ForeignKernel advance = {.schema = "mylib::advance_(Tensor(a!) x, Tensor step) -> ()", .host = [](const ForeignCall& call) {
                                   for (std::int64_t i = 0; i < 2; ++i) call.input("x").data_as<float>()[i] += call.input("step").data_as<float>()[i];
                                 }};
  PlanMaker m;
  const Ref x = m.input("x", {2}), cache = m.input("cache", {2}, DType::f32, true), total = m.state("total", {0, 0}), y = m.output("y", {2});
  m.foreign("mylib.advance_.default", {{"x", total}, {"step", x}}, {}, {}, {0});
  m.foreign("mylib.advance_.default", {{"x", cache}, {"step", total}}, {}, {}, {0});
  m.add(core::Op::pointwise, {total, cache}, {y}, add());
  const Module module = runtime::make_module(m.finish(), foreign_device(), {}, {.foreign_kernels = {advance}});
  const auto graphs = runtime::enable_cudagraphs(module);
  const Tensor seen = runtime::copy_to(floats({10, 20}), foreign_device());
  for (const float n : {1.F, 2.F, 3.F}) {
    const auto result = call(module, {runtime::copy_to(floats({1, 2}), foreign_device()), seen});
    const float sum = n * (n + 1) / 2;
    EXPECT_EQ(values(runtime::copy_to(seen, Device::cpu())), (std::vector<float>{10 + sum, 20 + 2 * sum}));
    EXPECT_EQ(values(runtime::copy_to(std::get<Tensor>(result[0]), Device::cpu())), (std::vector<float>{10 + sum + n, 20 + 2 * (sum + n)}));
  }
}

TEST(DeviceForeign, WhatTheyThrowComesOut) {
  const Module module = doubled_around({.schema = kSchema, .host = [](const ForeignCall& call) {
                                          multiply(call);
                                          if (call.input(0).data_as<float>()[0] > 100) throw std::runtime_error("too much");
                                        }});
  for (const bool recorded : {false, true}) {
    runtime::set_cudagraphs_mode(recorded);
    const Tensor bad = runtime::copy_to(floats({100}), foreign_device());
    EXPECT_EQ(message_of<Error>([&] { (void)call(module, {bad}); }), "[foreign/mylib.triple.default] 'foreign' failed: too much");
    expect_values(module, 5, 3);
  }
  runtime::set_cudagraphs_mode(false);
}

// ---- on a GPU ----

class DeviceForeignCuda : public testing::Test {
 protected:
  void SetUp() override {
    if (foreign_device().type != DeviceType::cuda) GTEST_SKIP() << "no CUDA GPU";
  }
};

/// A function of the driver.
template <class F>
F driver(const char* name) {
  static void* library = dlopen("libcuda.so.1", RTLD_NOW);
  return reinterpret_cast<F>(dlsym(library, name));
}

/// y = x
void copy_on_stream(const ForeignCall& call) {
  const auto copy = driver<int (*)(unsigned long long, unsigned long long, std::size_t, void*)>("cuMemcpyDtoDAsync_v2");
  const auto at = [](const ForeignTensor& t) { return reinterpret_cast<unsigned long long>(t.data); };
  EXPECT_EQ(copy(at(call.output()), at(call.input(0)), call.input(0).nbytes(), call.stream()), 0);
}

TEST_F(DeviceForeignCuda, FunctionsAreCaptured) {
  const Module module = doubled_around({.schema = kSchema, .cuda = copy_on_stream});
  expect_recorded_and_right(module, 1, 0);
  EXPECT_EQ(module.stats().warm_ups, 9u);
}

TEST_F(DeviceForeignCuda, AFunctionThatWaitsIsAnIsland) {
  const Module module = doubled_around({.schema = kSchema, .cuda = [](const ForeignCall& call) {
                                          copy_on_stream(call);
                                          if (driver<int (*)(void*)>("cuStreamSynchronize")(call.stream()) != 0) throw std::runtime_error("waiting failed");
                                        }});
  expect_recorded_and_right(module, 1, 1);
  EXPECT_NE(module.stats().islands.at(0).why.find("recording it failed"), std::string::npos);
}

TEST_F(DeviceForeignCuda, NvrtcSourceIsCompiledAndRecorded) {
  ForeignKernel kernel = {.schema = kSchema, .nvrtc = multiply_text()};
  kernel.workspace_bytes = [](const ForeignShapes& shapes) { return shapes.input(0).nbytes(); };
  expect_recorded_and_right(doubled_around(kernel), 3, 0);
}

TEST_F(DeviceForeignCuda, NvrtcSourceThatDoesNotCompileSaysWhy) {
  auto text = multiply_text();
  text.source = "extern \"C\" __global__ void multiply() { nonsense(); }";
  const Module module = doubled_around({.schema = kSchema, .nvrtc = text});
  EXPECT_NE(message_of<Error>([&] { expect_values(module, 5, 3); }).find("nonsense"), std::string::npos);
}

}  // namespace
}  // namespace reprise::test
