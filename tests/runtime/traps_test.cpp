// What other systems tripped over: memory behind recordings, and settings that build things twice.
#include <gtest/gtest.h>

#include <cstring>

#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "support/faulty_device.h"

namespace reprise::test {
namespace {

using sym::Expr;

/// y = 2 (x + w), with 8 KiB of scratch memory for each element.
plan::PlanPtr scratchy() {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  const Expr s = m.symbol("s", 1, 64);
  const Ref x = m.input("x", {s}), t = m.temp({s}), y = m.output("y", {s});
  Ref w = m.weight("w", std::vector<float>(64, 1));
  w.sizes = {s};
  m.sum(x, w, t);
  m.add(core::Op::pointwise, {t}, {y}, {{"toy", std::string("affine")}, {"scale", 2.0}, {"scratch", s * 8192}});
  return m.finish();
}

/// A caller that brings the same memory every time.
struct Caller {
  explicit Caller(std::int64_t n) : x(floats(std::vector<float>(static_cast<std::size_t>(n), 3))), y(floats(std::vector<float>(static_cast<std::size_t>(n)))) {}
  void call(const Module& module) const {
    module.run(std::span(&x, 1), std::span(&y, 1));
    EXPECT_EQ(values(y), std::vector<float>(static_cast<std::size_t>(y.numel()), 8));
    std::fill_n(y.data_as<float>(), y.numel(), -1.0F);
  }
  Tensor x, y;
};

TEST(Traps, ScratchMemoryThatMovesUnderARecording) {
  const auto device = std::make_shared<FaultyDevice>();
  device->largest_reservation = 1 << 20;  // no room to grow in place
  const Module module = runtime::make_module(scratchy(), device, make_toy_step);
  const auto graphs = runtime::enable_cudagraphs(module);
  const Caller one(1), many(64);
  for (const Caller* caller : {&one, &many, &one, &many, &one}) caller->call(module);
  EXPECT_EQ(module.stats().records, 2u);
  EXPECT_EQ(module.stats().replays, 5u);
  EXPECT_GE(module.stats().memory_growths, 3u);  // activations, scratch, and scratch again
}

/// A step that wants more scratch than what it does.
class Greedier final : public device::Step {
 public:
  Greedier(std::unique_ptr<device::Step> inner, std::size_t bytes) : inner_(std::move(inner)), bytes_(bytes) {}
  void run(void* const* bindings) const override {
    std::memset(bindings[static_cast<std::size_t>(scratch_slot())], 0xee, bytes_);
    inner_->run(bindings);
  }
  [[nodiscard]] std::size_t scratch_bytes() const override { return bytes_; }

 private:
  std::unique_ptr<device::Step> inner_;
  std::size_t bytes_;
};

TEST(Traps, StepsThatAProfileMakesAnewWantMoreScratch) {
  PlanMaker m;
  const Ref x = m.input("x", {4}), t = m.temp({4}), y = m.output("y", {4});
  m.affine(x, t, 1, 1);
  m.affine(t, y, 2, 0);
  int made = 0;
  const Module module = runtime::make_module(m.finish(), Device::cpu(), [&](const kernels::StepSpec& spec) {
    return std::make_unique<Greedier>(make_toy_step(spec), ++made > 2 ? std::size_t{1} << 22 : 64);
  });
  const Caller caller(4);
  for (int i = 0; i < 3; ++i) {
    caller.call(module);
    EXPECT_EQ(module.profile(std::span(&caller.x, 1), 2).size(), 2u);
  }
  EXPECT_GT(made, 2);
}

TEST(Traps, AnEvictedRecordingLeavesTheWorkspaceOfOthers) {
  const Module module = runtime::make_module(scratchy(), Device::cpu(), make_toy_step);
  const auto graphs = runtime::enable_cudagraphs(module, {.max_recordings = 2});
  const Caller callers[] = {Caller(1), Caller(2), Caller(3)};
  for (const int i : {0, 1, 2, 1, 2, 0, 2, 0}) callers[i].call(module);
  EXPECT_EQ(module.stats().recordings_evicted, 2u);
  EXPECT_EQ(module.stats().records, 4u);
}

TEST(Traps, ASettingBuildsOnceAndOnlyWhereItChangesSomething) {
  Module module = runtime::make_module(scratchy(), Device::cpu(), make_toy_step);
  auto streaming = runtime::weight_streaming(module);
  const auto settle = [&] {
    streaming.set_device_budget(0);
    module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture);
    runtime::set_cudagraphs_mode(true);
    runtime::set_cudagraphs_mode(false);
    const auto profile = runtime::optimization_profile(module, 0);
  };
  settle();
  EXPECT_EQ(module.stats().contexts, 0u);  // made by the first call, with everything set
  const Caller caller(5);
  for (int i = 0; i < 4; ++i) {
    caller.call(module);
    const auto stats = module.stats();
    EXPECT_EQ(stats.contexts, 1u);
    EXPECT_EQ(stats.shapes_bound, 1u);
    EXPECT_EQ(stats.stages_bound, 1u);
    EXPECT_EQ(stats.records, 1u);
    settle();
  }
}

}  // namespace
}  // namespace reprise::test
