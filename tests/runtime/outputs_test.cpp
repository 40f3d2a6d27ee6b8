// Where results lie: pre-allocated, from an allocator of the user's, or new.
#include <gtest/gtest.h>

#include <cstdio>
#include <thread>

#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using runtime::enable_cudagraphs;
using runtime::enable_output_allocator;
using runtime::enable_pre_allocated_outputs;
using runtime::OutputAllocator;
using runtime::OutputRequest;
using sym::Expr;

/// y = x + 1 over [s].
Module increment() {
  PlanMaker m;
  const Expr s = m.symbol("s", 0, 1000);
  const Ref x = m.input("x", {s}), a = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 1, 0);
  return module_of(m);
}
/// Positions of what is not zero in eight numbers, and these numbers doubled.
PlanMaker nonzero_plan() {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 8, true);
  const Ref x = m.input("x", {8}), y = m.output("y", {u, 1}, DType::i64, 64), count = m.temp({1}, DType::i64), z = m.output("z", {8});
  m.nonzero(x, y, count, "u0");
  m.affine(x, z, 2, 0);
  return m;
}
Module nonzero() {
  auto m = nonzero_plan();
  return module_of(m);
}
Tensor with_ones(std::size_t n) {
  std::vector<float> all(8);
  std::fill_n(all.begin(), n, 1.0F);
  return floats(all);
}
std::vector<std::int64_t> first(std::size_t n) {
  std::vector<std::int64_t> all;
  for (std::size_t i = 0; i < n; ++i) all.push_back(static_cast<std::int64_t>(i));
  return all;
}
Tensor result(const Module& module, const Tensor& x, std::size_t index = 0) { return std::get<Tensor>(call(module, {x})[index]); }

// ---- pre-allocated outputs ----

TEST(PreAllocatedOutputs, AreOverwrittenByTheNextCallAndStayWhenCloned) {
  const Module module = increment();
  Tensor last, cloned;
  {
    const auto outputs = enable_pre_allocated_outputs(module);
    const Tensor one = std::get<Tensor>(outputs(std::vector<Tensor>{floats({1, 2})})[0]);
    cloned = one.clone();
    last = result(module, floats({5, 6}));
    EXPECT_EQ(one.data(), last.data());
    EXPECT_EQ(values(one), (std::vector<float>{6, 7}));
    EXPECT_EQ(module.stats().output_allocations, 1u);
    EXPECT_EQ(module.stats().output_reuses, 1u);
  }
  const Tensor after = result(module, floats({8, 9}));
  EXPECT_NE(after.data(), last.data());
  EXPECT_EQ(values(last), (std::vector<float>{6, 7}));
  EXPECT_EQ(values(cloned), (std::vector<float>{2, 3}));
  EXPECT_EQ(module.stats().output_reuses, 1u);
}

TEST(PreAllocatedOutputs, ANewSizeMakesNewMemory) {
  const Module module = increment();
  const auto outputs = enable_pre_allocated_outputs(module);
  const Tensor two = result(module, floats({1, 2}));
  const Tensor three = result(module, floats({5, 6, 7}));
  EXPECT_EQ(values(two), (std::vector<float>{2, 3}));
  EXPECT_EQ(values(three), (std::vector<float>{6, 7, 8}));
  EXPECT_EQ(module.stats().output_reuses, 0u);
}

TEST(PreAllocatedOutputs, OtherSizesOfAsManyBytesUseTheSameMemory) {
  PlanMaker m;
  const Expr a = m.symbol("a", 1, 8), b = m.symbol("b", 1, 8);
  const Ref x = m.input("x", {a, b}), y = m.output("y", {a, b});
  m.affine(x, y, 2, 0);
  const Module module = module_of(m);
  const auto outputs = enable_pre_allocated_outputs(module);
  const Tensor wide = result(module, floats({1, 2, 3, 4, 5, 6}, {2, 3})), tall = result(module, floats({6, 5, 4, 3, 2, 1}, {3, 2}));
  EXPECT_EQ(wide.data(), tall.data());
  EXPECT_EQ(wide.sizes(), (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(tall.sizes(), (std::vector<std::int64_t>{3, 2}));
  EXPECT_TRUE(tall.is_contiguous());
  EXPECT_EQ(values(tall), (std::vector<float>{12, 10, 8, 6, 4, 2}));
  EXPECT_EQ(module.stats().output_reuses, 1u);
}

TEST(PreAllocatedOutputs, TogglingNeverBindsMemoryOfAnotherShape) {
  const Module module = increment();
  std::optional<runtime::ModuleScope> scope;
  const auto check = [&](std::size_t n) {
    const Tensor y = result(module, floats(std::vector<float>(n, 1)));
    EXPECT_EQ(y.sizes(), std::vector<std::int64_t>{static_cast<std::int64_t>(n)});
    EXPECT_EQ(values(y), std::vector<float>(n, 2));
  };
  for (const bool graphs : {false, true}) {
    runtime::set_cudagraphs_mode(graphs);
    for (int round = 0; round < 3; ++round) {
      scope.emplace(enable_pre_allocated_outputs(module));
      check(3);
      check(500);
      scope.reset();
      check(500);
      check(900);
      scope.emplace(enable_pre_allocated_outputs(module));
      check(900);
      check(3);
      scope.reset();
    }
  }
  runtime::set_cudagraphs_mode(false);
}

TEST(PreAllocatedOutputs, AResultMayBeTheNextInput) {
  const Module module = increment();
  const auto outputs = enable_pre_allocated_outputs(module);
  Tensor x = floats({0, 10});
  for (int i = 0; i < 5; ++i) x = result(module, x);
  EXPECT_EQ(values(x), (std::vector<float>{5, 15}));
  EXPECT_EQ(module.stats().staged_inputs, 4u);
}

TEST(PreAllocatedOutputs, AResultMayBeTheNextInputThatTheCallWrites) {
  PlanMaker m;
  const Ref x = m.input("x", {2}, DType::f32, true), y = m.output("y", {2});
  m.affine(x, x, 1, 1);
  m.affine(x, y, 10, 0);
  const Module module = module_of(m);
  const auto outputs = enable_pre_allocated_outputs(module);
  const Tensor one = result(module, floats({0, 1}));
  const Tensor two = result(module, one);
  EXPECT_EQ(values(one), (std::vector<float>{11, 21}));
  EXPECT_EQ(values(two), (std::vector<float>{110, 210}));
}

TEST(PreAllocatedOutputs, EachThreadHasItsOwn) {
  const Module module = increment();
  const auto outputs = enable_pre_allocated_outputs(module);
  const Tensor mine = result(module, floats({1, 2}));
  for (int i = 0; i < 3; ++i)  // one after the other, so that the system may give an id again
    std::thread([&] {
      const Tensor a = result(module, floats({100, 200})), b = result(module, floats({300, 400}));
      EXPECT_EQ(a.data(), b.data());
      EXPECT_EQ(values(b), (std::vector<float>{301, 401}));
    }).join();
  EXPECT_EQ(values(mine), (std::vector<float>{2, 3}));
  EXPECT_EQ(module.stats().output_allocations, 4u);
}

TEST(PreAllocatedOutputs, ReplaysFindTheSameAddresses) {
  const Module module = increment();
  const auto outputs = enable_pre_allocated_outputs(module);
  const auto graphs = enable_cudagraphs(module);
  const Tensor x = floats({1, 2});
  (void)result(module, x);
  const auto before = module.stats();
  for (int i = 0; i < 100; ++i) (void)result(module, x);
  EXPECT_EQ(module.stats().patched_addresses, before.patched_addresses);
  EXPECT_EQ(module.stats().replays, before.replays + 100);
  EXPECT_EQ(module.stats().output_allocations, 1u);
}

TEST(PreAllocatedOutputs, SizesFromDataUseTheRoomForTheMost) {
  const Module module = nonzero();
  const auto outputs = enable_pre_allocated_outputs(module);
  const void* room = nullptr;
  for (const std::size_t n : {1, 8, 0, 3}) {
    const Tensor y = result(module, with_ones(n));
    EXPECT_EQ(values<std::int64_t>(y), first(n));
    if (room == nullptr) room = y.data();
    EXPECT_EQ(y.data(), room);
  }
  EXPECT_EQ(module.stats().output_allocations, 2u);  // both outputs, once
}

TEST(PreAllocatedOutputs, MemoryGoesWithTheScope) {
  const Module module = increment();
  std::weak_ptr<void> storage;
  {
    const auto outputs = enable_pre_allocated_outputs(module);
    storage = result(module, floats({1})).storage();
    (void)result(module, floats({2, 3}));
    EXPECT_TRUE(storage.expired());
    Tensor kept = result(module, floats({2, 3}));
    storage = kept.storage();
  }
  EXPECT_TRUE(storage.expired());
}

// ---- an allocator of the user's ----

class Recorder : public OutputAllocator {
 public:
  struct Asked {
    std::size_t index, bytes;
    bool is_bound;
    std::string name;
    bool operator==(const Asked&) const = default;
  };
  std::vector<Asked> asked;
  std::vector<std::pair<std::size_t, std::vector<std::int64_t>>> announced;
  std::vector<Tensor> given;
  bool refuse_bounds = false, refuse_all = false;
  std::function<Tensor(const OutputRequest&)> make = [](const OutputRequest& r) {
    return Tensor::empty(std::vector<std::int64_t>{static_cast<std::int64_t>(r.bytes)}, DType::u8);
  };

  Tensor allocate(const OutputRequest& request) override {
    asked.push_back({request.index, request.bytes, request.is_bound, std::string(request.name)});
    if (refuse_all || (refuse_bounds && request.is_bound)) return {};
    given.push_back(make(request));
    return given.back();
  }
  void notify_shape(std::size_t index, std::span<const std::int64_t> sizes) override { announced.emplace_back(index, std::vector(sizes.begin(), sizes.end())); }
};

TEST(OutputAllocators, AreAskedForBytesNotElements) {
  const Module module = nonzero();
  const auto recorder = std::make_shared<Recorder>();
  const auto scope = enable_output_allocator(module, recorder);
  const Tensor y = result(module, with_ones(3));
  EXPECT_EQ(recorder->asked, (std::vector<Recorder::Asked>{{0, 64, true, "y"}, {1, 32, false, "z"}}));
  EXPECT_EQ(recorder->announced, (std::vector<std::pair<std::size_t, std::vector<std::int64_t>>>{{0, {3, 1}}, {1, {8}}}));
  EXPECT_EQ(y.data(), recorder->given[0].data());  // the tensor takes the memory over
  EXPECT_EQ(values<std::int64_t>(y), first(3));
  EXPECT_EQ(module.stats().allocator_requests, 2u);
  EXPECT_EQ(module.stats().output_allocations, 0u);
}

TEST(OutputAllocators, ARefusedBoundIsFollowedByTheExactSize) {
  const Module module = nonzero();
  const auto recorder = std::make_shared<Recorder>();
  recorder->refuse_bounds = true;
  const auto scope = enable_output_allocator(module, recorder);
  const Tensor y = result(module, with_ones(3));
  EXPECT_EQ(recorder->asked, (std::vector<Recorder::Asked>{{0, 64, true, "y"}, {1, 32, false, "z"}, {0, 24, false, "y"}}));
  EXPECT_EQ(y.data(), recorder->given[1].data());
  EXPECT_EQ(values<std::int64_t>(y), first(3));
}

TEST(OutputAllocators, RefusingAnExactSizeEndsTheCallAndNothingElse) {
  const Module module = increment();
  const auto recorder = std::make_shared<Recorder>();
  const auto scope = enable_output_allocator(module, recorder);
  recorder->refuse_all = true;
  EXPECT_EQ(message_of<OutOfMemory>([&] {
              (void)result(module, floats({1, 2}));
            }),
            "[run/outputs] the output allocator refused memory for output 'y' (8 bytes)");
  recorder->refuse_all = false;
  recorder->make = [](const OutputRequest&) -> Tensor { throw std::runtime_error("mine"); };
  EXPECT_THROW((void)result(module, floats({1, 2})), std::runtime_error);
  EXPECT_EQ(module.stats().failed_calls, 2u);
  recorder->make = [](const OutputRequest&) { return Tensor::zeros(std::vector<std::int64_t>{5}, DType::f32); };
  EXPECT_EQ(values(result(module, floats({1, 2}))), (std::vector<float>{2, 3}));
}

TEST(OutputAllocators, MemoryThatDoesNotServeIsRefused) {
  const Module module = increment();
  const auto recorder = std::make_shared<Recorder>();
  const auto scope = enable_output_allocator(module, recorder);
  const auto refused = [&](const Tensor& memory) {
    recorder->make = [&](const OutputRequest&) { return memory; };
    return message_of<InvalidArgument>([&] { (void)result(module, floats({1, 2})); });
  };
  const std::vector<std::int64_t> two = {2};
  EXPECT_EQ(refused(Tensor::zeros(two, DType::i16)), "[run/outputs] the output allocator's memory for 'y' is too small (got 4 bytes, want 8)");
  EXPECT_EQ(refused(Tensor::zeros(two, DType::f32, Device::cpu(1))),
            "[run/outputs] the output allocator's memory for 'y' is on the wrong device (got cpu:1, want cpu:0)");
  EXPECT_NE(refused(Tensor::zeros(std::vector<std::int64_t>{4}, DType::f32).as_strided(two, two)).find("must be contiguous and aligned"), std::string::npos);
  EXPECT_NE(refused(Tensor::zeros(std::vector<std::int64_t>{9}, DType::u8).as_strided(std::vector<std::int64_t>{8}, std::vector<std::int64_t>{1}, 1))
                .find("must be contiguous and aligned"),
            std::string::npos);
}

TEST(OutputAllocators, OneMemoryForTwoOutputsIsRefused) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), y = m.output("y", {2}), z = m.output("z", {2});
  m.affine(x, y, 1, 1);
  m.affine(x, z, 1, 2);
  const Module module = module_of(m);
  const auto recorder = std::make_shared<Recorder>();
  const Tensor same = floats({0, 0});
  recorder->make = [&](const OutputRequest&) { return same; };
  const auto scope = enable_output_allocator(module, recorder);
  EXPECT_EQ(message_of<InvalidArgument>([&] { (void)call(module, {floats({1, 2})}); }), "[run/outputs] tensor outputs 0 and 1 share memory");
}

TEST(OutputAllocators, MemoryMayLieOnAnInput) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), y = m.output("y", {2}), z = m.output("z", {2});
  m.affine(x, y, 2, 0);
  m.affine(x, z, 1, 1);  // reads x after y is written
  const Module module = module_of(m);
  const auto recorder = std::make_shared<Recorder>();
  const Tensor in = floats({1, 2}), other = floats({0, 0});
  recorder->make = [&](const OutputRequest& request) { return request.index == 0 ? in : other; };
  const auto scope = enable_output_allocator(module, recorder);
  EXPECT_EQ(values(result(module, in, 1)), (std::vector<float>{2, 3}));
  EXPECT_EQ(values(in), (std::vector<float>{2, 4}));
}

TEST(OutputAllocators, SizesWithoutABoundAreAskedForWhenTheyAreKnown) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, sym::kUnbounded, true);
  const Ref n = m.input("n", {}, DType::i64), y = m.output("y", {u});
  m.plan.buffers.back().dynamic = true;
  m.item(n, "u0");
  m.add(core::Op::fill, {}, {y}, {{"value", u}});
  const Module module = module_of(m);
  const auto recorder = std::make_shared<Recorder>();
  const auto scope = enable_output_allocator(module, recorder);
  Tensor size = Tensor::empty({}, DType::i64);
  *size.data_as<std::int64_t>() = 3;
  const Tensor got = result(module, size);
  EXPECT_EQ(recorder->asked, (std::vector<Recorder::Asked>{{0, 12, false, "y"}}));
  EXPECT_EQ(got.data(), recorder->given[0].data());
  EXPECT_EQ(values(got), (std::vector<float>{3, 3, 3}));
}

TEST(OutputAllocators, WithoutOneOfTheirOwnMemoryIsExact) {
  const Module module = nonzero();
  const auto scope = enable_output_allocator(module);
  for (const std::size_t n : {7, 1, 0}) {
    const Tensor y = result(module, with_ones(n));
    EXPECT_EQ(values<std::int64_t>(y), first(n));
    // The view cannot be made larger than what was asked for.
    EXPECT_THROW((void)y.as_strided(std::vector<std::int64_t>{static_cast<std::int64_t>(n) + 1}, std::vector<std::int64_t>{1}), InvalidArgument);
  }
  EXPECT_EQ(module.stats().allocator_requests, 9u);
}

TEST(OutputAllocators, TheNewestScopeCountsAndExitBringsBackTheOneBefore) {
  const Module module = increment();
  const auto recorder = std::make_shared<Recorder>();
  const auto asked = [&] {
    (void)result(module, floats({1}));
    return recorder->asked.size();
  };
  auto outer = enable_output_allocator(module, recorder);
  EXPECT_EQ(asked(), 1u);
  EXPECT_THROW(
      {
        const auto inner = enable_pre_allocated_outputs(module);
        EXPECT_EQ(asked(), 1u);
        throw std::runtime_error("out");
      },
      std::runtime_error);
  EXPECT_EQ(asked(), 2u);
  auto newest = enable_pre_allocated_outputs(module);
  outer.close();
  EXPECT_EQ(asked(), 2u);
  const auto reuses = module.stats().output_reuses;
  EXPECT_EQ(asked(), 2u);
  EXPECT_EQ(module.stats().output_reuses, reuses + 1);
  newest.close();
  EXPECT_EQ(asked(), 2u);
  EXPECT_EQ(recorder.use_count(), 1);
}

TEST(OutputAllocators, AndStrictRecordingsExcludeEachOtherInEitherOrder) {
  constexpr const char* kMessage = "Both CUDA Graphs and dynamic output allocation are enabled, which are incompatible runtime modes.";
  const Module module = increment();
  const runtime::CudaGraphOptions strict = {.on_uncapturable = runtime::OnUncapturable::error};
  {
    const auto outputs = enable_output_allocator(module);
    EXPECT_EQ(message_of<ModeConflict>([&] { (void)enable_cudagraphs(module, strict); }), kMessage);
    EXPECT_FALSE(runtime::get_cudagraphs_mode());
    const auto graphs = enable_cudagraphs(module);  // piecewise
    EXPECT_EQ(values(result(module, floats({1}))), std::vector<float>{2});
    EXPECT_EQ(module.stats().replays, 1u);
  }
  {
    const auto graphs = enable_cudagraphs(module, strict);
    EXPECT_EQ(message_of<ModeConflict>([&] { (void)enable_output_allocator(module); }), kMessage);
    const auto outputs = enable_pre_allocated_outputs(module);
    EXPECT_EQ(values(result(module, floats({1}))), std::vector<float>{2});
    EXPECT_EQ(module.stats().allocator_requests, 1u);
  }
  EXPECT_NO_THROW((void)enable_output_allocator(module));
}

TEST(OutputAllocators, ScopesWorkOnLoadedModules) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), y = m.output("y", {2});
  m.add(core::Op::copy, {x}, {y});
  const std::string path = testing::TempDir() + "outputs.rpz";
  runtime::make_module(m.finish()).save(path);
  const Module module = Module::load(path);
  std::remove(path.c_str());
  const auto recorder = std::make_shared<Recorder>();
  const auto scope = enable_output_allocator(module, recorder);
  EXPECT_EQ(values(result(module, floats({1, 2}))), (std::vector<float>{1, 2}));
  EXPECT_EQ(recorder->asked.size(), 1u);
}

}  // namespace
}  // namespace reprise::test
