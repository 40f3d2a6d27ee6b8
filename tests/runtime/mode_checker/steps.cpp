#include "runtime/mode_checker/steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <random>

#include "runtime/mode_checker/programs.h"

namespace reprise::test::checker {

std::string Step::str() const {
  constexpr const char* kNames[] = {
      "call",        "run",         "enqueue",    "bound",        "bad_call",    "open_graphs", "open_prealloc", "open_allocator", "open_streaming",
      "set_budget",  "close_scope", "set_mode",   "set_strategy", "reset_state", "set_state",   "open_profile",  "open_safe",      "close_safe",
      "set_current", "replicate",   "keep_bound", "run_bound",    "drop_bound",  "overlap",     "reload",        "failing_budget", "failing_module"};
  return fmt::format("{} module={} n={} form={} choice={}", kNames[kind], module, n, form, choice);
}

std::vector<Step> make_steps(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  const auto below = [&](unsigned most) { return static_cast<unsigned>(random() % most); };
  int weights[Step::kKinds] = {40, 15, 10, 8, 3, 7, 4, 4, 3, 5, 18, 4, 6, 2, 2, 5, 2, 2, 4, 1, 4, 8, 1, 1, 1, 5, 1};
  // Each sequence does without some kinds of steps, which would get in the way of what the others show.
  for (int& weight : weights)
    if (below(3) == 0) weight = 0;
  weights[Step::call] += 10;
  std::discrete_distribution<int> kind(std::begin(weights), std::end(weights));
  const auto draw = [&](unsigned module) {
    Step step{kind(random), module, below(6), below(32), below(64)};
    if (module == kForeign) step.n = std::max(1U, step.n);  // where a length of zero would be an even one
    return step;
  };
  std::vector<Step> steps;
  while (steps.size() < count) {
    // Half of the steps are about the module of the one before: many rules take several steps to be broken.
    const unsigned again = below(2), module = below(kPrograms);
    steps.push_back(draw(again != 0 && !steps.empty() ? steps.back().module : module));
    if (steps.back().kind != Step::run_bound || below(2) != 0) continue;
    // The same calls around changes.
    const Step calls = steps.back();
    do steps.push_back(draw(calls.module));
    while (steps.back().kind <= Step::bad_call);
    steps.push_back(calls);
  }
  steps.resize(count);
  return steps;
}

}  // namespace reprise::test::checker
