// What a context did. The call that has the context counts; anyone may read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace reprise::exec {

/// One writer at a time, so that counting costs no locked instruction.
class Count {
 public:
  void operator+=(std::uint64_t more) { set(*this + more); }
  void operator-=(std::uint64_t less) { set(*this - less); }
  void operator++() { *this += 1; }
  void operator--() { *this -= 1; }
  operator std::uint64_t() const { return value_.load(std::memory_order_relaxed); }

 private:
  void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  std::atomic<std::uint64_t> value_ = 0;
};

/// Why a stage was recorded.
enum class RecordReason : std::uint8_t { first_sight, data_size, evicted, dropped, profile, weight_budget, settings, mode, kCount };
inline constexpr std::array<const char*, 8> kRecordReasons = {"first_sight", "data_size", "evicted", "dropped", "profile", "weight_budget", "settings", "mode"};

/// Why a stage ran step by step although a recording was asked for.
enum class UnrecordedReason : std::uint8_t { capture_failed, over_bound, verify_mismatch, island, kCount };
inline constexpr std::array<const char*, 4> kUnrecordedReasons = {"capture_failed", "over_bound", "verify_mismatch", "island"};

/// Why an input or output was copied through memory of the context.
enum class StagingReason : std::uint8_t { integer, on_host, other_device, not_contiguous, misaligned, overlaps_output, overlaps_input, kCount };
inline constexpr std::array<const char*, 7> kStagingReasons = {"integer",    "on_host",         "other_device",  "not_contiguous",
                                                               "misaligned", "overlaps_output", "overlaps_input"};

template <class Reason>
using CountsBy = std::array<Count, static_cast<std::size_t>(Reason::kCount)>;

/// Foreign commands that run live between recordings, by their position: why, and how often. Few and rare: a lock does.
class LiveSteps {
 public:
  struct Entry {
    std::string why;
    std::uint64_t runs = 0;
  };
  void note(std::int32_t position, const std::string& why) {
    const std::scoped_lock lock(mutex_);
    entries_[position].why = why;
  }
  void count(std::int32_t position) {
    const std::scoped_lock lock(mutex_);
    ++entries_[position].runs;
  }
  [[nodiscard]] std::map<std::int32_t, Entry> all() const {
    const std::scoped_lock lock(mutex_);
    return entries_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::int32_t, Entry> entries_;
};

struct Counters {
  explicit Counters(int stages) : host_reads(std::make_unique<Count[]>(static_cast<std::size_t>(stages))) {}

  Count calls, failed_calls, bound_calls, rebuilds;
  Count plain_enqueues, replays, native_replays, verified_replays, patched_addresses;
  CountsBy<RecordReason> records;
  CountsBy<UnrecordedReason> unrecorded;
  Count recordings_evicted, recordings_dropped;
  CountsBy<StagingReason> staged_inputs, staged_outputs;
  Count staged_bytes, device_switches;
  Count streamed_weights, streamed_bytes;
  Count shapes_bound, shapes_evicted, stages_bound;
  Count memory_growths, output_allocations, output_reuses, allocator_requests;
  Count shapes_held, recordings_held, recording_bytes;  // now
  Count warm_ups;
  std::unique_ptr<Count[]> host_reads;  // by Stage::id
  LiveSteps live;
};

template <class Reason>
Count& of(CountsBy<Reason>& counts, Reason reason) {
  return counts[static_cast<std::size_t>(reason)];
}

}  // namespace reprise::exec
