// Ways to call a module that take turns, round by round, and what their calls take: medians of the rounds that other work disturbed least.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "modes/subject.h"

namespace reprise::bench {

/// The calls that are timed inside a way: with new results, into tensors of the caller, not waited for. Those that are empty are left out.
struct Calls {
  std::function<void()> call, run;
  std::function<void(const Stream&)> enqueue;
};

/// Opens scopes, hands the calls in them over, and closes the scopes.
struct Way {
  std::string mode;
  std::function<void(const std::function<void(const Calls&)>& timed)> open;
};

/// Microseconds, the median of the best round; NaN for a call that a way does not have. `host`: what an enqueued call takes the host, many in a
/// row before one wait.
struct Took {
  std::string mode;
  double call = 0, run = 0, host = 0;
};

[[nodiscard]] double least(const std::vector<double>& of_rounds);  // NaN of none
/// Microseconds a call, of as many as fit into settings.seconds, at least three.
[[nodiscard]] double time_of(const std::function<void()>& call, const Settings& settings);
[[nodiscard]] std::vector<Took> compare(const std::vector<Way>& ways, Device device, const Settings& settings);

}  // namespace reprise::bench
