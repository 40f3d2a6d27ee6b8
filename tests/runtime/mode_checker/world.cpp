// What is on, and what must hold after every step.
#include "runtime/mode_checker/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "device/current.h"
#include "support/faulty_device.h"

namespace reprise::test::checker {

World::World(bool shared, std::function<void()> settle) : shared_(shared), settle_(std::move(settle)) {
  for (int p = 0; p < kPrograms; ++p)
    programs_.push_back({make_program(static_cast<Program>(p)), Values(4), kWeightBytes[p], CudaGraphStrategy::disabled, 0, false, {}, 0, {}, {}});
  for (int i = 0; i < 2; ++i) streams_.emplace_back(checked_device());
}
World::~World() {
  scopes_.clear();
  safe_scopes_.clear();
  runtime::set_cudagraphs_mode(false);
  runtime::set_current_device(Device{checked_device().type, 0});
}

CudaGraphsMode* World::newest_mode() {
  for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it)
    if (it->graphs) return &it->mode;
  return nullptr;
}

CudaGraphOptions World::options(unsigned module) const {
  const Scope* scope = newest(module, [](const Scope& s) { return s.graphs; });
  return scope != nullptr ? scope->options : CudaGraphOptions{};
}

Source World::source(unsigned module) const {
  const Scope* scope = newest(module, [](const Scope& s) { return s.of_outputs(); });
  return scope != nullptr ? scope->source : Source::fresh;
}

std::int64_t World::budget(unsigned module) const {
  const Scope* scope = newest(module, [](const Scope& s) { return s.budget.has_value(); });
  return scope != nullptr ? *scope->budget : programs_[module].weight_bytes;
}

exec::ProfileChoice World::profile(unsigned module) const {
  const Scope* scope = newest(module, [](const Scope& s) { return s.profile.has_value(); });
  return scope != nullptr ? *scope->profile : exec::ProfileChoice{.active = programs_[module].profile, .fixed = false};
}

std::optional<int> World::choose_profile(unsigned module, unsigned n) {
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

unsigned World::batch_of(const Step& step) {
  const auto& buckets = options(step.module).buckets;
  if (step.kind != Step::call || !is_recorded(step) || step.n == 0 || step.module != kRows) return step.n;
  const auto bucket = std::lower_bound(buckets.begin(), buckets.end(), step.n);
  if (bucket == buckets.end()) return step.n;
  const auto batch = static_cast<unsigned>(*bucket);
  const auto now = profile(step.module);
  return (now.fixed ? fits(now.active, step.n) && fits(now.active, batch) : fits(0, batch) || fits(1, batch)) ? batch : step.n;
}

void World::take(const Step& step) {
  const std::uint64_t uses = uses_of_other_device();
  used_other_ = false;
  take_one(step);
  check_rules();
  if (!used_other_) expect(uses_of_other_device() == uses, "a device was used that is not the module's");
}

void World::take_one(const Step& step) {
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
      if (Scope* scope = streaming(step.module)) set_budget(*scope, step.choice);
      break;
    case Step::close_scope:
      close_scope(step);
      break;
    case Step::set_mode:
      set_mode(step);
      break;
    case Step::set_strategy:
      set_strategy(step);
      break;
    case Step::reset_state:
      at(step).module.reset_state();
      at(step).total = Values(4);
      break;
    case Step::set_state:
      if (is_pure(step.module)) break;
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
      set_current(step);
      break;
    case Step::replicate:
      replicate(step);
      break;
    case Step::keep_bound:
      keep_bound(step);
      break;
    case Step::run_bound:
      run_bound(step);
      break;
    case Step::drop_bound:
      bound_[step.module].reset();
      break;
    case Step::overlap:
      overlap(step);
      break;
    case Step::reload:
      reload(step);
      break;
    case Step::failing_budget:
      failing_budget(step);
      break;
    case Step::failing_module:
      failing_module(step);
      break;
  }
}

void World::check_rules() {
  expect(runtime::get_cudagraphs_mode() == (mode() == CudaGraphsMode::subgraph_cudagraphs), "get_cudagraphs_mode()");
  expect(runtime::get_whole_cudagraphs_mode() == (mode() == CudaGraphsMode::whole_graph_cudagraphs), "get_whole_cudagraphs_mode()");
  for (unsigned m = 0; m < kPrograms; ++m)
    expect(runtime::is_weight_streaming_set(programs_[m].module) == (budget(m) < programs_[m].weight_bytes), "the budget");
  expect(runtime::get_multi_device_safe_mode() == is_safe(), "get_multi_device_safe_mode()");
  expect(runtime::current_device(checked_device().type) == current_, "the caller's current device changed");
  for (unsigned m = 0; m < kPrograms && !shared_; ++m) expect(programs_[m].module.active_profile() == profile(m).active, "the active profile");
  for (const Kept& kept : kept_) expect(read(kept.tensor) == kept.want, "a result of an earlier call changed");
  check_memory();
}

std::size_t World::weight_pages() const {
  std::size_t pages = card_->committed();
  for (const auto& program : programs_) {
    const auto use = program.module.memory();
    pages -= use.arena_committed_bytes + use.slot_bytes;
  }
  return pages;
}

void World::check_memory() const {
  if (card_ == nullptr || shared_) return;
  constexpr std::size_t kRoom = 256, kPart = 16, kNumber = 4;  // of a weight; and its bytes
  std::size_t want = 0, pinned = 0;
  for (const auto& program : programs_) {
    const auto use = program.module.memory();
    want += kRoom * (use.weight_bytes / kPart + use.weight_bytes % kPart / kNumber);
    pinned += use.pinned_bytes;
    expect(use.weight_bytes + use.pinned_bytes == static_cast<std::size_t>(program.weight_bytes), "weights that are nowhere");
  }
  expect(weight_pages() == want, fmt::format("the device holds other memory than its modules (got {}, want {})", weight_pages(), want));
  expect(card_->held(device::MemoryKind::pinned) >= pinned, "weights that are streamed from nowhere");
}

}  // namespace reprise::test::checker
