// Values of open scopes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace reprise::runtime {

/// The newest open scope counts; scopes may close in any order. Not thread safe.
template <class T>
class ScopeList {
 public:
  /// Its name for `close`.
  std::uint64_t open(T value) {
    entries_.push_back({++last_id_, std::move(value)});
    return last_id_;
  }
  void close(std::uint64_t id) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.id == id; });
  }
  /// Null when it is closed.
  [[nodiscard]] T* find(std::uint64_t id) {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.id == id; });
    return found == entries_.end() ? nullptr : &found->value;
  }
  /// The newest one's name; 0 when none is open.
  [[nodiscard]] std::uint64_t newest_id() const { return entries_.empty() ? 0 : entries_.back().id; }
  /// Null when none is open.
  [[nodiscard]] T* newest() { return entries_.empty() ? nullptr : &entries_.back().value; }
  [[nodiscard]] const T* newest() const { return entries_.empty() ? nullptr : &entries_.back().value; }
  template <class F>
  [[nodiscard]] bool any(F&& holds) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return holds(entry.value); });
  }

 private:
  struct Entry {
    std::uint64_t id;
    T value;
  };
  std::vector<Entry> entries_;
  std::uint64_t last_id_ = 0;
};

}  // namespace reprise::runtime
