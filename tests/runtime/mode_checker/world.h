// A world of modules with open scopes, and what the rules of the modes say about it. Each step is taken and compared with them.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "exec/context.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "runtime/mode_checker/pool.h"
#include "runtime/mode_checker/programs.h"
#include "runtime/mode_checker/steps.h"

namespace reprise::test::checker {

using runtime::CudaGraphOptions;
using runtime::CudaGraphsMode;

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Throws Failure.
inline void expect(bool holds, const std::string& what) {
  if (!holds) throw Failure(what);
}

inline Tensor on_device(const Tensor& tensor) { return runtime::copy_to(tensor, checked_device()); }
template <class T = float>
std::vector<T> read(const Tensor& tensor) {
  return values<T>(runtime::copy_to(tensor, Device::cpu()));
}

enum class Source { fresh, preallocated, allocator };

struct Scope {
  std::unique_ptr<runtime::ModuleScope> guard;
  unsigned module = 0;
  bool graphs = false;
  CudaGraphsMode mode = CudaGraphsMode::standard;
  CudaGraphOptions options = {};
  Source source = Source::fresh;
  std::shared_ptr<Pool> pool = nullptr;
  std::optional<std::int64_t> budget = std::nullopt;          // of a scope of weight streaming
  std::optional<exec::ProfileChoice> profile = std::nullopt;  // of a scope of an optimization profile
  [[nodiscard]] bool of_outputs() const { return !graphs && !budget && !profile; }
};

struct Checked {
  Module module;
  Values total = Values(4);
  std::int64_t weight_bytes = 0;
  CudaGraphStrategy strategy = CudaGraphStrategy::disabled;
  int profile = 0;             // active outside of scopes
  bool changed = false;        // the configuration, since the last call
  Tensor last_y;               // of the call before
  unsigned last_batch = 0;     // that ran at
  std::set<unsigned> held;     // shapes and profiles (and kCut) whose recordings must be there
  std::vector<unsigned> used;  // shapes and profiles, the one used last at the end
};

struct Kept {
  Tensor tensor;
  Values want;
};

/// What a call must give.
struct Wanted {
  Values y, after, twice, cache, moved, extra;
  std::vector<std::int64_t> positions;
};

/// Tensors that are given to `run` again and again; perhaps with a bound call of them, which keeps a context for itself.
struct Bound {
  std::optional<BoundCall> call;
  unsigned n = 0;
  int profile = 0;
  Tensor wide;  // its first n elements are x; every other one is what is called in its place
  Tensor cache;
  std::vector<Tensor> results;

  [[nodiscard]] Tensor x(bool strided) const { return wide.as_strided(std::vector<std::int64_t>{n}, std::vector<std::int64_t>{strided ? 2 : 1}); }
  [[nodiscard]] std::vector<Argument> arguments() const { return {results.begin(), results.end()}; }
};

/// Marks recordings that end with segments.
constexpr unsigned kCut = 1U << 20;

class World {
 public:
  World() : World(false, [] {}) {}
  /// `shared`: other threads call the modules too, so that counts tell nothing; `settle` waits until each of them has begun a call and finished it.
  World(bool shared, std::function<void()> settle);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();
  [[nodiscard]] const Module& module(unsigned index) const { return programs_[index].module; }
  /// Throws Failure when a rule is broken.
  void take(const Step& step);

 private:
  void take_one(const Step& step);
  Checked& at(const Step& step) { return programs_[step.module]; }

  // -- the rules: what is on now --
  CudaGraphsMode* newest_mode();
  CudaGraphsMode mode() { return newest_mode() != nullptr ? *newest_mode() : outside_; }
  /// The newest open scope of a module for which `holds`; null: none.
  template <class F>
  const Scope* newest(unsigned module, F&& holds) const {
    for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it)
      if (it->module == module && holds(*it)) return &*it;
    return nullptr;
  }
  [[nodiscard]] CudaGraphOptions options(unsigned module) const;
  [[nodiscard]] Source source(unsigned module) const;
  [[nodiscard]] std::int64_t budget(unsigned module) const;
  [[nodiscard]] exec::ProfileChoice profile(unsigned module) const;
  static bool fits(int profile, unsigned n) { return profile == 0 ? n <= 4 : n >= 3; }
  /// What a call takes; nullopt: it is an error.
  std::optional<int> choose_profile(unsigned module, unsigned n);
  [[nodiscard]] bool is_safe() const { return !safe_scopes_.empty() && safe_scopes_.back().second; }
  [[nodiscard]] bool is_native(unsigned module) {
    return options(module).cuda_graph_strategy.value_or(programs_[module].strategy) == CudaGraphStrategy::whole_graph_capture &&
           mode() != CudaGraphsMode::whole_graph_cudagraphs;
  }
  [[nodiscard]] bool is_recorded(const Step& step) { return is_native(step.module) || mode() != CudaGraphsMode::standard; }
  static bool has_live_step(const Step& step) { return step.module == kForeign && step.n % 2 == 0; }
  [[nodiscard]] bool must_fail(const Step& step) { return has_live_step(step) && is_recorded(step) && is_strict(step); }
  [[nodiscard]] bool is_strict(const Step& step) const { return options(step.module).on_uncapturable == runtime::OnUncapturable::error; }
  static unsigned shape_key(const Step& step, int profile) { return step.n + 16 * static_cast<unsigned>(profile); }
  /// Recorded engine by engine, around the part that fell back.
  bool is_cut(const Step& step) { return step.module == kBroken && mode() != CudaGraphsMode::whole_graph_cudagraphs; }
  /// The vector's length that a call runs at: that of a bucket.
  [[nodiscard]] unsigned batch_of(const Step& step);
  void check_rules();
  /// The device holds what contexts and resident weights take, and nothing else.
  void check_memory() const;
  [[nodiscard]] std::size_t weight_pages() const;

  // -- scopes and settings --
  void open_profile(const Step& step);
  void open_graphs(const Step& step);
  void open_outputs(const Step& step, Source source);
  void open_streaming(const Step& step);
  void close_scope(const Step& step);
  /// The newest open scope of weight streaming; null: none.
  Scope* streaming(unsigned module);
  void set_budget(Scope& scope, unsigned choice);
  void set_mode(const Step& step);
  void set_strategy(const Step& step);
  void set_current(const Step& step);
  /// The module's place is taken by a replica on the same device, or by what a file holds.
  void replicate(const Step& step);
  void reload(const Step& step);
  void replace(const Step& step, Module by);

  // -- calls --
  void call(const Step& step);
  void bad_call(const Step& step);
  /// A call that another one does not wait for.
  void overlap(const Step& step);
  /// Whether an operation of the device failed under `action`, as the step wants it.
  bool fails(const Step& step, const std::function<void()>& action);
  void failing_budget(const Step& step);
  void failing_module(const Step& step);
  void call_plainly(unsigned module);
  /// Of the values, in one of the ways that a caller may pass them.
  Tensor make_x(const Step& step, Values& all);
  void failing_call(const Step& step, int profile_taken, const Tensor& x, const Tensor& cache_tensor, const Values& cache);
  static std::vector<Tensor> make_outputs(const Step& step);
  std::vector<Argument> run_into(const Step& step, const Tensor& x, const Tensor& cache);
  /// Adds to the total.
  Wanted predict(unsigned module, const Values& x, const Values& cache);
  void check_state(unsigned module) const;
  template <class Kind>
  void refuse(const Step& step, const Tensor& x, const char* what);
  void keep_bound(const Step& step);
  void bind(const Step& step, Bound& bound);
  void run_bound(const Step& step);
  void run_kept(Step step);
  void remember(const Step& step, const std::vector<Argument>& results, bool owned, unsigned batch);

  // -- counts --
  void check_counts(const Step& step, int profile_taken, const ModuleStats& before, const ModuleStats& after, bool owned);
  void check_records(const Step& step, unsigned key, std::uint64_t records, bool recorded, std::size_t most, bool evicts);
  /// Only what fewer than `most` others were used after must be there still, whatever of them is recorded.
  static void note_use(Checked& checked, unsigned key, std::size_t most);

  const bool shared_;
  std::function<void()> settle_;
  FaultyDevice* const card_ = checked_card();
  bool used_other_ = false;  // the other device, in this step
  std::vector<Checked> programs_;
  std::vector<Stream> streams_;
  std::vector<Scope> scopes_;  // open ones, oldest first
  CudaGraphsMode outside_ = CudaGraphsMode::standard;
  std::vector<std::pair<std::unique_ptr<runtime::MultiDeviceSafeModeScope>, bool>> safe_scopes_;
  std::array<std::optional<Bound>, kPrograms> bound_;
  Device current_{checked_device().type, 0};
  std::deque<Kept> kept_;
};

}  // namespace reprise::test::checker
