// What a call must have counted.
#include "runtime/mode_checker/world.h"

namespace reprise::test::checker {

void World::check_counts(const Step& step, int profile_taken, const ModuleStats& before, const ModuleStats& after, bool owned) {
  const auto now = options(step.module);
  const bool native = is_native(step.module), recorded = is_recorded(step);
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

void World::check_records(const Step& step, unsigned key, std::uint64_t records, bool recorded, std::size_t most, bool evicts) {
  Checked& checked = at(step);
  if (evicts) checked.held.clear();
  const unsigned recording = key | (is_cut(step) ? kCut : 0);
  if (recorded && checked.held.contains(recording) && step.module != kDynamic) expect(records == 0, "a shape that is held was recorded again");
  note_use(checked, key, most);
  if (!recorded) return;
  checked.held.erase(recording ^ kCut);  // recorded the other way: never two of one thing
  checked.held.insert(recording);
}

void World::note_use(Checked& checked, unsigned key, std::size_t most) {
  std::erase(checked.used, key);
  checked.used.push_back(key);
  for (std::size_t i = 0; i + most < checked.used.size(); ++i)
    for (const unsigned way : {0U, kCut}) checked.held.erase(checked.used[i] | way);
}

}  // namespace reprise::test::checker
