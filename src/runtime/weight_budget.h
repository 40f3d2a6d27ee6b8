// The budgets of a module's open weight streaming scopes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "runtime/scope_list.h"

namespace reprise::runtime {

/// Thread safe. `apply` brings a budget into force; one at a time.
class WeightBudget {
 public:
  /// `now`: the budget in force.
  template <class Now>
  [[nodiscard]] std::uint64_t open(Now&& now) {
    const std::scoped_lock lock(mutex_);
    const std::size_t budget = now();
    if (scopes_.newest() == nullptr) outside_ = budget;
    return scopes_.open(budget);
  }
  template <class Apply>
  void set(std::size_t bytes, Apply&& apply) {
    const std::scoped_lock lock(mutex_);
    (scopes_.newest() != nullptr ? *scopes_.newest() : outside_) = bytes;
    apply(bytes);
  }
  template <class Apply>
  void close(std::uint64_t id, Apply&& apply) {
    const std::scoped_lock lock(mutex_);
    scopes_.close(id);
    apply(scopes_.newest() != nullptr ? *scopes_.newest() : outside_);
  }

 private:
  std::mutex mutex_;
  std::size_t outside_ = 0;  // of all scopes
  ScopeList<std::size_t> scopes_;
};

}  // namespace reprise::runtime
