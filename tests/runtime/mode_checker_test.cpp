// A model checker of the runtime modes: random sequences of calls, scopes and settings, against arithmetic on the host and the rules of the modes. A sequence
// that fails is shrunk and printed. REPRISE_CHECKER_SEED and REPRISE_CHECKER_STEPS choose others; REPRISE_TEST_DEVICE the device.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "device/current.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;
using runtime::CudaGraphOptions;
using runtime::CudaGraphsMode;
using sym::Expr;
using Values = std::vector<float>;

Device checked_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}
std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoull(text, nullptr, 10);
}

// ---- programs ----

core::Attrs binary(ScalarOp op, DType result) {
  std::vector<Instr> code = {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = op, .type = result, .a = 0, .b = 1}};
  return {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32, DType::f32}, {}, std::move(code), {2}})}};
}

enum Program { kStraight, kBroken, kDynamic, kForeign, kPrograms };
constexpr float kLimit = 50;
constexpr std::int64_t kWeightBytes[kPrograms] = {48, 48, 68, 48};

/// Recordings fail where the vector's length is even.
ForeignKernel twice_kernel() {
  return {.schema = "checker::twice(Tensor x) -> Tensor",
          .host =
              [](const ForeignCall& call) {
                for (std::int64_t i = 0; i < call.input(0).numel(); ++i) call.output().data_as<float>()[i] = 2 * call.input(0).data_as<float>()[i];
              },
          .before_capture =
              [](const ForeignCall& call) {
                if (call.input(0).numel() % 2 == 0) throw std::runtime_error("an even length");
              }};
}
ForeignKernel advance_kernel() {
  return {.schema = "checker::advance_(Tensor(a!) x, Tensor step) -> ()", .host = [](const ForeignCall& call) {
            for (std::int64_t i = 0; i < call.input(0).numel(); ++i) call.input(0).data_as<float>()[i] += call.input(1).data_as<float>()[i];
          }};
}

/// y = 4 x; twice = 2 x, read after y is written; total += cache; cache += w in three parts; after = total; kDynamic also: positions of x != 0; total[0] <
/// kLimit ? total + w : total + total. kForeign leaves half of it to foreign kernels.
Module make_program(Program program) {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  const Expr s = m.symbol("s", 1, 8);
  const Ref x = m.input("x", {s}), cache = m.input("cache", {4}, DType::f32, true), total = m.state("total", {0, 0, 0, 0});
  const Ref t = m.temp({s}), y = m.output("y", {s}), after = m.output("after", {4}), twice = m.output("twice", {s});
  const auto add = binary(ScalarOp::add, DType::f32);
  m.plan.profiles = {{{1}, {2}, {4}}, {{3}, {4}, {8}}};  // of s
  if (program == kForeign)
    m.foreign("checker.twice.default", {{"x", x}}, {t});
  else
    m.add(core::Op::pointwise, {x, x}, {t}, add);
  m.add(core::Op::pointwise, {t, t}, {y}, add).segment = program == kBroken ? 1 : 0;
  if (program == kBroken) m.plan.segments.push_back({false, "in fallback_ops"});
  m.add(core::Op::pointwise, {x, x}, {twice}, add);
  const auto accumulate = [&](const Ref& to, const Ref& from) {
    if (program == kForeign)
      m.foreign("checker.advance_.default", {{"x", to}, {"step", from}}, {}, {}, {0});
    else
      m.add(core::Op::pointwise, {to, from}, {to}, add);
  };
  accumulate(total, cache);
  for (const Values& part : {Values{1, 1, 1, 1}, Values{0, 1, 1, 2}, Values{0, 0, 1, 1}}) accumulate(cache, m.weight("part", part));
  m.add(core::Op::copy, {total}, {after});
  if (program != kDynamic) return runtime::make_module(m.finish(), checked_device(), {}, {.foreign_kernels = {twice_kernel(), advance_kernel()}});
  const Expr u = m.symbol("u0", 0, 8, true);
  for (auto& profile : m.plan.profiles)
    for (auto* bounds : {&profile.min, &profile.opt, &profile.max}) bounds->push_back(bounds == &profile.max ? 8 : 0);
  const Ref positions = m.output("positions", {u, 1}, DType::i64, s * 8), count = m.temp({1}, DType::i64), branch = m.output("branch", {4});
  m.nonzero(x, positions, count, "u0");
  const Ref w = m.weight("w", {1, 2, 3, 4}), limit = m.weight("limit", {kLimit}), pred = m.temp({}, DType::boolean);
  m.add(core::Op::pointwise, {{total.buffer, DType::f32, {}}, {limit.buffer, DType::f32, {}}}, {pred}, binary(ScalarOp::lt, DType::boolean));
  const int then_block = m.block(), else_block = m.block();
  m.cond(pred, {branch}, then_block, else_block);
  m.add(core::Op::pointwise, {total, w}, {branch}, add, then_block);
  m.add(core::Op::pointwise, {total, total}, {branch}, add, else_block);
  return runtime::make_module(m.finish(), checked_device());
}

// ---- steps ----

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
    kKinds
  };
  int kind = call;
  unsigned module = 0, n = 1, form = 0, choice = 0;

  [[nodiscard]] std::string str() const {
    constexpr const char* kNames[] = {"call",         "run",           "enqueue",        "bound",          "bad_call",
                                      "open_graphs",  "open_prealloc", "open_allocator", "open_streaming", "set_budget",
                                      "close_scope",  "set_mode",      "set_strategy",   "reset_state",    "set_state",
                                      "open_profile", "open_safe",     "close_safe",     "set_current",    "replicate"};
    return fmt::format("{} module={} n={} form={} choice={}", kNames[kind], module, n, form, choice);
  }
};

std::vector<Step> make_steps(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  const auto below = [&](unsigned most) { return static_cast<unsigned>(random() % most); };
  constexpr int kWeights[Step::kKinds] = {40, 15, 10, 8, 3, 7, 4, 4, 3, 5, 18, 4, 3, 2, 2, 5, 2, 2, 4, 1};
  std::discrete_distribution<int> kind(std::begin(kWeights), std::end(kWeights));
  std::vector<Step> steps;
  for (std::size_t i = 0; i < count; ++i) steps.push_back({kind(random), below(kPrograms), 1 + below(5), below(32), below(64)});
  return steps;
}

// ---- the world and its model ----

class Pool final : public runtime::OutputAllocator {
 public:
  std::atomic<std::size_t> y_bytes = 0;  // asked last

  explicit Pool(unsigned style) : refuse_bounds_(style % 2 != 0), reuse_(style / 2 % 2 != 0) {}
  Tensor allocate(const runtime::OutputRequest& request) override {
    if (request.index == 0) y_bytes = request.bytes;
    if (request.is_bound && refuse_bounds_) return {};
    const std::int64_t sizes[] = {static_cast<std::int64_t>(request.bytes) + 16};
    Tensor fresh = runtime::empty(sizes, DType::u8, request.device);
    if (!reuse_) return fresh;
    Tensor& kept = kept_[2 * request.index + request.is_bound];
    if (!kept.defined() || kept.nbytes() < request.bytes) kept = fresh;
    return kept;
  }

 private:
  bool refuse_bounds_, reuse_;
  std::array<Tensor, 16> kept_;
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void expect(bool holds, const std::string& what) {
  if (!holds) throw Failure(what);
}

Tensor on_device(const Tensor& tensor) { return runtime::copy_to(tensor, checked_device()); }
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
  std::set<unsigned> held;     // shapes and profiles (and kCut) whose recordings must be there
  std::vector<unsigned> used;  // shapes and profiles, the one used last at the end
};

struct Kept {
  Tensor tensor;
  Values want;
};

/// Marks recordings that end with segments.
constexpr unsigned kCut = 1U << 20;

class World {
 public:
  /// `shared`: other threads call the modules too, so that counts tell nothing.
  explicit World(bool shared = false) : shared_(shared) {
    for (int p = 0; p < kPrograms; ++p)
      programs_.push_back({make_program(static_cast<Program>(p)), Values(4), kWeightBytes[p], CudaGraphStrategy::disabled, 0, false, {}, {}, {}});
    for (int i = 0; i < 2; ++i) streams_.emplace_back(checked_device());
  }
  ~World() {
    scopes_.clear();
    safe_scopes_.clear();
    runtime::set_cudagraphs_mode(false);
    runtime::set_current_device(Device{checked_device().type, 0});
  }

  [[nodiscard]] const Module& module(unsigned index) const { return programs_[index].module; }

  void take(const Step& step) {
    switch (step.kind) {
      case Step::call:
      case Step::run:
      case Step::enqueue:
      case Step::bound:
        call(step);
        break;
      case Step::bad_call:
        bad_call(step);
        break;
      case Step::open_graphs:
        open_graphs(step);
        break;
      case Step::open_prealloc:
        open_outputs(step, Source::preallocated);
        break;
      case Step::open_allocator:
        open_outputs(step, Source::allocator);
        break;
      case Step::open_streaming:
        open_streaming(step);
        break;
      case Step::set_budget:
        set_budget(step);
        break;
      case Step::close_scope:
        close_scope(step);
        break;
      case Step::set_mode:
        runtime::set_cudagraphs_mode(step.choice % 2 != 0);
        (newest_mode() != nullptr ? *newest_mode() : outside_) = step.choice % 2 != 0 ? CudaGraphsMode::subgraph_cudagraphs : CudaGraphsMode::standard;
        break;
      case Step::set_strategy:
        if (const auto before = std::exchange(at(step).strategy, step.choice % 2 != 0 ? CudaGraphStrategy::whole_graph_capture : CudaGraphStrategy::disabled);
            before != at(step).strategy) {
          at(step).held.clear();
          at(step).changed = true;
        }
        at(step).module.set_cuda_graph_strategy(at(step).strategy);
        break;
      case Step::reset_state:
        at(step).module.reset_state();
        at(step).total = Values(4);
        break;
      case Step::set_state:
        at(step).total = Values(4, static_cast<float>(step.choice));
        at(step).module.set_state("total", floats(at(step).total));
        break;
      case Step::open_profile:
        open_profile(step);
        break;
      case Step::open_safe:
        safe_scopes_.emplace_back(std::make_unique<runtime::MultiDeviceSafeModeScope>(step.choice % 3 != 0), step.choice % 3 != 0);
        break;
      case Step::close_safe:
        if (!safe_scopes_.empty()) safe_scopes_.erase(safe_scopes_.begin() + static_cast<std::ptrdiff_t>(step.choice % safe_scopes_.size()));
        break;
      case Step::set_current:
        current_ = {checked_device().type, static_cast<int>(step.choice % static_cast<unsigned>(std::min(4, device::count(checked_device().type))))};
        runtime::set_current_device(current_);
        break;
      case Step::replicate:
        replicate(step);
        break;
    }
    expect(runtime::get_cudagraphs_mode() == (mode() == CudaGraphsMode::subgraph_cudagraphs), "get_cudagraphs_mode()");
    expect(runtime::get_whole_cudagraphs_mode() == (mode() == CudaGraphsMode::whole_graph_cudagraphs), "get_whole_cudagraphs_mode()");
    for (unsigned m = 0; m < kPrograms; ++m)
      expect(runtime::is_weight_streaming_set(programs_[m].module) == (budget(m) < programs_[m].weight_bytes), "the budget");
    expect(runtime::get_multi_device_safe_mode() == is_safe(), "get_multi_device_safe_mode()");
    expect(runtime::current_device(checked_device().type) == current_, "the caller's current device changed");
    for (unsigned m = 0; m < kPrograms && !shared_; ++m) expect(programs_[m].module.active_profile() == profile(m).active, "the active profile");
    for (const Kept& kept : kept_) expect(read(kept.tensor) == kept.want, "a result of an earlier call changed");
  }

 private:
  Checked& at(const Step& step) { return programs_[step.module]; }

  // -- the rules --

  CudaGraphsMode* newest_mode() {
    for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it)
      if (it->graphs) return &it->mode;
    return nullptr;
  }
  CudaGraphsMode mode() { return newest_mode() != nullptr ? *newest_mode() : outside_; }
  template <class F>
  const Scope* newest(unsigned module, F&& holds) const {
    for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it)
      if (it->module == module && holds(*it)) return &*it;
    return nullptr;
  }
  CudaGraphOptions options(unsigned module) const {
    const Scope* scope = newest(module, [](const Scope& s) { return s.graphs; });
    return scope != nullptr ? scope->options : CudaGraphOptions{};
  }
  Source source(unsigned module) const {
    const Scope* scope = newest(module, [](const Scope& s) { return s.of_outputs(); });
    return scope != nullptr ? scope->source : Source::fresh;
  }

  std::int64_t budget(unsigned module) const {
    const Scope* scope = newest(module, [](const Scope& s) { return s.budget.has_value(); });
    return scope != nullptr ? *scope->budget : programs_[module].weight_bytes;
  }

  exec::ProfileChoice profile(unsigned module) const {
    const Scope* scope = newest(module, [](const Scope& s) { return s.profile.has_value(); });
    return scope != nullptr ? *scope->profile : exec::ProfileChoice{.active = programs_[module].profile, .fixed = false};
  }
  static bool fits(int profile, unsigned n) { return profile == 0 ? n <= 4 : n >= 3; }
  /// What a call takes; nullopt: it is an error.
  std::optional<int> choose_profile(unsigned module, unsigned n) {
    const auto now = profile(module);
    if (fits(now.active, n)) return now.active;
    if (now.fixed) return std::nullopt;
    const int chosen = fits(0, n) ? 0 : 1;
    for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it) {
      if (it->module != module || !it->profile) continue;
      it->profile->active = chosen;
      return chosen;
    }
    return programs_[module].profile = chosen;
  }
  bool is_safe() const { return !safe_scopes_.empty() && safe_scopes_.back().second; }
  static std::optional<Device> other_device() {
    const Device own = checked_device();
    if (device::count(own.type) <= own.index + 1) return std::nullopt;
    return Device{own.type, own.index + 1};
  }

  // -- steps --

  void open_profile(const Step& step) {
    const int index = static_cast<int>(step.choice % 4) - 1;
    auto& module = at(step).module;
    if (index == 2) {
      try {
        (void)runtime::optimization_profile(module, index);
        expect(false, "a profile that is not there was chosen");
      } catch (const InvalidArgument&) {
      }
      return;
    }
    const exec::ProfileChoice choice{.active = index == runtime::kAutoProfile ? profile(step.module).active : index, .fixed = index != runtime::kAutoProfile};
    Scope scope{std::make_unique<runtime::ModuleScope>(runtime::optimization_profile(module, index)), step.module};
    scope.profile = choice;
    scopes_.push_back(std::move(scope));
  }

  /// The module's place is taken by a replica on the same device.
  void replicate(const Step& step) {
    if (shared_ || newest(step.module, [](const Scope&) { return true; }) != nullptr) return;
    Checked& checked = at(step);
    checked.module = checked.module.to(checked_device());
    checked.total = Values(4);
    checked.held.clear();
    checked.changed = false;
    checked.last_y = {};
    expect(checked.module.cuda_graph_strategy() == checked.strategy, "a replica's settings");
  }

  void open_graphs(const Step& step) {
    CudaGraphOptions options;
    options.verify_first_replay = step.form % 3 == 0;
    options.max_recordings = 1 + step.choice % 4;
    if (step.choice % 5 == 0) options.max_recording_bytes = 1;
    if (step.form % 4 == 0) options.cuda_graph_strategy = step.form % 8 == 0 ? CudaGraphStrategy::disabled : CudaGraphStrategy::whole_graph_capture;
    if (step.choice % 7 == 0) options.on_uncapturable = runtime::OnUncapturable::error;
    const bool strict = options.on_uncapturable == runtime::OnUncapturable::error;
    if (strict) options.max_recording_bytes = CudaGraphOptions{}.max_recording_bytes;
    const bool allocator = newest(step.module, [](const Scope& s) { return s.source == Source::allocator; }) != nullptr;
    const bool refused = strict && (step.module == kDynamic || allocator);
    try {
      auto guard = runtime::enable_cudagraphs(at(step).module, options);
      expect(!refused, "a strict recording was not refused");
      const auto want = step.module == kBroken ? CudaGraphsMode::whole_graph_cudagraphs : CudaGraphsMode::subgraph_cudagraphs;
      expect(guard.mode() == want, "the scope's mode");
      scopes_.push_back({std::make_unique<runtime::CudaGraphsScope>(std::move(guard)), step.module, true, want, options, Source::fresh});
    } catch (const ModeConflict&) {
      expect(refused, "a scope was refused");
    }
  }

  void open_outputs(const Step& step, Source source) {
    const bool strict = newest(step.module, [](const Scope& s) { return s.graphs && s.options.on_uncapturable == runtime::OnUncapturable::error; }) != nullptr;
    const bool refused = strict && source == Source::allocator;
    const auto allocator = source == Source::preallocated || step.choice % 5 == 0 ? nullptr : std::make_shared<Pool>(shared_ ? step.choice & 1 : step.choice);
    try {
      auto guard = source == Source::preallocated ? runtime::enable_pre_allocated_outputs(at(step).module)
                                                  : runtime::enable_output_allocator(at(step).module, allocator);
      expect(!refused, "an output allocator was not refused");
      scopes_.push_back({std::make_unique<runtime::ModuleScope>(std::move(guard)), step.module, false, CudaGraphsMode::standard, {}, source, allocator});
      at(step).last_y = {};
    } catch (const ModeConflict&) {
      expect(refused, "an output scope was refused");
    }
  }

  void open_streaming(const Step& step) {
    auto guard = std::make_unique<runtime::WeightStreamingScope>(runtime::weight_streaming(at(step).module));
    expect(guard->total_device_budget() == at(step).weight_bytes, "the bytes that can be streamed");
    scopes_.push_back({std::move(guard), step.module, false, CudaGraphsMode::standard, {}, Source::fresh, nullptr, budget(step.module)});
  }

  void set_budget(const Step& step) {
    for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it) {
      if (it->module != step.module || !it->budget) continue;
      const std::int64_t budgets[] = {0, 4, 20, 33, at(step).weight_bytes}, before = *it->budget;
      it->budget = budgets[step.choice % std::size(budgets)];
      static_cast<runtime::WeightStreamingScope&>(*it->guard).set_device_budget(*it->budget);
      if (*it->budget != before) at(step).held.clear();
      return;
    }
  }

  void close_scope(const Step& step) {
    if (scopes_.empty()) return;
    const auto it = scopes_.begin() + static_cast<std::ptrdiff_t>(step.choice % scopes_.size());
    const bool graphs = it->graphs;
    Checked& closed = programs_[it->module];
    if (it->of_outputs()) closed.last_y = {};
    const std::int64_t before = budget(it->module);
    const unsigned module = it->module;
    if (graphs) closed.held.clear();
    if (step.form % 2 == 0) {
      it->guard->close();
      scopes_.erase(it);
    } else {  // by an exception
      try {
        const Scope scope = std::move(*it);
        scopes_.erase(it);
        throw 0;
      } catch (int) {
      }
    }
    if (budget(module) != before) closed.held.clear();
    if (graphs && !shared_) expect(closed.module.stats().recordings_held == 0, "recordings outlive their scope");
  }

  void bad_call(const Step& step) {
    try {
      (void)reprise::test::call(at(step).module, {floats({1, 2}, {1, 2}), floats({1, 2, 3, 4})});
      expect(false, "a wrong rank passed");
    } catch (const ShapeError&) {
    }
  }

  static Tensor strided(const Values& all) {
    Values wide(2 * all.size(), -7);
    for (std::size_t i = 0; i < all.size(); ++i) wide[2 * i] = all[i];
    return floats(wide).as_strided(std::vector<std::int64_t>{static_cast<std::int64_t>(all.size())}, std::vector<std::int64_t>{2});
  }

  /// Of the values, in one of the ways that a caller may pass them.
  Tensor make_x(const Step& step, Values& all) {
    const auto n = static_cast<std::int64_t>(all.size());
    switch (step.form % 5) {
      case 0:
        return on_device(floats(all));
      case 1: {
        const Tensor wide = on_device(floats(Values(all.size() + 1, 9)));
        const Tensor tail = wide.as_strided(std::vector<std::int64_t>{n}, std::vector<std::int64_t>{1}, 1);
        all = read(tail);
        return tail;
      }
      case 2:
        return strided(all);
      case 3:
        return floats(all);
      default:
        if (!at(step).last_y.defined() || at(step).last_y.numel() != n) return on_device(floats(all));
        all = read(at(step).last_y);
        if (all[0] > 1e6F) return on_device(floats(all = Values(all.size(), 1)));
        return at(step).last_y;
    }
  }

  void call(const Step& step) {
    Checked& checked = at(step);
    Values x(step.n), cache = {1, 2, 3, static_cast<float>(step.choice)};
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((step.choice >> i) % 3);
    Tensor x_tensor = make_x(step, x);
    if (const auto elsewhere = other_device(); elsewhere && step.form % 11 == 10) {
      x_tensor = runtime::copy_to(x_tensor, *elsewhere);
      if (!is_safe()) return refuse<InvalidArgument>(step, x_tensor, "an input on another device passed");
    }
    const auto chosen = choose_profile(step.module, step.n);
    if (!chosen) return refuse<ShapeError>(step, x_tensor, "sizes that do not fit the profile passed");
    const Tensor cache_tensor = step.form % 3 == 0 ? on_device(floats(cache)) : step.form % 3 == 1 ? floats(cache) : strided(cache);
    const auto before = checked.module.stats();
    const bool owned = step.kind != Step::call && step.module != kDynamic;
    if (shared_ && has_live_step(step)) return;  // others open scopes of the module, and so choose whether it fails
    if (must_fail(step)) return failing_call(step, *chosen, x_tensor, cache_tensor, cache);
    const auto results = owned ? run_into(step, x_tensor, cache_tensor) : reprise::test::call(checked.module, {x_tensor, cache_tensor});
    check_values(checked, results, x, cache, cache_tensor);
    if (!shared_) check_counts(step, *chosen, before, checked.module.stats(), owned);
    remember(step, results, owned);
  }

  template <class Kind>
  void refuse(const Step& step, const Tensor& x, const char* what) {
    try {
      (void)reprise::test::call(at(step).module, {x, floats({1, 2, 3, 4})});
    } catch (const Kind&) {
      return;
    }
    throw Failure(what);
  }

  [[nodiscard]] bool is_native(const Step& step) {
    return options(step.module).cuda_graph_strategy.value_or(at(step).strategy) == CudaGraphStrategy::whole_graph_capture &&
           mode() != CudaGraphsMode::whole_graph_cudagraphs;
  }
  [[nodiscard]] bool is_recorded(const Step& step) { return is_native(step) || mode() != CudaGraphsMode::standard; }
  static bool has_live_step(const Step& step) { return step.module == kForeign && step.n % 2 == 0; }
  [[nodiscard]] bool must_fail(const Step& step) { return has_live_step(step) && is_recorded(step) && is_strict(step); }
  [[nodiscard]] bool is_strict(const Step& step) const { return options(step.module).on_uncapturable == runtime::OnUncapturable::error; }
  static unsigned shape_key(const Step& step, int profile) { return step.n + 16 * static_cast<unsigned>(profile); }

  void failing_call(const Step& step, int profile_taken, const Tensor& x, const Tensor& cache_tensor, const Values& cache) {
    const auto before = at(step).module.stats();
    try {
      (void)reprise::test::call(at(step).module, {x, cache_tensor});
    } catch (const Error&) {
      const auto after = at(step).module.stats();
      expect(after.failed_calls == before.failed_calls + 1 && after.replays == before.replays, "a call that failed");
      expect(read(at(step).module.state("total")) == at(step).total, "the state after a call that failed");
      expect(values(Argument(runtime::copy_to(cache_tensor, Device::cpu()))) == cache, "the mutated input after a call that failed");
      note_use(at(step), shape_key(step, profile_taken), options(step.module).max_recordings);
      at(step).last_y = {};  // memory was made for results that did not come
      return;
    }
    expect(false, "a step that cannot be recorded passed");
  }

  std::vector<Argument> run_into(const Step& step, const Tensor& x, const Tensor& cache) {
    const bool on_input = step.form % 7 == 0 && x.device() == checked_device() && x.is_contiguous();
    const Tensor y = on_input ? x : on_device(floats(Values(step.n, -1))), after = on_device(floats(Values(4, -1))),
                 twice = on_device(floats(Values(step.n, -1)));
    const std::vector<Tensor> in = {x, cache}, out = {y, after, twice};
    if (step.kind == Step::run) {
      at(step).module.run(in, out);
    } else if (step.kind == Step::bound) {
      at(step).module.bind(in, out)();
    } else {
      const Stream& stream = streams_[step.choice % streams_.size()];
      at(step).module.enqueue(in, out, stream);
      stream.synchronize();
    }
    return {y, after, twice};
  }

  static void check_values(Checked& checked, const std::vector<Argument>& results, const Values& x, Values cache, const Tensor& cache_tensor) {
    constexpr std::array<float, 4> kW = {1, 2, 3, 4};
    Values y, twice, branch;
    std::vector<std::int64_t> positions;
    for (std::size_t i = 0; i < x.size(); ++i) {
      y.push_back(4 * x[i]);
      twice.push_back(2 * x[i]);
      if (x[i] != 0) positions.push_back(static_cast<std::int64_t>(i));
    }
    for (std::size_t i = 0; i < 4; ++i) {
      checked.total[i] += cache[i];
      cache[i] += kW[i];
    }
    for (std::size_t i = 0; i < 4; ++i) branch.push_back(checked.total[i] + (checked.total[0] < kLimit ? kW[i] : checked.total[i]));
    expect(read(std::get<Tensor>(results[0])) == y, "y");
    expect(read(std::get<Tensor>(results[1])) == checked.total, "after");
    expect(read(std::get<Tensor>(results[2])) == twice, "twice");
    expect(values(Argument(runtime::copy_to(cache_tensor, Device::cpu()))) == cache, "the mutated input");
    expect(read(checked.module.state("total")) == checked.total, "the state");
    if (results.size() < 5) return;
    expect(read<std::int64_t>(std::get<Tensor>(results[3])) == positions, "positions");
    expect(read(std::get<Tensor>(results[4])) == branch, "branch");
  }

  /// Recorded engine by engine, around the part that fell back.
  bool is_cut(const Step& step) { return step.module == kBroken && mode() != CudaGraphsMode::whole_graph_cudagraphs; }

  void check_counts(const Step& step, int profile_taken, const ModuleStats& before, const ModuleStats& after, bool owned) {
    const auto now = options(step.module);
    const bool native = is_native(step), recorded = is_recorded(step);
    const auto replays = after.replays - before.replays;
    expect(after.calls == before.calls + 1 && after.failed_calls == before.failed_calls, "calls");
    if (!recorded || now.max_recording_bytes == 1) expect(after.records == before.records, "recorded out of mode");
    if (!recorded) expect(replays == 0 && after.unrecorded == before.unrecorded, "replayed out of mode");
    if (recorded && now.max_recording_bytes > 1)
      expect(replays > 0 && after.plain_enqueues == before.plain_enqueues + (has_live_step(step) || is_cut(step) ? 1 : 0), "not replayed");
    if (step.module == kForeign) expect((after.warm_ups > before.warm_ups) || after.records == before.records, "recorded without a warm-up");
    if (recorded && has_live_step(step)) expect(after.islands.size() == 1 && after.islands[0].runs > 0, "a live step that is not named");
    expect(after.native_replays - before.native_replays == (native ? replays : 0), "native replays");
    expect(after.contexts <= 4, "contexts");
    const bool switched = !(current_ == checked_device());
    const bool rebuilds = std::exchange(at(step).changed, false) && before.shapes_held > 0;
    if (after.contexts == 1) expect(after.contexts_rebuilt - before.contexts_rebuilt == (rebuilds ? 1 : 0), "contexts rebuilt");
    expect(after.device_switches - before.device_switches == (switched ? 1 : 0), "device switches");
    const bool streams = budget(step.module)<at(step).weight_bytes, streamed = after.streamed_bytes> before.streamed_bytes;
    if (!streams || step.module != kDynamic) expect(streams == streamed, "the budget of another time");
    if (after.contexts == 1)
      check_records(step, shape_key(step, profile_taken), after.records - before.records, recorded && now.max_recording_bytes > 1, now.max_recordings,
                    recorded && now.max_recording_bytes == 1);
    if (owned) return expect(after.output_allocations == before.output_allocations, "memory for results that the caller brought");
    const auto where = source(step.module);
    expect((after.allocator_requests > before.allocator_requests) == (where == Source::allocator), "allocator requests");
    if (where != Source::preallocated) expect(after.output_reuses == before.output_reuses, "results used again");
    if (const Scope* scope = newest(step.module, [](const Scope& s) { return s.of_outputs(); }); scope != nullptr && scope->pool != nullptr)
      expect(scope->pool->y_bytes == 4 * step.n, "the bytes asked for");
    if (where == Source::fresh) expect(after.output_allocations > before.output_allocations, "no new results");
  }

  void check_records(const Step& step, unsigned key, std::uint64_t records, bool recorded, std::size_t most, bool evicts) {
    Checked& checked = at(step);
    if (evicts) checked.held.clear();
    const unsigned recording = key | (is_cut(step) ? kCut : 0);
    if (recorded && checked.held.contains(recording) && step.module != kDynamic) expect(records == 0, "a shape that is held was recorded again");
    note_use(checked, key, most);
    if (!recorded) return;
    checked.held.erase(recording ^ kCut);  // recorded the other way: never two of one thing
    checked.held.insert(recording);
  }

  /// Only what fewer than `most` others were used after must be there still, whatever of them is recorded.
  static void note_use(Checked& checked, unsigned key, std::size_t most) {
    std::erase(checked.used, key);
    checked.used.push_back(key);
    for (std::size_t i = 0; i + most < checked.used.size(); ++i)
      for (const unsigned way : {0U, kCut}) checked.held.erase(checked.used[i] | way);
  }

  void remember(const Step& step, const std::vector<Argument>& results, bool owned) {
    Checked& checked = at(step);
    const Tensor& y = std::get<Tensor>(results[0]);
    if (!owned && source(step.module) == Source::preallocated && checked.last_y.defined() && checked.last_y.sizes() == y.sizes())
      expect(checked.last_y.data() == y.data(), "a pre-allocated result moved");
    if (owned) return;
    checked.last_y = y;
    if (source(step.module) != Source::fresh) return;
    kept_.push_back({std::get<Tensor>(results[1]), checked.total});
    if (kept_.size() > 4) kept_.pop_front();
  }

  const bool shared_;
  std::vector<Checked> programs_;
  std::vector<Stream> streams_;
  std::vector<Scope> scopes_;  // open ones, oldest first
  CudaGraphsMode outside_ = CudaGraphsMode::standard;
  std::vector<std::pair<std::unique_ptr<runtime::MultiDeviceSafeModeScope>, bool>> safe_scopes_;
  Device current_{checked_device().type, 0};
  std::deque<Kept> kept_;
};

// ---- running and shrinking ----

struct Found {
  std::size_t step = 0;
  std::string what;
};

std::optional<Found> run_steps(const std::vector<Step>& steps) {
  World world;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    try {
      world.take(steps[i]);
    } catch (const std::exception& error) {
      return Found{i, error.what()};
    }
  }
  return std::nullopt;
}

/// The fewest steps, found by leaving out ever smaller pieces, that still fail.
std::vector<Step> shrink(std::vector<Step> steps, const Found& found) {
  steps.resize(found.step + 1);
  for (std::size_t piece = steps.size() / 2; piece > 0; piece /= 2) {
    for (std::size_t at = 0; at + piece <= steps.size();) {
      auto fewer = steps;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at), fewer.begin() + static_cast<std::ptrdiff_t>(at + piece));
      if (run_steps(fewer))
        steps = std::move(fewer);
      else
        at += piece;
    }
  }
  return steps;
}

class ModeChecker : public testing::TestWithParam<int> {};

TEST_P(ModeChecker, RandomSequencesFollowTheRules) {
  constexpr std::size_t kSteps = 200;
  const auto first_seed = number_from("REPRISE_CHECKER_SEED", static_cast<std::uint64_t>(GetParam()));
  const auto total = number_from("REPRISE_CHECKER_STEPS", 25000);
  for (std::uint64_t seed = first_seed; seed < first_seed + (total + kSteps - 1) / kSteps; ++seed) {
    const auto steps = make_steps(seed, kSteps);
    const auto found = run_steps(steps);
    if (!found) continue;
    std::string text;
    const auto few = shrink(steps, *found);
    const auto again = run_steps(few);
    for (const Step& step : few) text += "  " + step.str() + "\n";
    FAIL() << "seed " << seed << ", step " << found->step << ": " << found->what << "\nshrunk (" << (again ? again->what : "passes now") << "):\n" << text;
  }
}

/// Calls that add nothing to the module's state, over and over, whatever the modes are.
class Caller {
 public:
  Caller(const World& world, unsigned first) : thread_([this, &world, first] { work(world, first); }) {}
  ~Caller() {
    stop_ = true;
    thread_.join();
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  [[nodiscard]] std::string problem() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return problem_;
  }

 private:
  void work(const World& world, unsigned first) {
    try {
      for (unsigned i = first; !stop_; ++i) call(world.module(i % kPrograms), i % 50, i % kPrograms == kForeign);
    } catch (const std::exception& error) {
      problem_ = error.what();
    }
  }
  static void call(const Module& module, unsigned i, bool odd) {
    const std::size_t n = 3 + (odd ? 0 : i % 2);  // fits both profiles; where a recording would fail, modes of the other thread may make that an error
    const Tensor x = on_device(floats(Values(n, static_cast<float>(i)))), cache = on_device(floats(Values(4)));
    const auto results = reprise::test::call(module, {x, cache});
    expect(read(std::get<Tensor>(results[0])) == Values(n, 4 * static_cast<float>(i)), "y in another thread");
    expect(read(std::get<Tensor>(results[2])) == Values(n, 2 * static_cast<float>(i)), "twice in another thread");
    expect(read(cache) == Values{1, 2, 3, 4}, "the mutated input in another thread");
    expect(runtime::current_device(checked_device().type).index == 0, "the device of another thread");
  }

  std::atomic<bool> stop_ = false;
  std::string problem_;
  std::thread thread_;
};

TEST_P(ModeChecker, RandomSequencesUnderSeveralThreads) {
  constexpr std::size_t kSteps = 200;
  const auto first_seed = number_from("REPRISE_CHECKER_SEED", static_cast<std::uint64_t>(GetParam()));
  const auto total = number_from("REPRISE_CHECKER_STEPS", 25000) / 10;
  for (std::uint64_t seed = first_seed; seed < first_seed + (total + kSteps - 1) / kSteps; ++seed) {
    World world(true);
    Caller one(world, 0), two(world, 1);
    std::size_t done = 0;
    try {
      for (const Step& step : make_steps(seed, kSteps)) {
        world.take(step);
        ++done;
      }
    } catch (const std::exception& error) {
      FAIL() << "seed " << seed << ", step " << done << ": " << error.what();
    }
    ASSERT_EQ(one.problem() + two.problem(), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, ModeChecker, testing::Values(1, 10001, 20001, 30001));

}  // namespace
}  // namespace reprise::test
