// Steady state: `run` asks the heap for nothing. This program counts every operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "runtime/mode_changes.h"

namespace {

std::atomic<std::size_t> g_allocations = 0;
std::atomic<std::int64_t> g_held = 0;

void* counted(std::size_t bytes, std::size_t alignment) {
  ++g_allocations;
  ++g_held;
  void* pointer = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}

// Not inline: the compiler would see `free` where it expects the counterpart of `new`.
[[gnu::noinline]] void release(void* pointer) noexcept {
  if (pointer != nullptr) --g_held;
  std::free(pointer);
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new[](std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return counted(bytes, static_cast<std::size_t>(alignment)); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return counted(bytes, static_cast<std::size_t>(alignment)); }
void operator delete(void* pointer) noexcept { release(pointer); }
void operator delete[](void* pointer) noexcept { release(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { release(pointer); }
void operator delete[](void* pointer, std::size_t) noexcept { release(pointer); }
void operator delete(void* pointer, std::align_val_t) noexcept { release(pointer); }
void operator delete[](void* pointer, std::align_val_t) noexcept { release(pointer); }
void operator delete(void* pointer, std::size_t, std::align_val_t) noexcept { release(pointer); }
void operator delete[](void* pointer, std::size_t, std::align_val_t) noexcept { release(pointer); }

namespace reprise::test {
namespace {

using sym::Expr;

std::size_t allocations_of(const Module& module, const std::vector<Tensor>& in, const std::vector<Tensor>& out) {
  for (int i = 0; i < 2; ++i) module.run(in, out);
  const std::size_t before = g_allocations;
  for (int i = 0; i < 10; ++i) module.run(in, out);
  return g_allocations - before;
}

TEST(Allocation, TheCounterCounts) {
  const std::size_t before = g_allocations;
  auto pointer = std::make_unique<int>(1);
  EXPECT_GT(g_allocations, before);
}

TEST(Allocation, RunAllocatesNothingInSteadyState) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 64), t = m.symbol("s1", 1, 64);
  const Ref x = m.input("x", {s, t}), c = m.input("c", {s * 2 + 1}), cache = m.input("cache", {4, 4}, DType::f32, true), total = m.state("total", {0, 0});
  const Ref a = m.temp({s, t}), y = m.output("y", {s, t}), z = m.output("z", {sym::floor_div(s * 2 + 1, 1)});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 2, 0);
  m.affine(c, z, 1, 0);
  m.affine(cache, cache, 1, 1);
  m.affine(total, total, 1, 1);
  const Module module = module_of(m);
  const Tensor base = Tensor::zeros(std::vector<std::int64_t>{64, 64}, DType::f32);
  for (const std::int64_t n : {1, 7, 32}) {
    const std::vector<Tensor> in = {
        base.as_strided(std::vector<std::int64_t>{n, 5}, std::vector<std::int64_t>{1, 64}),  // staged
        Tensor::zeros(std::vector<std::int64_t>{2 * n + 1}, DType::f32),
        Tensor::zeros(std::vector<std::int64_t>{4, 8}, DType::f32).as_strided(std::vector<std::int64_t>{4, 4}, std::vector<std::int64_t>{8, 2})};
    const std::vector<Tensor> out = {Tensor::zeros(std::vector<std::int64_t>{n, 5}, DType::f32),
                                     Tensor::zeros(std::vector<std::int64_t>{2 * n + 1}, DType::f32)};
    EXPECT_EQ(allocations_of(module, in, out), 0u) << n;
  }
}

TEST(Allocation, ShapesThatTakeTurnsAllocateNothing) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 64);
  const Ref x = m.input("x", {s}), a = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 1, 1);
  const Module module = module_of(m);
  std::vector<std::pair<std::vector<Tensor>, std::vector<Tensor>>> calls;
  for (std::int64_t n = 1; n <= 8; ++n)
    calls.push_back({{Tensor::zeros(std::vector<std::int64_t>{n}, DType::f32)}, {Tensor::zeros(std::vector<std::int64_t>{n}, DType::f32)}});
  for (const auto& [in, out] : calls) module.run(in, out);
  const std::size_t before = g_allocations;
  for (int round = 0; round < 5; ++round)
    for (const auto& [in, out] : calls) module.run(in, out);
  EXPECT_EQ(g_allocations, before);
}

TEST(Allocation, ReplaysAllocateNothing) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 64);
  const Ref x = m.input("x", {s}), a = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 1, 1);
  const Module module = module_of(m);
  const auto graphs = runtime::enable_cudagraphs(module);
  std::vector<std::pair<std::vector<Tensor>, std::vector<Tensor>>> calls;
  for (std::int64_t n = 1; n <= 4; ++n)
    for (int address = 0; address < 2; ++address)
      calls.push_back({{Tensor::zeros(std::vector<std::int64_t>{n}, DType::f32)}, {Tensor::zeros(std::vector<std::int64_t>{n}, DType::f32)}});
  for (const auto& [in, out] : calls) module.run(in, out);
  const std::size_t before = g_allocations;
  for (int round = 0; round < 5; ++round)
    for (const auto& [in, out] : calls) module.run(in, out);
  EXPECT_EQ(g_allocations, before);
  EXPECT_EQ(module.stats().records, 4u);
  EXPECT_EQ(module.stats().replays, 48u);
}

TEST(Allocation, BoundCallsAllocateNothing) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 64);
  const Ref x = m.input("x", {s}), y = m.output("y", {s});
  m.affine(x, y, 1, 1);
  const Module module = module_of(m);
  const auto graphs = runtime::enable_cudagraphs(module);
  const auto bound = module.bind(std::vector<Tensor>{floats({1, 2})}, std::vector<Tensor>{floats({0, 0})});
  bound();
  const std::size_t before = g_allocations;
  for (int i = 0; i < 10; ++i) bound();
  EXPECT_EQ(g_allocations, before);
}

TEST(Allocation, ForeignStepsAllocateNothingRecordedOrLive) {
  PlanMaker m;
  const Ref x = m.input("x", {8}), a = m.temp({8}), b = m.temp({8}), y = m.output("y", {8});
  m.foreign("mylib.scale.default", {{"x", x}}, {a}, {{"arg.factor", 2.0}});
  m.affine(a, b, 1, 1);
  m.foreign("mylib.live.default", {{"x", b}}, {y}, {{"arg.factor", 3.0}});
  const auto scale = [](const ForeignCall& call) {
    for (std::int64_t i = 0; i < 8; ++i) call.output().data_as<float>()[i] = call.input("x").data_as<float>()[i] * static_cast<float>(call.real("factor"));
  };
  const std::vector<ForeignKernel> kernels = {{.schema = "mylib::scale(Tensor x, float factor) -> Tensor", .host = scale},
                                              {.schema = "mylib::live(Tensor x, float factor) -> Tensor", .host = scale, .not_capturable = "it says so"}};
  const Module module = runtime::make_module(m.finish(), Device::cpu(), make_toy_step, {.foreign_kernels = kernels});
  const std::vector<Tensor> in = {Tensor::zeros(std::vector<std::int64_t>{8}, DType::f32)}, out = {Tensor::zeros(std::vector<std::int64_t>{8}, DType::f32)};
  EXPECT_EQ(allocations_of(module, in, out), 0u);
  const auto graphs = runtime::enable_cudagraphs(module);
  EXPECT_EQ(allocations_of(module, in, out), 0u);
  EXPECT_EQ(out[0].data_as<float>()[0], 3);
}

TEST(Allocation, ControlAndRepeatedCountsAllocateNothing) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 4, true);
  const Ref x = m.input("x", {4}), p = m.temp({1}, DType::boolean), y = m.output("y", {4});
  const int negative = m.block(), positive = m.block();
  Ref found = m.temp({4, 1}, DType::i64);
  const Ref count = m.temp({1}, DType::i64);
  found.sizes = {u, 1};
  m.nonzero(x, found, count, "u0");
  m.less(x, p, 0);
  m.cond(p, {y}, negative, positive);
  m.add(core::Op::fill, {}, {y}, {{"value", u}}, negative);
  m.affine(x, y, 10, 0, positive);
  const Module module = module_of(m);
  const std::vector<Tensor> out = {floats({0, 0, 0, 0})};
  EXPECT_EQ(allocations_of(module, {floats({1, 0, 2, 0})}, out), 0u);
  EXPECT_EQ(allocations_of(module, {floats({-1, 0, 2, 0})}, out), 0u);
  EXPECT_EQ(values(out[0]), (std::vector<float>{2, 2, 2, 2}));
}

TEST(Allocation, AMillionChangesOfModesHoldNoMoreMemory) {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  const Ref x = m.input("x", {4}), w = m.weight("w", {1, 2, 3, 4}), y = m.output("y", {4});
  m.sum(x, w, y);
  Module module = module_of(m);
  const std::vector<Tensor> in = {floats({1, 1, 1, 1})}, out = {floats({0, 0, 0, 0})};
  const auto change_all = [&](int count) {
    change_modes(module, 0, count, in, out);
    module.run(in, out);
  };
  change_all(5600);
  const std::int64_t held = g_held;
  const auto committed = module.memory().arena_committed_bytes;
  change_all(1008000);  // the same rounds, 180 times
  EXPECT_EQ(g_held, held);
  EXPECT_EQ(module.memory().arena_committed_bytes, committed);
  EXPECT_EQ(module.memory().contexts, 1u);
  EXPECT_EQ(values(out[0]), (std::vector<float>{2, 3, 4, 5}));
}

}  // namespace
}  // namespace reprise::test
