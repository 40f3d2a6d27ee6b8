// Which weights stay on the device under a budget: arithmetic, nothing is moved.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace reprise::exec {

/// What a weight of `bytes` bytes takes of a slot or of a block.
constexpr std::size_t room_for_weight(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct StreamableWeight {
  std::size_t bytes = 0;
  int engine = 0;
  int uses = 1;                // commands that read it
  bool read_in_place = false;  // where the host has it: only rows of it, picked by data
  bool stored = false;         // a file holds forms of it, which are read there
  [[nodiscard]] bool needs_slot() const { return !read_in_place && !stored; }
};

struct Residency {
  std::vector<bool> resident;               // by weight
  std::vector<std::size_t> engine_budgets;  // their sum is the budget
  int slots = 0;                            // that the others pass through; each holds what one command reads of them
};

/// `budget` in proportion to `parts`, each within one byte of its share, the sum exact.
std::vector<std::size_t> split_budget(std::size_t budget, std::span<const std::size_t> parts);

/// `readers`: for each command, in order, the weights that it reads. Chosen so that a call copies as little as possible: memory for the slots, of which the
/// largest weight that is not resident decides the size, is weighed against memory for weights. Small weights stay first; those that are copied are spread over
/// the program, so that copies overlap what is computed between them. Resident weights and slots together are within the budget if any choice is; otherwise
/// resident weights alone.
Residency choose_resident(std::span<const StreamableWeight> weights, std::span<const std::vector<int>> readers, std::size_t budget);

}  // namespace reprise::exec
