#include "exec/residency.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace reprise::exec {
namespace {

// Starting a copy takes about as long as this many bytes.
constexpr std::size_t kSmall = std::size_t{64} << 10;

std::uint32_t reverse_bits(std::uint32_t value) {
  std::uint32_t reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= (value >> bit & 1u) << (31 - bit);
  return reversed;
}

class Chooser {
 public:
  Chooser(std::span<const StreamableWeight> weights, std::span<const std::vector<int>> readers, std::size_t budget)
      : weights_(weights), readers_(readers), order_(weights.size()) {
    int engines = 0;
    for (const auto& weight : weights) engines = std::max(engines, weight.engine + 1);
    engine_bytes_.resize(static_cast<std::size_t>(engines));
    for (const auto& weight : weights) engine_bytes_[static_cast<std::size_t>(weight.engine)] += weight.bytes;
    const std::size_t total = std::reduce(engine_bytes_.begin(), engine_bytes_.end());
    budget_ = std::min(budget, total);
    shares_ = split_budget(budget_, engine_bytes_);
    sort_by_worth();
  }

  Residency choose() {
    std::set<std::size_t, std::greater<>> caps;
    for (const auto& weight : weights_)
      if (weight.needs_slot()) caps.insert(weight.bytes);
    caps.insert(0);
    std::optional<Choice> best;
    for (const std::size_t cap : caps) {
      auto choice = with_slots_for(cap);
      if (choice && (!best || choice->cost() < best->cost())) best = std::move(choice);
    }
    if (!best) best = fill(shares_, SIZE_MAX, 2);  // the slots come on top
    return {std::move(best->resident), shares_, best->copied > 0 ? best->slots : 0};
  }

 private:
  struct Choice {
    std::vector<bool> resident;
    std::size_t copied = 0;  // bytes in a call
    std::size_t left = 0;    // bytes that are not resident
    int slots = 0;
    [[nodiscard]] std::pair<std::size_t, std::size_t> cost() const { return {copied, left}; }
  };

  /// Best first. Prefixes of numbers by their reversed bits are spread evenly.
  void sort_by_worth() {
    std::iota(order_.begin(), order_.end(), 0u);
    const auto worth = [&](std::uint32_t i) {
      const auto& w = weights_[i];
      return std::tuple(!w.needs_slot(), w.read_in_place, w.bytes > kSmall, -w.uses, reverse_bits(i));
    };
    std::sort(order_.begin(), order_.end(), [&](std::uint32_t a, std::uint32_t b) { return worth(a) < worth(b); });
  }

  /// Everything larger than `cap` resident, slots within the budget. nullopt: it has no room for that.
  [[nodiscard]] std::optional<Choice> with_slots_for(std::size_t cap) const {
    std::size_t slot = 0;
    for (const auto& reads : readers_) {
      std::size_t bytes = 0;
      for (const int id : reads) {
        const auto& weight = weights_[static_cast<std::size_t>(id)];
        if (weight.needs_slot() && weight.bytes <= cap) bytes += room_for_weight(weight.bytes);
      }
      slot = std::max(slot, bytes);
    }
    const int slots = 3 * slot <= budget_ / 4 ? 3 : 2;
    const std::size_t ring = static_cast<std::size_t>(slots) * slot;
    if (ring > budget_) return std::nullopt;
    const auto ring_parts = split_budget(ring, engine_bytes_);
    auto room = shares_;
    for (std::size_t e = 0; e < room.size(); ++e) {
      if (ring_parts[e] > room[e]) return std::nullopt;
      room[e] -= ring_parts[e];
    }
    return fill(std::move(room), cap, slots);
  }

  [[nodiscard]] std::optional<Choice> fill(std::vector<std::size_t> room, std::size_t cap, int slots) const {
    Choice choice{.resident = std::vector<bool>(weights_.size()), .slots = slots};
    const auto take = [&](std::size_t i) {
      std::size_t& left = room[static_cast<std::size_t>(weights_[i].engine)];
      if (weights_[i].bytes > left) return false;
      left -= weights_[i].bytes;
      choice.resident[i] = true;
      return true;
    };
    for (std::size_t i = 0; i < weights_.size(); ++i)
      if (weights_[i].needs_slot() && weights_[i].bytes > cap && !take(i)) return std::nullopt;
    for (const std::size_t i : order_) {
      if (choice.resident[i] || take(i)) continue;
      choice.left += weights_[i].bytes;
      if (weights_[i].needs_slot()) choice.copied += weights_[i].bytes * static_cast<std::size_t>(weights_[i].uses);
    }
    return choice;
  }

  std::span<const StreamableWeight> weights_;
  std::span<const std::vector<int>> readers_;
  std::vector<std::uint32_t> order_;
  std::size_t budget_ = 0;
  std::vector<std::size_t> engine_bytes_, shares_;
};

}  // namespace

std::vector<std::size_t> split_budget(std::size_t budget, std::span<const std::size_t> parts) {
  unsigned __int128 total = 0, seen = 0;
  for (const std::size_t part : parts) total += part;
  std::vector<std::size_t> shares;
  std::size_t given = 0;
  for (const std::size_t part : parts) {
    seen += part;
    const auto until = total == 0 ? 0 : static_cast<std::size_t>(seen * budget / total);
    shares.push_back(until - given);
    given = until;
  }
  return shares;
}

Residency choose_resident(std::span<const StreamableWeight> weights, std::span<const std::vector<int>> readers, std::size_t budget) {
  return Chooser(weights, readers, budget).choose();
}

}  // namespace reprise::exec
