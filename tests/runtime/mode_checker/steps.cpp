#include "runtime/mode_checker/steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <random>

#include "runtime/mode_checker/programs.h"

namespace reprise::test::checker {

std::string Step::str() const {
  constexpr const char* kNames[] = {
      "call",           "run",        "enqueue",     "bound",     "bad_call",     "open_graphs", "open_prealloc", "open_allocator",
      "open_streaming", "set_budget", "close_scope", "set_mode",  "set_strategy", "reset_state", "set_state",     "open_profile",
      "open_safe",      "close_safe", "set_current", "replicate", "keep_bound",   "run_bound",   "drop_bound"};
  return fmt::format("{} module={} n={} form={} choice={}", kNames[kind], module, n, form, choice);
}

std::vector<Step> make_steps(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  const auto below = [&](unsigned most) { return static_cast<unsigned>(random() % most); };
  constexpr int kWeights[Step::kKinds] = {40, 15, 10, 8, 3, 7, 4, 4, 3, 5, 18, 4, 3, 2, 2, 5, 2, 2, 4, 1, 2, 6, 1};
  std::discrete_distribution<int> kind(std::begin(kWeights), std::end(kWeights));
  std::vector<Step> steps;
  for (std::size_t i = 0; i < count; ++i) {
    const Step step{kind(random), below(kPrograms), below(6), below(32), below(64)};
    steps.push_back(step);
    if (step.module == kForeign) steps.back().n = std::max(1U, step.n);  // where a length of zero would be an even one
  }
  return steps;
}

}  // namespace reprise::test::checker
