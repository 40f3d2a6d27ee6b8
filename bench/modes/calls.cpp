// Recordings, addresses and the modes beside each other.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <memory>

#include "modes/figures.h"
#include "modes/timing.h"

namespace reprise::bench {
namespace {

using Body = std::function<void()>;
struct Mode {
  std::string name;
  std::function<void(const Body&)> with;  // runs a body in this mode
};

struct SubgraphMode {
  SubgraphMode() { runtime::set_cudagraphs_mode(true); }
  SubgraphMode(const SubgraphMode&) = delete;
  SubgraphMode& operator=(const SubgraphMode&) = delete;
  ~SubgraphMode() { runtime::set_cudagraphs_mode(false); }
};

struct NativeStrategy {
  Module module;
  explicit NativeStrategy(const Module& m) : module(m) { module.set_cuda_graph_strategy(CudaGraphStrategy::whole_graph_capture); }
  NativeStrategy(const NativeStrategy&) = delete;
  NativeStrategy& operator=(const NativeStrategy&) = delete;
  ~NativeStrategy() { module.set_cuda_graph_strategy(CudaGraphStrategy::disabled); }
};

Mode standard() {
  return {"standard", [](const Body& body) { body(); }};
}
Mode subgraph() {
  return {"subgraph", [](const Body& body) {
            const SubgraphMode mode;
            body();
          }};
}
/// Of a module with breaks.
Mode whole(const Module& module) {
  return {"whole graph", [module](const Body& body) {
            const auto graphs = runtime::enable_cudagraphs(module);
            body();
          }};
}
Mode native(const Module& module) {
  return {"native strategy", [module](const Body& body) {
            const NativeStrategy strategy(module);
            body();
          }};
}
Mode pre_allocated(const Module& module, const Mode& mode, const std::string& name) {
  return {name, [module, with = mode.with](const Body& body) {
            const auto outputs = runtime::enable_pre_allocated_outputs(module);
            with(body);
          }};
}

/// The modes in which a module is recorded, with the program's form for each.
std::vector<std::pair<Mode, Module>> recorded_modes(const Subject& subject) {
  std::vector<std::pair<Mode, Module>> modes = {{subgraph(), subject.whole}, {native(subject.whole), subject.whole}};
  if (subject.broken) modes.emplace_back(whole(*subject.broken), *subject.broken);
  return modes;
}

std::string name_of(const Subject& subject, const Mode& mode) {
  return mode.name == "whole graph" ? fmt::format("{}, {} breaks", subject.name, subject.breaks) : subject.name;
}

std::uint64_t staged(const ModuleStats& stats) { return stats.staged_inputs + stats.staged_outputs; }

void check_results(const Module& module, const std::vector<Tensor>& inputs, const std::vector<Tensor>& want, const std::string& what, const Settings& settings,
                   Report& report) {
  const double apart = difference(results_of(module, inputs), want);
  report.check(apart <= tolerance(settings), fmt::format("{}: results differ by {:.2g}", what, apart));
}

std::string microseconds(double value) { return std::isnan(value) ? "" : number(value); }
std::string ratio(double value, double base) { return std::isnan(value / base) ? "" : fmt::format("{:.2f}", value / base); }

/// Standard mode first: what the others are compared with.
std::vector<Way> ways_of(const Module& module, bool broken, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, const Body& check) {
  const auto way = [&](const Mode& mode, const Calls& calls) {
    return Way{mode.name, [with = mode.with, calls, check](const auto& timed) {
                 with([&] {
                   timed(calls);
                   check();
                 });
               }};
  };
  const auto bound = [&](const Mode& mode) {
    return Way{"bound, " + mode.name, [=, with = mode.with](const auto& timed) {
                 with([&] {
                   const auto call = module.bind(inputs, outputs);
                   timed({.call = {}, .run = [&] { call(); }, .enqueue = [&](const Stream& s) { call.enqueue(s); }});
                 });
               }};
  };
  const Calls all = {
      .call = [=] { module(inputs); }, .run = [=] { module.run(inputs, outputs); }, .enqueue = [=](const Stream& s) { module.enqueue(inputs, outputs, s); }};
  const Calls results = {.call = all.call, .run = {}, .enqueue = {}};
  std::vector<Way> ways = {way(standard(), all), way(subgraph(), all)};
  if (broken) ways.push_back(way(whole(module), all));
  ways.push_back(way(native(module), all));
  ways.push_back(bound(standard()));
  ways.push_back(bound(broken ? whole(module) : subgraph()));
  ways.push_back(way(pre_allocated(module, standard(), "pre-allocated"), results));
  ways.push_back(way(pre_allocated(module, subgraph(), "pre-allocated, subgraph"), results));
  return ways;
}

void compare_modes_of(const Module& module, bool broken, const std::string& name, const std::vector<Tensor>& want, const Subject& subject,
                      const Settings& settings, Report& report) {
  const auto inputs = make_inputs(module, subject.opt_batch, 1);
  const auto outputs = make_outputs(module, inputs);
  const auto check = [&] { check_results(module, inputs, want, name, settings, report); };
  const auto took = compare(ways_of(module, broken, inputs, outputs, check), module.device(), settings);
  for (const auto& t : took)
    report.row("Time by mode, us", name, t.mode,
               {{"call", microseconds(t.call)},
                {": standard", ratio(t.call, took[0].call)},
                {"run", microseconds(t.run)},
                {": standard", ratio(t.run, took[0].run)},
                {"host", microseconds(t.host)},
                {": standard", ratio(t.host, took[0].host)}});
}

}  // namespace

void compare_modes(const Subject& subject, const Settings& settings, Report& report) {
  const auto want = results_of(subject.whole, make_inputs(subject.whole, subject.opt_batch, 1));
  compare_modes_of(subject.whole, false, subject.name, want, subject, settings, report);
  if (subject.broken) compare_modes_of(*subject.broken, true, fmt::format("{}, {} breaks", subject.name, subject.breaks), want, subject, settings, report);
}

void alternate_shapes(const Subject& subject, const Settings& settings, Report& report) {
  if (!subject.is_dynamic()) return;
  constexpr int kCalls = 1000;
  for (const auto& [mode, module] : recorded_modes(subject)) {
    std::vector<std::vector<Tensor>> inputs, want;
    for (const std::int64_t batch : {subject.max_batch, std::max(subject.min_batch, subject.max_batch / 2)})
      want.push_back(results_of(module, inputs.emplace_back(make_inputs(module, batch, 3))));
    mode.with([&, &m = module, &mode_name = mode.name] {
      const auto before = m.stats();
      for (std::size_t i = 0; i < kCalls; ++i) (void)m(inputs[i % 2]);
      const auto after = m.stats();
      report.row("Two shapes in turn", subject.name, mode_name,
                 {{"calls", fmt::format("{}", kCalls)},
                  {"records", fmt::format("{}", after.records - before.records)},
                  {"replays", fmt::format("{}", after.replays - before.replays)}});
      for (std::size_t i = 0; i < 2; ++i) check_results(m, inputs[i], want[i], subject.name + ", two shapes, " + mode_name, settings, report);
    });
  }
}

void change_addresses(const Subject& subject, const Settings& settings, Report& report) {
  constexpr std::size_t kInputs = 5, kOutputs = 7, kCalls = kInputs * kOutputs * 6;
  for (const auto& [mode, module] : recorded_modes(subject)) {
    std::vector<std::vector<Tensor>> inputs, outputs, want;
    for (unsigned i = 0; i < kInputs; ++i) want.push_back(results_of(module, inputs.emplace_back(make_inputs(module, subject.opt_batch, i))));
    while (outputs.size() < kOutputs) outputs.push_back(make_outputs(module, inputs[0]));
    mode.with([&, &m = module, &mode_name = mode.name] {
      m.run(inputs[0], outputs[0]);  // records
      const auto before = m.stats();
      const auto begin = std::chrono::steady_clock::now();
      std::size_t calls = 1;
      for (; calls < kCalls && std::chrono::steady_clock::now() - begin < std::chrono::duration<double>(settings.seconds * 40); ++calls)
        m.run(inputs[calls % kInputs], outputs[calls % kOutputs]);
      const auto after = m.stats();
      report.row("Other tensors in every call", name_of(subject, mode), mode_name,
                 {{"calls", fmt::format("{}", calls - 1)},
                  {"re-records", fmt::format("{}", after.records - before.records)},
                  {"staged copies", fmt::format("{}", staged(after) - staged(before))},
                  {"addresses patched", fmt::format("{}", after.patched_addresses - before.patched_addresses)}});
      for (std::size_t i = 0; i < kInputs; ++i) {
        m.run(inputs[i], outputs[i]);
        const double apart = difference(outputs[i], want[i]);
        report.check(apart <= tolerance(settings), fmt::format("{}, other tensors, {}: results differ by {:.2g}", subject.name, mode_name, apart));
      }
    });
  }
}

}  // namespace reprise::bench
