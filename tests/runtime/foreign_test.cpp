// Foreign kernels in plans: what they see, how they are recorded, and what becomes of those that cannot be.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include "reprise/foreign_kernel.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using runtime::CudaGraphOptions;
using runtime::enable_cudagraphs;
using runtime::OnUncapturable;
using sym::Expr;

constexpr CudaGraphOptions kStrict = {.on_uncapturable = OnUncapturable::error};

/// How often functions ran.
struct Runs {
  std::atomic<int> calls = 0, attempts = 0;
  std::atomic<bool> refuse = false;
};

/// y = x * factor, in a place of its own.
ForeignKernel scale(const std::shared_ptr<Runs>& runs = std::make_shared<Runs>()) {
  return {.schema = "mylib::scale(Tensor x, float factor) -> Tensor", .host = [runs](const ForeignCall& call) {
            ++runs->calls;
            const auto x = call.input("x"), y = call.output();
            for (std::int64_t i = 0; i < x.numel(); ++i) y.data_as<float>()[i] = x.data_as<float>()[i] * static_cast<float>(call.real("factor"));
          }};
}
/// x += step, in place.
ForeignKernel advance(const std::shared_ptr<Runs>& runs = std::make_shared<Runs>()) {
  return {.schema = "mylib::advance_(Tensor(a!) x, Tensor step) -> ()", .host = [runs](const ForeignCall& call) {
            ++runs->calls;
            const auto x = call.input(0), step = call.input(1);
            for (std::int64_t i = 0; i < x.numel(); ++i) {
              x.data_as<float>()[i] += step.data_as<float>()[i];
              if (x.data_as<float>()[i] > 100) throw std::out_of_range("past the end");
            }
          }};
}

Module module_with(PlanMaker& m, std::vector<ForeignKernel> kernels) {
  return runtime::make_module(m.finish(), Device::cpu(), make_toy_step, {.foreign_kernels = std::move(kernels)});
}

/// y = ((x + 1) * 3) * 2 over [s]; the product by 3 is foreign.
PlanMaker chain_plan() {
  PlanMaker m;
  const Expr s = m.symbol("s", 0, 100);
  const Ref x = m.input("x", {s}), a = m.temp({s}), b = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.foreign("mylib.scale.default", {{"x", a}}, {b}, {{"arg.factor", 3.0}}).name = "scale_1";
  m.affine(b, y, 2, 0);
  return m;
}
Module chain(ForeignKernel kernel) {
  auto m = chain_plan();
  return module_with(m, {std::move(kernel)});
}
Tensor ones(std::size_t n) { return floats(std::vector<float>(n, 1)); }
void expect_right(const Module& module, std::size_t n) { EXPECT_EQ(values(call(module, {ones(n)})[0]), std::vector<float>(n, 12)); }

/// total (state) and cache (input) += x by foreign code; y = total, and positions is state that a second kernel may only move once in a call.
Module stateful(const std::shared_ptr<Runs>& runs = std::make_shared<Runs>()) {
  PlanMaker m;
  const Ref x = m.input("x", {2}), cache = m.input("cache", {2}, DType::f32, true), total = m.state("total", {0, 0}), y = m.output("y", {2}),
            doubled = m.temp({2});
  m.affine(x, doubled, 2, 0);
  m.foreign("mylib.advance_.default", {{"x", total}, {"step", x}}, {}, {}, {0});
  m.foreign("mylib.advance_.default", {{"x", cache}, {"step", doubled}}, {}, {}, {0});
  m.foreign("mylib.advance_.default", {{"x", doubled}, {"step", total}}, {}, {}, {0});
  m.affine(doubled, y, 1, 0);
  return module_with(m, {advance(runs)});
}

std::uint64_t count_of(const std::vector<ReasonCount>& list, const std::string& reason) {
  for (const auto& entry : list)
    if (entry.reason == reason) return entry.count;
  return 0;
}

// ---- what a kernel sees ----

TEST(ForeignKernels, SeeShapesArgumentsAndWorkspace) {
  PlanMaker m;
  const Expr s = m.symbol("s", 1, 9);
  const Ref x = m.input("x", {s, 2}), y = m.output("y", {2});
  core::Attrs attrs = {{"arg.n", s * 10}, {"arg.sizes", std::vector<Expr>{s, 7}},     {"arg.text", std::string("hello")}, {"arg.type", DType::bf16},
                       {"arg.on", true},  {"arg.reals", std::vector<double>{0.5, 2}}, {"in.bias", core::exprs({1, 0})}};
  m.foreign("mylib.look.default", {{"x", x}}, {y}, attrs);
  std::string seen;
  ForeignKernel look = {
      .schema = "mylib::look(Tensor x) -> Tensor",
      .host =
          [&seen](const ForeignCall& call) {
            seen = fmt::format("{} {} [{}] {} {} [{}] {} {} {} [{}] {} {} {}", call.inputs(), call.outputs(), fmt::join(call.input("x").sizes, ","),
                               call.has_input("bias"), call.integer("n"), fmt::join(call.integers("sizes"), ","), call.text("text"), name(call.dtype("type")),
                               call.flag("on"), fmt::join(call.reals("reals"), ","), call.is_none("other"), call.real("n"), call.threads());
            std::fill_n(static_cast<float*>(call.workspace()), 6, 2.5F);
            for (std::int64_t i = 0; i < 2; ++i) call.output().data_as<float>()[i] = static_cast<float*>(call.workspace())[i];
          },
      .workspace_bytes = [](const ForeignShapes& shapes) { return shapes.input(0).nbytes(); },
  };
  const Module module = module_with(m, {look});
  EXPECT_EQ(values(call(module, {floats({1, 2, 3, 4, 5, 6}, {3, 2})})[0]), (std::vector<float>{2.5, 2.5}));
  EXPECT_EQ(seen, "1 1 [3,2] false 30 [3,7] hello bf16 true [0.5,2] true 30 1");
}

TEST(ForeignKernels, AskingForWhatIsNotThereIsAnError) {
  const auto message = [](auto ask) {
    const Module module = chain({.schema = "mylib::scale(Tensor x, float factor) -> Tensor", .host = ask});
    return message_of<InvalidArgument>([&] { (void)call(module, {ones(1)}); });
  };
  EXPECT_EQ(message([](const ForeignCall& c) { (void)c.input(1); }), "[foreign/mylib.scale.default] 'scale_1' has no input 1 (it has 1)");
  EXPECT_EQ(message([](const ForeignCall& c) { (void)c.output(1); }), "[foreign/mylib.scale.default] 'scale_1' has no output 1 (it has 1)");
  EXPECT_EQ(message([](const ForeignCall& c) { (void)c.input("z"); }), "[foreign/mylib.scale.default] the op has no tensor parameter 'z'");
  EXPECT_EQ(message([](const ForeignCall& c) { (void)c.integer("factor"); }),
            "[foreign/mylib.scale.default] argument 'factor' of 'scale_1' is of another type, not an integer");
}

TEST(ForeignKernels, WhatTheyThrowEndsTheCallAndLeavesTheModuleUsable) {
  const auto runs = std::make_shared<Runs>();
  auto kernel = scale(runs);
  kernel.host = [runs, plain = kernel.host](const ForeignCall& call) {
    if (runs->refuse) throw std::logic_error("out of luck");
    plain(call);
  };
  const Module module = chain(kernel);
  for (const bool recorded : {false, true}) {
    const auto graphs = recorded ? std::optional(enable_cudagraphs(module)) : std::nullopt;
    runs->refuse = true;
    EXPECT_EQ(message_of<Error>([&] { (void)call(module, {ones(2)}); }), "[foreign/mylib.scale.default] 'scale_1' failed: out of luck");
    EXPECT_EQ(module.stats().recordings_held, 0u);
    runs->refuse = false;
    expect_right(module, 2);
  }
}

TEST(ForeignKernels, FindOutSizesFromData) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 8, true);
  const Ref x = m.input("x", {8}), count = m.temp({1}, DType::i64), y = m.output("y", {u}, DType::f32, 32);
  m.foreign("mylib.positive.default", {{"x", x}}, {count}, {{"measures", true}}).defines = {{0, 0, 0}};
  m.foreign("mylib.positive.default", {{"x", x}}, {y});
  const auto each_positive = [](const ForeignCall& call, auto&& f) {
    for (std::int64_t i = 0; i < call.input(0).numel(); ++i)
      if (const float v = call.input(0).data_as<float>()[i]; v > 0) f(v);
  };
  ForeignKernel positive = {
      .schema = "mylib::positive(Tensor x) -> Tensor",
      .host = [=](const ForeignCall& call) { each_positive(call, [y = call.output().data_as<float>()](float v) mutable { *y++ = v; }); },
      .requires_output_allocator = true,
      .host_sizes = [=](const ForeignCall& call) { each_positive(call, [n = call.output().data_as<std::int64_t>()](float) { ++*n; }); },
  };
  positive.host_sizes = [count_them = positive.host_sizes](const ForeignCall& call) {
    *call.output().data_as<std::int64_t>() = 0;
    count_them(call);
  };
  const Module module = module_with(m, {positive});
  EXPECT_TRUE(module.requires_output_allocator());
  const auto graphs = enable_cudagraphs(module);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(values(call(module, {floats({1, -1, 2, 0, 3, -2, -3, 4})})[0]), (std::vector<float>{1, 2, 3, 4}));
    EXPECT_EQ(values(call(module, {floats(std::vector<float>(8, -1))})[0]), std::vector<float>{});
  }
  EXPECT_EQ(module.stats().islands.at(0).why, "the host needs u0");
}

// ---- recordings ----

TEST(ForeignKernels, AreWarmedUpThreeTimesBeforeEachRecordingAtEachShape) {
  const auto runs = std::make_shared<Runs>();
  const Module module = chain(scale(runs));
  expect_right(module, 2);
  EXPECT_EQ(runs->calls, 1);
  EXPECT_EQ(module.stats().warm_ups, 0u);
  auto graphs = enable_cudagraphs(module);
  for (const std::size_t n : {2, 3}) {
    const int before = runs->calls;
    expect_right(module, n);
    EXPECT_EQ(runs->calls - before, 4);
    expect_right(module, n);
    EXPECT_EQ(runs->calls - before, 5);
  }
  EXPECT_EQ(module.stats().warm_ups, 6u);
  EXPECT_EQ(module.stats().records, 2u);  // one recording around everything
  EXPECT_TRUE(module.stats().islands.empty());
  EXPECT_TRUE(module.is_monolithic_capturable());
}

TEST(ForeignKernels, WarmUpsChangeNeitherStateNorInputsNorWhatTheCallHasComputed) {
  const Module module = stateful();
  const auto graphs = enable_cudagraphs(module);
  Tensor cache = floats({10, 20});
  for (const float n : {1.F, 2.F, 3.F}) {
    EXPECT_EQ(values(call(module, {floats({1, 2}), cache})[0]), (std::vector<float>{2 + n, 4 + 2 * n}));
    EXPECT_EQ(values(module.state("total")), (std::vector<float>{n, 2 * n}));
    EXPECT_EQ(values(cache), (std::vector<float>{10 + 2 * n, 20 + 4 * n}));
  }
  EXPECT_EQ(module.stats().records, 1u);
}

/// The warm-ups of what stands behind an island: `late` takes the memory of `early`, which they read.
TEST(ForeignKernels, WarmUpsLeaveWhatWasComputedBeforeThem) {
  auto live = scale();
  live.schema = "mylib::live(Tensor x, float factor) -> Tensor";
  live.not_capturable = "it prints";
  PlanMaker m;
  const Ref x = m.input("x", {64}), early = m.temp({64}), half = m.temp({64}), late = m.temp({64}), y = m.output("y", {64}), z = m.output("z", {64});
  m.foreign("mylib.live.default", {{"x", x}}, {early}, {{"arg.factor", 3.0}});
  m.foreign("mylib.scale.default", {{"x", early}}, {half}, {{"arg.factor", 0.5}});
  m.affine(half, y, 2, 0);
  m.affine(x, late, 1, 7);
  m.affine(late, z, 1, 0);
  const Module module = module_with(m, {std::move(live), scale()});
  const auto graphs = enable_cudagraphs(module);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(values(call(module, {ones(64)})[0]), std::vector<float>(64, 3));
}

TEST(ForeignKernels, AStateNearItsEndIsNotPushedOverItByWarmUps) {
  Module module = stateful();
  module.set_state("total", floats({97, 50}));
  const auto graphs = enable_cudagraphs(module);
  Tensor cache = floats({0, 0});
  EXPECT_NO_THROW((void)module.run(std::vector{floats({1, 0}), cache}, std::vector{ones(2)}));
  EXPECT_EQ(values(module.state("total")), (std::vector<float>{98, 50}));
}

TEST(ForeignKernels, AWarmUpThatThrowsIsTheCallsErrorAndUndone) {
  const Module module = stateful();
  const auto graphs = enable_cudagraphs(module);
  Tensor cache = floats({1, 98});
  EXPECT_EQ(message_of<Error>([&] { (void)call(module, {floats({1, 2}), cache}); }), "[foreign/mylib.advance_.default] 'foreign' failed: past the end");
  EXPECT_EQ(values(module.state("total")), (std::vector<float>{0, 0}));
  EXPECT_EQ(values(cache), (std::vector<float>{1, 98}));
  EXPECT_EQ(module.stats().recordings_held, 0u);
  cache = floats({1, 1});
  EXPECT_EQ(values(call(module, {floats({1, 2}), cache})[0]), (std::vector<float>{3, 6}));
  EXPECT_EQ(module.stats().replays, 1u);
}

TEST(ForeignKernels, TheSelfCheckHoldsForThem) {
  const Module module = stateful();
  const auto graphs = enable_cudagraphs(module, {.verify_first_replay = true});
  EXPECT_EQ(values(call(module, {floats({1, 2}), floats({0, 0})})[0]), (std::vector<float>{3, 6}));
  EXPECT_EQ(values(call(module, {floats({1, 2}), floats({0, 0})})[0]), (std::vector<float>{4, 8}));
  EXPECT_EQ(module.stats().verified_replays, 1u);
}

// ---- islands ----

TEST(ForeignKernels, OneThatRefusesRunsLiveBetweenRecordings) {
  const auto runs = std::make_shared<Runs>();
  auto kernel = scale(runs);
  kernel.not_capturable = "it reads a file";
  const Module module = chain(kernel);
  const std::string why = "foreign kernel 'mylib.scale.default': it reads a file";
  EXPECT_EQ(module.is_monolithic_capturable().reason, "segment 0 cannot be captured at 'scale_1': " + why);
  EXPECT_EQ(message_of<Error>([&] { (void)enable_cudagraphs(module, kStrict); }).find("it reads a file") == std::string::npos, false);
  const auto graphs = enable_cudagraphs(module);
  for (int i = 0; i < 3; ++i) expect_right(module, 2);
  EXPECT_EQ(runs->calls, 3);
  const auto stats = module.stats();
  EXPECT_EQ(stats.records, 2u);
  EXPECT_EQ(stats.replays, 6u);
  EXPECT_EQ(stats.plain_enqueues, 3u);
  EXPECT_EQ(stats.warm_ups, 0u);
  EXPECT_EQ(count_of(stats.unrecorded_by, "island"), 3u);
  ASSERT_EQ(stats.islands.size(), 1u);
  EXPECT_EQ(stats.islands[0].op, "foreign");
  EXPECT_EQ(stats.islands[0].name, "scale_1");
  EXPECT_EQ(stats.islands[0].why, why);
  EXPECT_EQ(stats.islands[0].runs, 3u);
}

/// Its capture fails while `runs->refuse`.
ForeignKernel fussy(const std::shared_ptr<Runs>& runs) {
  auto kernel = scale(runs);
  kernel.before_capture = [runs](const ForeignCall&) {
    ++runs->attempts;
    if (runs->refuse) throw std::runtime_error("not now");
  };
  return kernel;
}

TEST(ForeignKernels, AFailedCaptureMakesAnIslandAndPoisonsNothing) {
  const auto runs = std::make_shared<Runs>();
  const Module module = chain(fussy(runs));
  runs->refuse = true;
  {
    const auto graphs = enable_cudagraphs(module);
    for (int i = 0; i < 3; ++i) expect_right(module, 2);
    EXPECT_EQ(runs->attempts, 1);
    EXPECT_EQ(runs->calls, 6);  // three warm-ups, three calls
    const auto stats = module.stats();
    EXPECT_EQ(stats.records, 2u);
    EXPECT_EQ(stats.replays, 6u);
    EXPECT_EQ(count_of(stats.unrecorded_by, "island"), 3u);
    ASSERT_EQ(stats.islands.size(), 1u);
    EXPECT_EQ(stats.islands[0].name, "scale_1");
    EXPECT_EQ(stats.islands[0].why, "recording it failed: [foreign/mylib.scale.default] 'scale_1' failed: not now");
    EXPECT_EQ(stats.islands[0].runs, 3u);
    expect_right(module, 5);  // another shape is another attempt
    EXPECT_EQ(runs->attempts, 2);
  }
  EXPECT_EQ(module.stats().recordings_held, 0u);
  runs->refuse = false;
  const auto graphs = enable_cudagraphs(module);
  expect_right(module, 2);
  EXPECT_EQ(module.stats().recordings_held, 1u);  // in one piece now
}

TEST(ForeignKernels, AFailedCaptureIsAnErrorWhereEverythingMustBeRecorded) {
  const auto runs = std::make_shared<Runs>();
  const Module module = chain(fussy(runs));
  const auto graphs = enable_cudagraphs(module, kStrict);
  runs->refuse = true;
  const auto message = message_of<Error>([&] { expect_right(module, 2); });
  EXPECT_NE(message.find("segment 0 cannot be recorded at"), std::string::npos) << message;
  EXPECT_NE(message.find("not now"), std::string::npos) << message;
  EXPECT_EQ(module.stats().recordings_held, 0u);
  runs->refuse = false;
  expect_right(module, 2);
  EXPECT_EQ(module.stats().recordings_held, 1u);
}

TEST(ForeignKernels, AnIslandMayBeFirstOrLastOrAlone) {
  for (const int where : {0, 1, 2}) {
    PlanMaker m;
    const Ref x = m.input("x", {2}), t = m.temp({2}), y = m.output("y", {2});
    if (where == 0) m.affine(t, y, 1, 0);
    m.foreign("mylib.scale.default", {{"x", where == 1 ? t : x}}, {where == 0 ? t : y}, {{"arg.factor", 3.0}});
    if (where == 1) m.affine(x, t, 1, 0);
    auto& commands = m.plan.blocks[0].commands;
    if (where < 2) std::swap(commands[0], commands[1]);
    const auto runs = std::make_shared<Runs>();
    runs->refuse = true;
    const Module module = module_with(m, {fussy(runs)});
    const auto graphs = enable_cudagraphs(module);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(values(call(module, {ones(2)})[0]), (std::vector<float>{3, 3}));
    EXPECT_EQ(module.stats().records, where == 2 ? 0u : 1u);
  }
}

// ---- registration ----

TEST(ForeignKernels, ALoadedModuleNeedsThoseItWasMadeWith) {
  const std::string path = testing::TempDir() + "foreign.rpz";
  {
    PlanMaker m;
    const Ref x = m.input("x", {2}), y = m.output("y", {2});
    m.foreign("mylib.scale.default", {{"x", x}}, {y}, {{"arg.factor", 3.0}});
    runtime::make_module(m.finish(), Device::cpu(), {}, {.foreign_kernels = {scale()}}).save(path);
  }
  const auto right = [](const Module& module) { EXPECT_EQ(values(call(module, {ones(2)})[0]), (std::vector<float>{3, 3})); };
  EXPECT_EQ(message_of<UnsupportedOp>([&] { (void)Module::load(path); }),
            "[run/load] the module needs the foreign kernel 'mylib.scale.default', which is not registered (register_foreign_kernel, or "
            "LoadOptions::foreign_kernels)");
  const Module given = Module::load(path, {.foreign_kernels = {scale()}});
  right(given);
  right(given.to(Device::cpu()));
  register_foreign_kernel(scale());
  const Module loaded = Module::load(path);
  EXPECT_TRUE(unregister_foreign_kernel("mylib.scale.default"));
  EXPECT_FALSE(unregister_foreign_kernel("mylib.scale.default"));
  right(loaded);
  right(loaded.to(Device::cpu()));
  std::remove(path.c_str());
}

TEST(ForeignKernels, RegistrationRefusesWhatCannotWork) {
  const auto message = [](ForeignKernel kernel) { return message_of<InvalidArgument>([&] { register_foreign_kernel(std::move(kernel)); }); };
  EXPECT_EQ(message({.schema = "scale"}), "[foreign/schema] want \"namespace::op(Tensor x, …) -> Tensor\" (got 'scale')");
  EXPECT_EQ(message({.schema = "a::b(Tensor x) -> Tensor"}), "[foreign/a.b.default] it has neither a host function nor a CUDA function nor NVRTC source");
  EXPECT_EQ(message({.schema = "a::b.out(Tensor x) -> Tensor", .host = [](const ForeignCall&) {}, .requires_output_allocator = true}),
            "[foreign/a.b.out] requires_output_allocator asks for host_sizes or cuda_sizes, and only that");
}

TEST(ForeignKernels, ManyThreadsRegisterAndCall) {
  const Module module = chain(scale());
  Module with_state = stateful();
  with_state.set_state("total", floats({-1000, -1000}));
  std::atomic<bool> done = false;
  std::thread registering([&] {
    while (!done) {
      register_foreign_kernel(scale());
      (void)unregister_foreign_kernel("mylib.scale.default");
    }
  });
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 20; ++i) {
          const auto graphs = i % 4 == t ? std::optional(enable_cudagraphs(module)) : std::nullopt;
          expect_right(module, static_cast<std::size_t>(1 + (i + t) % 3));
          (void)call(with_state, {ones(2), floats({0, 0})});
        }
      });
    }
  }
  done = true;
  registering.join();
  EXPECT_EQ(values(with_state.state("total")), (std::vector<float>{-920, -920}));
}

}  // namespace
}  // namespace reprise::test
