#include "kernels/cpu/tuner.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "kernels/cpu/choices.h"
#include "kernels/machine.h"
#include "kernels/parallel.h"
#include "kernels/tuning.h"

namespace reprise::kernels::cpu {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// For differences. Of one thread only the time that it has a core counts: other processes take some of it.
double seconds_now(int threads) {
  timespec now{};
  ::clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// What a level is ready to spend.
struct Effort {
  double seconds = 0;      // in one compilation
  int rounds = 0;          // of a command's candidates
  bool variants = false;   // compete, too
  std::int64_t least = 0;  // multiplications of a command that is worth it
};
constexpr std::array<Effort, 6> kEfforts = {
    {{}, {0.5, 5, false, 1 << 23}, {1, 5, false, 1 << 21}, {6, 15, true, 1 << 20}, {10, 25, true, 1 << 19}, {60, 51, true, 1 << 16}}};

const Effort& effort(int level) { return kEfforts[static_cast<std::size_t>(std::clamp(level, 0, 5))]; }

/// Two that measure at once would measure each other.
std::mutex& turn() {
  static std::mutex mutex;
  return mutex;
}

/// Memory for a command's operands and for what stands in caches between its runs.
class Memory {
 public:
  Memory(device::DevicePtr device, const StepSpec& spec, std::size_t module_bytes) : device_(std::move(device)), threads_(std::max(1, spec.threads)) {
    for (const auto operands : {spec.inputs, spec.outputs})
      for (const OperandRef& operand : operands) extend(operand);
    const std::size_t slots = static_cast<std::size_t>(parts_.rbegin()->first) + 1;
    table_.assign(slots + 1, nullptr);
    fixed_.assign(slots, nullptr);
    for (const auto& [slot, part] : parts_) {
      const auto at = static_cast<std::size_t>(slot);
      memory_.emplace_back(device_, part.bytes);
      const auto values = sample_values(part.dtype, part.bytes);
      std::memcpy(memory_.back().data(), values.data(), values.size());
      table_[at] = memory_.back().data();
      if (at < spec.fixed.size() && spec.fixed[at] != nullptr)
        fixed_[at] = table_[at];
      else if (is_fresh(spec, slot))
        warm_.push_back({memory_.back().data(), part.bytes});
    }
    plan_eviction(module_bytes);
  }

  /// The command over this memory: weights stay where they are, too.
  [[nodiscard]] StepSpec over(StepSpec spec) const {
    spec.fixed = fixed_;
    spec.first_streamed_slot = std::numeric_limits<int>::max();
    spec.packings = nullptr;
    return spec;
  }

  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] int scratch_slot() const { return static_cast<int>(table_.size()) - 1; }
  void reserve_scratch(std::size_t bytes) {
    if (bytes > scratch_.size()) scratch_ = device::Allocation(device_, bytes);
    table_.back() = scratch_.data();
  }
  [[nodiscard]] void* const* table() const { return table_.data(); }

  /// Before a run: weights, and what was computed a while ago, in no cache where a call would not find them there; what is fresh, in those of the threads.
  void settle() {
    if (evicting_.size() == 0) return;
    read(evicting_.data(), evicting_.size());
    for (const auto& [data, bytes] : warm_) read(data, bytes);
  }

 private:
  struct Part {
    std::size_t bytes = 0;
    DType dtype = DType::f32;
  };
  struct Range {
    const std::byte* data;
    std::size_t bytes;
  };

  void extend(const OperandRef& operand) {
    std::int64_t end = operand.offset + 1;
    for (std::size_t d = 0; d < static_cast<std::size_t>(operand.rank); ++d) end += std::max<std::int64_t>(operand.sizes[d] - 1, 0) * operand.strides[d];
    Part& part = parts_[operand.slot];
    part.bytes = std::max(part.bytes, static_cast<std::size_t>(end) * item_size(operand.dtype));
    part.dtype = operand.dtype;
  }

  /// What the command before computed, and where results alone go. Others, as what is added, were computed longer ago.
  static bool is_fresh(const StepSpec& spec, int slot) {
    const auto is_here = [slot](const OperandRef& operand) { return operand.slot == slot; };
    return is_here(spec.inputs[0]) || std::ranges::none_of(spec.inputs, is_here);
  }

  void plan_eviction(std::size_t module_bytes) {
    const std::size_t own = cache_bytes(2), shared = cache_bytes(3);
    if (module_bytes <= own) return;
    // Candidates take turns: what all of them evict together is what counts for a cache that is too large to be read again and again.
    const std::size_t bytes = std::max(module_bytes > shared ? shared / 4 : 0, 2 * own * static_cast<std::size_t>(threads_));
    evicting_ = device::Allocation(device_, bytes);
    std::memset(evicting_.data(), 1, bytes);
  }

  void read(const std::byte* data, std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    parallel_for(threads_, static_cast<std::int64_t>(bytes / kLine), 1, [&](std::int64_t begin, std::int64_t end, int) {
      unsigned sum = 0;
      for (std::int64_t line = begin; line < end; ++line) sum += static_cast<unsigned>(data[static_cast<std::size_t>(line) * kLine]);
      seen_.fetch_add(sum, std::memory_order_relaxed);  // so that it is read
    });
  }

  device::DevicePtr device_;
  int threads_;
  std::map<int, Part> parts_;
  std::vector<device::Allocation> memory_;
  device::Allocation scratch_, evicting_;
  std::vector<void*> table_, fixed_;
  std::vector<Range> warm_;
  std::atomic<unsigned> seen_ = 0;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Candidate {
  std::string name;
  StepPtr step;
  std::vector<double> seconds;
  double closest = std::numeric_limits<double>::infinity();  // to the best of a round, as a ratio
  bool hopeless = false;

  void run(Memory& memory) {
    memory.settle();
    const double begin = seconds_now(memory.threads());
    step->run(memory.table());
    seconds.push_back(seconds_now(memory.threads()) - begin);
  }
};

/// `candidate` beside `likely`, round by round, so that what slows down a whole round does not count.
double median_ratio(const Candidate& candidate, const Candidate& likely) {
  std::vector<double> ratios;
  for (std::size_t round = 0; round < candidate.seconds.size(); ++round) ratios.push_back(candidate.seconds[round] / likely.seconds[round]);
  return median(std::move(ratios));
}

/// That of the fixed rules first.
std::vector<Candidate> make_candidates(Contractions& kernels, const StepSpec& spec, const std::vector<std::string>& names) {
  std::vector<Candidate> all;
  MadeStep likely = kernels.make(spec);
  all.push_back({likely.kernels.front(), std::move(likely.step), {}});
  for (const std::string& name : names) {
    if (name == all.front().name) continue;
    if (MadeStep made = kernels.make(spec, name); made.step) all.push_back({name, std::move(made.step), {}});
  }
  return all;
}

/// Rounds in which the candidates take turns. False: no time for as many as it takes to compare them.
bool run_rounds(std::vector<Candidate>& all, Memory& memory, int rounds, double seconds) {
  constexpr int kFewest = 3;
  constexpr double kHopeless = 1.2, kHopelessAtOnce = 2;  // times the best of the round, in kFewest rounds, or in fewer
  const auto begin = Clock::now();
  for (int round = 0; round < rounds; ++round) {
    if (seconds_since(begin) > seconds) return round >= kFewest;
    for (Candidate& candidate : all)
      if (!candidate.hopeless) candidate.run(memory);
    // What a processor does for a second at another speed does not count: only those of one round are compared.
    double best = all.front().seconds.back();
    for (const Candidate& candidate : all)
      if (!candidate.hopeless) best = std::min(best, candidate.seconds.back());
    for (Candidate& candidate : all) {
      if (candidate.hopeless) continue;
      candidate.closest = std::min(candidate.closest, candidate.seconds.back() / best);
      candidate.hopeless = &candidate != &all.front() && candidate.closest > (round + 1 < kFewest ? kHopelessAtOnce : kHopeless);
    }
  }
  return true;
}

}  // namespace

Tuner::Tuner(device::DevicePtr device, const TuningOptions& options)
    : device_(std::move(device)), options_(options), seconds_left_(effort(options.level).seconds) {}

std::vector<Measurement> Tuner::measure(const StepSpec& spec) {
  const auto begin = Clock::now();
  const Effort& most = effort(options_.level);
  const auto names = kernels_.names(spec, most.variants);
  if (names.empty()) return {};
  Memory memory(device_, spec, options_.weight_bytes);
  std::vector<Candidate> all = make_candidates(kernels_, memory.over(spec), names);
  if (all.size() < 2) return {};
  for (Candidate& candidate : all) {
    candidate.step->set_scratch_slot(memory.scratch_slot());
    memory.reserve_scratch(candidate.step->scratch_bytes());
  }
  for (Candidate& candidate : all) candidate.step->run(memory.table());  // code and memory that are touched for the first time
  if (!run_rounds(all, memory, most.rounds, seconds_left_ - seconds_since(begin))) return {};
  std::vector<Measurement> measured;
  for (const Candidate& candidate : all) {
    const bool of_library = kernels_.library() != nullptr && candidate.name.starts_with(kernels_.library()->name());
    measured.push_back({candidate.name, median(candidate.seconds) * 1e6, median_ratio(candidate, all.front()), of_library});
  }
  return measured;
}

void Tuner::tune(const StepSpec& spec) {
  if (options_.level == 0 || multiplications(spec) < effort(options_.level).least) return;
  const std::string key = choice_key(spec, version_);
  const std::lock_guard lock(turn());
  if (machine_choices().find(key)) return choices_.add_again(key);
  if (seconds_left_ <= 0) return;
  const auto begin = Clock::now();
  try {
    const auto measured = measure(spec);
    if (!measured.empty()) choices_.add(key, measured, spec.threads);
  } catch (const Error&) {  // a command that breaks the rules: its call says so
  }
  seconds_left_ -= seconds_since(begin);
}

const Measurement& best_choice(const std::vector<Measurement>& measured, int threads, bool libraries) {
  const double clearly = threads == 1 ? 0.97 : 0.93;  // where a core that others use for a while holds up all threads
  const Measurement *first = nullptr, *best = nullptr;
  for (const Measurement& m : measured) {
    if (m.of_library && !libraries) continue;
    if (first == nullptr) first = &m;
    if (best == nullptr || m.ratio < best->ratio) best = &m;
  }
  if (first == nullptr) return best_choice(measured, threads, true);
  return best->ratio < clearly * first->ratio ? *best : *first;
}

void ProgramChoices::add(const std::string& key, const std::vector<Measurement>& measured, int threads) {
  const Measurement &with = best_choice(measured, threads, true), &without = best_choice(measured, threads, false);
  Command command{key, {with.name, with.microseconds}, {without.name, without.microseconds}};
  if (with.of_library && !without.of_library) command.saved = without.microseconds * (1 - with.ratio / without.ratio);
  machine_choices().set(key, library_ ? command.with : command.without);
  commands_.push_back(command);
  count(command);
}

void ProgramChoices::add_again(const std::string& key) {
  const auto command = std::ranges::find(commands_, key, &Command::key);
  if (command != commands_.end()) count(*command);
}

void ProgramChoices::count(const Command& command) {
  constexpr double kWorthIt = 0.1;
  microseconds_ += command.without.microseconds;
  saved_ += command.saved;
  const bool worth_it = saved_ >= kWorthIt * microseconds_;
  if (std::exchange(library_, worth_it) == worth_it) return;
  for (const Command& c : commands_) machine_choices().set(c.key, library_ ? c.with : c.without);
}

}  // namespace reprise::kernels::cpu
