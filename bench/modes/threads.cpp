// One module called by many threads.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "modes/figures.h"
#include "modes/timing.h"

namespace reprise::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr long kFewest = 8;  // calls of a thread

/// One thread's recorded calls into tensors of its own.
struct Caller {
  double calls_per_second = 0, difference = 0;

  void call(const Subject& subject, const std::vector<Tensor>& want, std::atomic<int>& waiting, double seconds) {
    const auto inputs = make_inputs(subject.whole, subject.opt_batch, 1), outputs = make_outputs(subject.whole, inputs);
    subject.whole.run(inputs, outputs);  // records
    for (--waiting; waiting > 0;) std::this_thread::yield();
    const auto begin = Clock::now();
    double passed = 0;
    long calls = 0;
    for (; calls < kFewest || passed < seconds; ++calls, passed = std::chrono::duration<double>(Clock::now() - begin).count())
      subject.whole.run(inputs, outputs);
    calls_per_second = static_cast<double>(calls) / passed;
    difference = bench::difference(outputs, want);
  }
};

std::vector<Caller> call_at_once(const Subject& subject, int threads, const std::vector<Tensor>& want, double seconds) {
  std::vector<Caller> callers(static_cast<std::size_t>(threads));
  std::atomic<int> waiting = threads;
  std::vector<std::jthread> running;
  for (Caller& caller : callers) running.emplace_back([&] { caller.call(subject, want, waiting, seconds); });
  running.clear();
  return callers;
}

}  // namespace

void call_from_threads(const Subject& subject, const Settings& settings, Report& report) {
  constexpr double kLonger = 5;  // than one thread's rounds elsewhere
  constexpr std::array kThreads = {1, 2, 4, 8};
  const auto want = results_of(subject.whole, make_inputs(subject.whole, subject.opt_batch, 1));
  const auto graphs = runtime::enable_cudagraphs(subject.whole);
  std::array<std::vector<double>, kThreads.size()> rates;
  for (int round = 0; round < settings.rounds; ++round)
    for (std::size_t i = 0; i < kThreads.size(); ++i) {
      double sum = 0, apart = 0;
      for (const Caller& caller : call_at_once(subject, kThreads[i], want, kLonger * settings.seconds)) {
        sum += caller.calls_per_second;
        apart = std::max(apart, caller.difference);
      }
      rates[i].push_back(sum);
      report.check(apart <= tolerance(settings), fmt::format("{} from {} threads: results differ by {:.2g}", subject.name, kThreads[i], apart));
    }
  const auto best = [&](std::size_t i) { return *std::max_element(rates[i].begin(), rates[i].end()); };
  for (std::size_t i = 0; i < kThreads.size(); ++i)
    report.row("Threads on one module", subject.name, fmt::format("subgraph, {} thread{}", kThreads[i], i == 0 ? "" : "s"),
               {{"calls/s", number(best(i))}, {": one thread", fmt::format("{:.2f}", best(i) / best(0))}});
}

}  // namespace reprise::bench
