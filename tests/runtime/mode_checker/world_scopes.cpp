// Steps that open and close scopes and change settings.
#include "runtime/mode_checker/world.h"

#include <algorithm>
#include <iterator>

#include "device/current.h"
#include "support/faulty_device.h"

namespace reprise::test::checker {

void World::open_profile(const Step& step) {
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

void World::open_graphs(const Step& step) {
  CudaGraphOptions options;
  options.verify_first_replay = step.form % 3 == 0;
  options.max_recordings = 1 + step.choice % 4;
  if (step.choice % 5 == 0) options.max_recording_bytes = 1;
  if (step.form % 4 == 0) options.cuda_graph_strategy = step.form % 8 == 0 ? CudaGraphStrategy::disabled : CudaGraphStrategy::whole_graph_capture;
  if (step.form % 6 == 1) options.buckets = step.choice % 2 == 0 ? std::vector<std::int64_t>{4} : std::vector<std::int64_t>{2, 5};
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
    Scope scope{std::make_unique<runtime::CudaGraphsScope>(std::move(guard)), step.module, true, want};
    scope.options = options;
    scopes_.push_back(std::move(scope));
  } catch (const ModeConflict&) {
    expect(refused, "a scope was refused");
  }
}

void World::open_outputs(const Step& step, Source source) {
  const bool strict = newest(step.module, [](const Scope& s) { return s.graphs && s.options.on_uncapturable == runtime::OnUncapturable::error; }) != nullptr;
  const bool refused = strict && source == Source::allocator;
  const auto allocator = source == Source::preallocated || step.choice % 5 == 0 ? nullptr : std::make_shared<Pool>(shared_ ? step.choice & 1 : step.choice);
  try {
    auto guard =
        source == Source::preallocated ? runtime::enable_pre_allocated_outputs(at(step).module) : runtime::enable_output_allocator(at(step).module, allocator);
    expect(!refused, "an output allocator was not refused");
    Scope scope{std::make_unique<runtime::ModuleScope>(std::move(guard)), step.module};
    scope.source = source;
    scope.pool = allocator;
    scopes_.push_back(std::move(scope));
    at(step).last_y = {};
  } catch (const ModeConflict&) {
    expect(refused, "an output scope was refused");
  }
}

void World::open_streaming(const Step& step) {
  auto guard = std::make_unique<runtime::WeightStreamingScope>(runtime::weight_streaming(at(step).module));
  expect(guard->total_device_budget() == at(step).weight_bytes, "the bytes that can be streamed");
  Scope scope{std::move(guard), step.module};
  scope.budget = budget(step.module);
  scopes_.push_back(std::move(scope));
}

void World::close_scope(const Step& step) {
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
  if (!graphs) return;
  if (shared_) settle_();  // calls in flight end as they began
  if (!shared_ || (mode() == CudaGraphsMode::standard && !is_native(module)))
    expect(closed.module.stats().recordings_held == 0, "recordings outlive their scope");
}

Scope* World::streaming(unsigned module) {
  for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it)
    if (it->module == module && it->budget) return &*it;
  return nullptr;
}

void World::set_budget(Scope& scope, unsigned choice) {
  Checked& checked = programs_[scope.module];
  const std::int64_t budgets[] = {0, 4, 20, 33, checked.weight_bytes}, before = *scope.budget;
  scope.budget = budgets[choice % std::size(budgets)];
  if (*scope.budget != before) checked.held.clear();
  static_cast<runtime::WeightStreamingScope&>(*scope.guard).set_device_budget(*scope.budget);
}

void World::set_mode(const Step& step) {
  runtime::set_cudagraphs_mode(step.choice % 2 != 0);
  (newest_mode() != nullptr ? *newest_mode() : outside_) = step.choice % 2 != 0 ? CudaGraphsMode::subgraph_cudagraphs : CudaGraphsMode::standard;
}

void World::set_strategy(const Step& step) {
  if (const auto before = std::exchange(at(step).strategy, step.choice % 2 != 0 ? CudaGraphStrategy::whole_graph_capture : CudaGraphStrategy::disabled);
      before != at(step).strategy) {
    at(step).held.clear();
    at(step).changed = true;
  }
  at(step).module.set_cuda_graph_strategy(at(step).strategy);
}

void World::set_current(const Step& step) {
  current_ = {checked_device().type, static_cast<int>(step.choice % static_cast<unsigned>(std::min(4, device::count(checked_device().type))))};
  runtime::set_current_device(current_);
}

void World::replicate(const Step& step) {
  if (shared_ || newest(step.module, [](const Scope&) { return true; }) != nullptr) return;
  replace(step, at(step).module.to(checked_device()));
  expect(at(step).module.cuda_graph_strategy() == at(step).strategy, "a replica's settings");
}

void World::reload(const Step& step) {
  if (shared_) return;
  const auto program = static_cast<Program>(step.module);
  if (step.form % 4 != 0) {
    if (newest(step.module, [](const Scope&) { return true; }) != nullptr) return;
    replace(step, load_program(program));
    at(step).profile = 0;
    return at(step).module.set_cuda_graph_strategy(at(step).strategy);
  }
  try {
    load_broken_program(program);
  } catch (const FormatError&) {
    return;
  }
  expect(false, "a broken file was loaded");
}

void World::replace(const Step& step, Module by) {
  Checked& checked = at(step);
  checked.module = std::move(by);
  bound_[step.module].reset();
  checked.total = Values(4);
  checked.held.clear();
  checked.changed = false;
  checked.last_y = {};
}

bool World::fails(const Step& step, const std::function<void()>& action) {
  constexpr FaultyDevice::Operation kOperations[] = {FaultyDevice::allocation, FaultyDevice::commit, FaultyDevice::copying};
  auto& fail_at = card_->fail_at[kOperations[step.form % std::size(kOperations)]];
  fail_at = static_cast<int>(1 + step.form / 3 % 6);
  bool failed = false;
  try {
    action();
  } catch (const Error&) {
    failed = true;
  }
  fail_at = 0;
  return failed;
}

void World::failing_budget(const Step& step) {
  if (card_ == nullptr || shared_) return;
  if (streaming(step.module) == nullptr) open_streaming(step);
  Scope& scope = *streaming(step.module);
  set_budget(scope, step.choice / 5);
  const std::size_t before = weight_pages();
  if (!fails(step, [&] { set_budget(scope, step.choice); })) return;
  programs_[step.module].held.clear();
  expect(weight_pages() <= before, "a change of the budget that failed keeps memory");
  call_plainly(step.module);
  set_budget(scope, step.choice);
}

void World::failing_module(const Step& step) {
  if (card_ == nullptr || shared_) return;
  const auto held = [&] { return card_->held() + card_->held(device::MemoryKind::pinned); };
  const std::size_t before = held();
  (void)fails(step, [&] { (void)make_program(static_cast<Program>(step.module)); });
  expect(held() == before, "a module that was not made holds memory");
}

}  // namespace reprise::test::checker
