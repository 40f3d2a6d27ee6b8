// The weights of a module: how many of them are on its device, where the others lie, and what changes when the budget does.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "device/device.h"
#include "exec/residency.h"
#include "exec/schedule.h"
#include "exec/weight_blocks.h"
#include "kernels/stored_forms.h"
#include "plan/plan.h"

namespace reprise::exec {

/// Where weights are for the calls that go by it. Immutable; owns the memory that it names.
struct WeightSet {
  std::uint64_t epoch = 0;
  /// By buffer: where a weight lies. Null for other buffers.
  std::vector<void*> addresses;
  /// By buffer: commands that read it find it in a slot, where it is copied for them. Otherwise they read it where it lies.
  std::vector<bool> copied;
  /// By buffer: read where it lies, in a file's mapping, whose pages are dropped behind each command that does.
  std::vector<bool> dropped;
  int slots = 0;
  std::size_t resident_bytes = 0, pinned_bytes = 0;
  /// Binding slots for what is copied, by Stage::id: the first of each stage, counted from 0; and all of them.
  std::vector<int> first_copy;
  int copies = 0;

  struct Piece {
    std::byte* address = nullptr;  // null: used where the plan has it
    bool resident = true;
    // What it is in: the first one of the device, the other one where the device copies from.
    std::shared_ptr<WeightBlock> block = nullptr;
    std::shared_ptr<device::Allocation> pinned = nullptr;
  };
  std::vector<Piece> pieces;
  /// What resident weights of this set take of the blocks that they lie in.
  std::map<std::shared_ptr<WeightBlock>, std::size_t> blocks;
};

/// Thread safe.
class WeightStore {
 public:
  /// Weights are used where they lie when the device can read them, else uploaded: all of them, or under the automatic budget where they may be streamed.
  /// `others`: bytes that a call needs besides. `stored`: forms that commands read in the module's file where a weight is streamed. `plan`, `schedule` and
  /// `stored` must outlive it. Throws OutOfMemory.
  WeightStore(const plan::Plan& plan, const Schedule& schedule, device::DevicePtr device, const kernels::StoredForms& stored, std::size_t others);

  [[nodiscard]] std::shared_ptr<const WeightSet> current() const;
  /// Of `current`: grows whenever that changes.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }

  /// Bytes that can be streamed: none unless the plan says so.
  [[nodiscard]] std::size_t streamable_bytes() const { return streams_ ? total_ : 0; }
  [[nodiscard]] std::size_t budget() const { return budget_.load(std::memory_order_relaxed); }
  /// At most the total. Weights that leave the device go before others come; between these, the ones that stay close ranks where that gives pages back, one
  /// block after the other. `release` is called to have idle contexts let go of the set before. Throws OutOfMemory and DeviceError; then those that did not
  /// come are streamed, and blocks that could not be emptied are tried again by the next call.
  void set_budget(std::size_t bytes, const std::function<void()>& release);
  /// What fits into the device's memory beside `others` bytes and a reserve.
  [[nodiscard]] std::size_t automatic_budget(std::size_t others) const;

  struct Engine {
    int segment = 0;
    std::size_t bytes = 0, budget = 0;
  };
  [[nodiscard]] std::vector<Engine> engines() const;

 private:
  /// Weights of the plan that are the same bytes.
  struct Piece {
    const std::byte* data = nullptr;
    std::size_t bytes = 0;
    bool mapped = false;
    std::vector<plan::BufferId> buffers;
  };

  void find_pieces(const kernels::StoredForms& stored);
  void find_readers();
  void note_reader(const plan::Command& command, std::vector<bool>& only_rows);
  [[nodiscard]] int engine_of(int segment);
  /// What makes a set out of the one before; `emptied`: a block of that, which nothing is to be in.
  struct Change {
    const WeightSet* before = nullptr;
    const WeightBlock* emptied = nullptr;
  };
  [[nodiscard]] std::shared_ptr<WeightSet> make_set(const std::vector<bool>& resident, int slots, const Change& change) const;
  [[nodiscard]] WeightSet::Piece place(std::size_t piece, bool resident, const Change& change, BlockFiller& filler) const;
  void point_at(std::size_t piece, WeightSet& set) const;
  void number_copies(WeightSet& set) const;
  void publish(std::shared_ptr<WeightSet> set);

  const plan::Plan& plan_;
  const Schedule& schedule_;
  device::DevicePtr device_;
  bool streams_;
  std::vector<Piece> pieces_;
  std::vector<int> piece_of_;              // by buffer; -1: not a weight
  std::vector<StreamableWeight> weights_;  // by piece
  std::vector<std::vector<int>> readers_;
  std::vector<int> engines_;  // their segments
  std::size_t total_ = 0;
  std::atomic<std::size_t> budget_ = 0;
  std::atomic<std::uint64_t> epoch_ = 0;
  std::mutex change_;         // one at a time
  mutable std::mutex mutex_;  // of current_
  std::shared_ptr<const WeightSet> current_;
};

}  // namespace reprise::exec
