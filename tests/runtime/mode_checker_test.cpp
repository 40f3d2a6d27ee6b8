// A model checker of the runtime modes: random sequences of calls, scopes and settings, against arithmetic on the host and the rules of the modes. A sequence
// that fails is shrunk and printed. REPRISE_CHECKER_SEED and REPRISE_CHECKER_STEPS choose others; REPRISE_TEST_DEVICE the device.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <optional>
#include <thread>

#include "runtime/mode_checker/world.h"
#include "support/faulty_device.h"

namespace reprise::test::checker {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

struct Found {
  std::size_t step = 0;
  std::string what;
};

std::size_t bytes_held() {
  const FaultyDevice* card = checked_card();
  return card == nullptr ? 0 : card->held() + card->held(device::MemoryKind::pinned);
}

std::optional<Found> run_steps(const std::vector<Step>& steps) {
  const std::size_t before = bytes_held();
  {
    World world;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      try {
        world.take(steps[i]);
      } catch (const std::exception& error) {
        return Found{i, error.what()};
      }
    }
  }
  if (bytes_held() == before) return std::nullopt;
  return Found{steps.size() - 1, "memory is held behind the modules"};
}

/// The fewest steps, found by leaving out ever smaller pieces, that still fail.
std::vector<Step> shrink(std::vector<Step> steps, const Found& found) {
  steps.resize(found.step + 1);
  for (std::size_t piece = steps.size() / 2; piece > 0; piece /= 2) {
    for (std::size_t at = 0; at + piece <= steps.size();) {
      auto fewer = steps;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at), fewer.begin() + static_cast<std::ptrdiff_t>(at + piece));
      if (run_steps(fewer))
        steps = std::move(fewer);
      else
        at += piece;
    }
  }
  return steps;
}

class ModeChecker : public testing::TestWithParam<int> {};

TEST_P(ModeChecker, RandomSequencesFollowTheRules) {
  constexpr std::size_t kSteps = 200;
  const auto first_seed = number_from("REPRISE_CHECKER_SEED", static_cast<std::uint64_t>(GetParam()));
  const auto total = number_from("REPRISE_CHECKER_STEPS", 25000);
  for (std::uint64_t seed = first_seed; seed < first_seed + (total + kSteps - 1) / kSteps; ++seed) {
    const auto steps = make_steps(seed, kSteps);
    const auto found = run_steps(steps);
    if (!found) continue;
    std::string text;
    const auto few = shrink(steps, *found);
    const auto again = run_steps(few);
    for (const Step& step : few) text += "  " + step.str() + "\n";
    FAIL() << "seed " << seed << ", step " << found->step << ": " << found->what << "\nshrunk (" << (again ? again->what : "passes now") << "):\n" << text;
  }
}

/// Calls that add nothing to the module's state, over and over, whatever the modes are.
class Caller {
 public:
  Caller(const World& world, unsigned first) : thread_([this, &world, first] { work(world, first); }) {}
  /// Waits until a call that began later has ended.
  void settle() const {
    for (const unsigned before = calls_; !stop_ && calls_ - before < 2;) std::this_thread::yield();
  }
  ~Caller() {
    stop_ = true;
    thread_.join();
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  [[nodiscard]] std::string problem() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return problem_;
  }

 private:
  void work(const World& world, unsigned first) {
    try {
      for (unsigned i = first; !stop_; ++i, ++calls_) call(world.module(i % kPrograms), i % kPrograms, i % 50);
    } catch (const std::exception& error) {
      problem_ = error.what();
      stop_ = true;
    }
  }
  static void call(const Module& module, unsigned program, unsigned i) {
    const std::size_t n =
        3 + (program == kForeign ? 0 : i % 2);  // fits both profiles; where a recording would fail, modes of the other thread may make that an error
    const Tensor x = on_device(floats(Values(n, static_cast<float>(i)))), cache = on_device(floats(Values(4)));
    const auto results = reprise::test::call(module, {x, cache});
    expect(read(std::get<Tensor>(results[0])) == Values(n, 4 * static_cast<float>(i)), "y in another thread");
    expect(read(std::get<Tensor>(results[2])) == Values(n, 2 * static_cast<float>(i)), "twice in another thread");
    expect(read(cache) == (is_pure(program) ? Values(4) : Values{1, 2, 3, 4}), "the mutated input in another thread");
    expect(runtime::current_device(checked_device().type).index == 0, "the device of another thread");
  }

  std::atomic<bool> stop_ = false;
  std::atomic<unsigned> calls_ = 0;
  std::string problem_;
  std::thread thread_;
};

TEST_P(ModeChecker, RandomSequencesUnderSeveralThreads) {
  constexpr std::size_t kSteps = 200;
  const auto first_seed = number_from("REPRISE_CHECKER_SEED", static_cast<std::uint64_t>(GetParam()));
  const auto total = number_from("REPRISE_CHECKER_STEPS", 25000) / 10;
  for (std::uint64_t seed = first_seed; seed < first_seed + (total + kSteps - 1) / kSteps; ++seed) {
    const std::deque<Caller>* running = nullptr;
    World world(true, [&running] {
      for (const Caller& caller : *running) caller.settle();
    });
    std::deque<Caller> callers;
    for (const unsigned first : {0, 1}) callers.emplace_back(world, first);
    running = &callers;
    std::size_t done = 0;
    try {
      for (const Step& step : make_steps(seed, kSteps)) {
        world.take(step);
        ++done;
      }
    } catch (const std::exception& error) {
      FAIL() << "seed " << seed << ", step " << done << ": " << error.what();
    }
    for (Caller& caller : callers) ASSERT_EQ(caller.problem(), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, ModeChecker, testing::Values(1, 10001, 20001, 30001));

}  // namespace
}  // namespace reprise::test::checker
