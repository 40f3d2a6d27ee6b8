// What the checker of the runtime modes does to a world of modules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace reprise::test::checker {

struct Step {
  enum Kind {
    call,
    run,
    enqueue,
    bound,
    bad_call,
    open_graphs,
    open_prealloc,
    open_allocator,
    open_streaming,
    set_budget,
    close_scope,
    set_mode,
    set_strategy,
    reset_state,
    set_state,
    open_profile,
    open_safe,
    close_safe,
    set_current,
    replicate,
    keep_bound,
    run_bound,
    drop_bound,
    overlap,
    reload,
    failing_budget,
    failing_module,
    kKinds
  };
  int kind = call;
  unsigned module = 0, n = 1, form = 0, choice = 0;

  /// For people.
  [[nodiscard]] std::string str() const;
};

/// At random, the same of one seed.
[[nodiscard]] std::vector<Step> make_steps(std::uint64_t seed, std::size_t count);

}  // namespace reprise::test::checker
