// The configuration of a module, and the matrix of cuda_graph_strategy and modes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <optional>

#include "plan/rpz.h"
#include "reprise/log.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using runtime::CudaGraphsMode;
using Strategy = CudaGraphStrategy;

/// y = (x + 1) * 2; `broken`: the second half fell back.
PlanMaker chain(bool broken = false) {
  PlanMaker m;
  const Ref x = m.input("x", {3}), a = m.temp({3}), y = m.output("y", {3});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 2, 0);
  if (!broken) return m;
  m.plan.segments.push_back({false, "in fallback_ops"});
  m.plan.blocks[0].commands[1].segment = 1;
  return m;
}
void call_once(const Module& module) { EXPECT_EQ(values(call(module, {floats({1, 2, 3})})[0]), (std::vector<float>{4, 6, 8})); }

std::uint64_t count_of(const std::vector<ReasonCount>& list, const std::string& reason) {
  for (const auto& entry : list)
    if (entry.reason == reason) return entry.count;
  return 0;
}

/// What is logged while this lives.
class Log {
 public:
  Log() {
    set_log_callback([this](LogLevel level, std::string_view text) {
      const std::scoped_lock lock(mutex_);
      lines_.push_back((level == LogLevel::debug ? "debug " : level == LogLevel::info ? "info " : "warning ") + std::string(text));
    });
  }
  ~Log() { set_log_callback({}); }
  [[nodiscard]] int count(std::string_view part) const {
    return static_cast<int>(std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

struct Cell {
  Strategy strategy;
  CudaGraphsMode mode;
  bool recorded, native;
};
class StrategyMatrix : public testing::TestWithParam<Cell> {};

TEST_P(StrategyMatrix, EachCell) {
  const auto [strategy, mode, recorded, native] = GetParam();
  const Log log;
  auto m = chain(mode == CudaGraphsMode::whole_graph_cudagraphs);
  Module module = module_of(m);
  module.set_cuda_graph_strategy(strategy);
  EXPECT_EQ(log.count(strategy == Strategy::disabled ? "debug [run/cudagraphs] cuda_graph_strategy = disabled"
                                                     : "debug [run/cudagraphs] cuda_graph_strategy = whole_graph_capture"),
            1);
  {
    std::optional<runtime::CudaGraphsScope> scope;
    if (mode != CudaGraphsMode::standard) {
      scope.emplace(runtime::enable_cudagraphs(module));
      EXPECT_EQ(scope->mode(), mode);
    }
    for (int i = 0; i < 3; ++i) call_once(module);
    const auto stats = module.stats();
    EXPECT_EQ(stats.replays > 0, recorded);
    EXPECT_EQ(stats.native_replays, native ? stats.replays : 0);
    EXPECT_EQ(stats.plain_enqueues, recorded ? 0u : 3u);
    EXPECT_EQ(stats.records, recorded ? 1u : 0u) << "never two recordings of one thing";
    EXPECT_EQ(log.count("[run/enqueue] on cpu:0 (native)"), native ? 3 : 0);
    EXPECT_EQ(log.count("compiled with cuda_graph_strategy = whole_graph_capture is recorded in every mode"),
              mode == CudaGraphsMode::subgraph_cudagraphs && strategy == Strategy::disabled ? 1 : 0);
  }
  EXPECT_EQ(module.cuda_graph_strategy(), strategy) << "a scope leaves the strategy as it was";
  call_once(module);
  EXPECT_EQ(module.stats().native_replays > 0, strategy == Strategy::whole_graph_capture) << "on again afterwards";
}

INSTANTIATE_TEST_SUITE_P(Cells, StrategyMatrix,
                         testing::Values(Cell{Strategy::disabled, CudaGraphsMode::standard, false, false},
                                         Cell{Strategy::disabled, CudaGraphsMode::subgraph_cudagraphs, true, false},
                                         Cell{Strategy::disabled, CudaGraphsMode::whole_graph_cudagraphs, true, false},
                                         Cell{Strategy::whole_graph_capture, CudaGraphsMode::standard, true, true},
                                         Cell{Strategy::whole_graph_capture, CudaGraphsMode::subgraph_cudagraphs, true, true},
                                         Cell{Strategy::whole_graph_capture, CudaGraphsMode::whole_graph_cudagraphs, true, false}));

TEST(RuntimeConfigs, AChangeRebuildsTheContextOnceAtTheNextCall) {
  auto m = chain();
  Module module = module_of(m);
  call_once(module);
  EXPECT_EQ(module.stats().contexts_rebuilt, 0u);
  module.set_runtime_config({.cuda_graph_strategy = Strategy::whole_graph_capture});
  module.set_runtime_config({.cuda_graph_strategy = Strategy::disabled});
  module.set_runtime_config({.cuda_graph_strategy = Strategy::whole_graph_capture});
  EXPECT_EQ(module.stats().contexts_rebuilt, 0u);
  for (int i = 0; i < 3; ++i) call_once(module);
  EXPECT_EQ(module.stats().contexts_rebuilt, 1u);
  EXPECT_EQ(module.stats().stages_bound, 2u);
  module.set_runtime_config(module.runtime_config());
  for (int i = 0; i < 3; ++i) call_once(module);
  EXPECT_EQ(module.stats().contexts_rebuilt, 1u) << "nothing really changed";
  EXPECT_EQ(module.stats().contexts, 1u);
}

TEST(RuntimeConfigs, AChangeInvalidatesRecordingsAndSaysWhy) {
  auto m = chain();
  Module module = module_of(m);
  const auto graphs = runtime::enable_cudagraphs(module);
  call_once(module);
  module.set_cuda_graph_strategy(Strategy::whole_graph_capture);
  call_once(module);
  EXPECT_EQ(module.stats().records, 2u);
  EXPECT_EQ(count_of(module.stats().records_by, "settings"), 1u);
  EXPECT_EQ(module.stats().recordings_held, 1u);
}

TEST(RuntimeConfigs, ARebuiltContextKeepsTheActiveProfile) {
  PlanMaker m;
  const sym::Expr n = m.symbol("n", 1, 16);
  const Ref x = m.input("x", {n}), y = m.output("y", {n});
  m.affine(x, y, 1, 0);
  m.plan.profiles = {{{1}, {2}, {4}}, {{2}, {8}, {16}}};
  Module module = module_of(m);
  (void)call(module, {floats({1, 2, 3, 4, 5})});
  EXPECT_EQ(module.active_profile(), 1);
  module.set_cuda_graph_strategy(Strategy::whole_graph_capture);
  (void)call(module, {floats({1, 2, 3})});
  EXPECT_EQ(module.stats().contexts_rebuilt, 1u);
  EXPECT_EQ(module.active_profile(), 1);
}

TEST(RuntimeConfigs, StartAsCompiled) {
  PlanMaker m;
  const Ref x = m.input("x", {3}), y = m.output("y", {3});
  m.add(core::Op::copy, {x}, {y});
  m.plan.settings.cuda_graph_strategy = "whole_graph_capture";
  const auto path = testing::TempDir() + "reprise_runtime_config_test.rpz";
  const auto plan = m.finish();
  plan::save(*plan, path);
  for (const Module& module : {runtime::make_module(plan), Module::load(path)}) {
    EXPECT_EQ(module.cuda_graph_strategy(), Strategy::whole_graph_capture);
    (void)call(module, {floats({1, 2, 3})});
    EXPECT_EQ(module.stats().native_replays, 1u);
  }
  m.plan.settings.cuda_graph_strategy = "always";
  plan::save(*m.finish(), path);
  EXPECT_THROW((void)Module::load(path), FormatError);
  std::remove(path.c_str());
}

TEST(RuntimeConfigs, AnUnknownStrategyListsTheValidOnes) {
  EXPECT_EQ(message_of<InvalidArgument>([] { (void)parse_cuda_graph_strategy("always"); }),
            "[run/cudagraphs] unknown cuda_graph_strategy (got 'always', want one of: disabled, whole_graph_capture, per_engine_capture)");
  EXPECT_EQ(parse_cuda_graph_strategy("per_engine_capture"), Strategy::whole_graph_capture);
}

}  // namespace
}  // namespace reprise::test
