#include "runtime/stats.h"

#include <algorithm>
#include <map>

#include "base/json.h"
#include "runtime/islands.h"

namespace reprise::runtime {
namespace {

using exec::Counters;
using exec::Stage;

std::uint64_t add_reason(std::vector<ReasonCount>& list, const char* reason, std::uint64_t count) {
  if (count == 0) return 0;
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.reason == reason; });
  if (found == list.end())
    list.push_back({reason, count});
  else
    found->count += count;
  return count;
}

/// Adds to `list`; returns the sum.
template <class Counts, std::size_t N>
std::uint64_t add_reasons(std::vector<ReasonCount>& list, const Counts& counts, const std::array<const char*, N>& names) {
  static_assert(std::tuple_size_v<Counts> == N);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < N; ++i) sum += add_reason(list, names[i], counts[i]);
  return sum;
}

void add(ModuleStats& stats, const Counters& counters) {
  ++stats.contexts;
  stats.calls += counters.calls;
  stats.failed_calls += counters.failed_calls;
  stats.bound_calls += counters.bound_calls;
  stats.contexts_rebuilt += counters.rebuilds;
  stats.plain_enqueues += counters.plain_enqueues;
  stats.records += add_reasons(stats.records_by, counters.records, exec::kRecordReasons);
  stats.replays += counters.replays;
  stats.native_replays += counters.native_replays;
  stats.verified_replays += counters.verified_replays;
  stats.patched_addresses += counters.patched_addresses;
  stats.recordings_held += counters.recordings_held;
  stats.recording_bytes += counters.recording_bytes;
  stats.recordings_evicted += counters.recordings_evicted;
  stats.recordings_dropped += counters.recordings_dropped;
  stats.unrecorded += add_reasons(stats.unrecorded_by, counters.unrecorded, exec::kUnrecordedReasons);
  stats.staged_inputs += add_reasons(stats.staged_by, counters.staged_inputs, exec::kStagingReasons);
  stats.staged_outputs += add_reasons(stats.staged_by, counters.staged_outputs, exec::kStagingReasons);
  stats.staged_bytes += counters.staged_bytes;
  stats.device_switches += counters.device_switches;
  stats.streamed_weights += counters.streamed_weights;
  stats.streamed_bytes += counters.streamed_bytes;
  stats.shapes_bound += counters.shapes_bound;
  stats.shapes_evicted += counters.shapes_evicted;
  stats.shapes_held += counters.shapes_held;
  stats.stages_bound += counters.stages_bound;
  stats.memory_growths += counters.memory_growths;
  stats.output_allocations += counters.output_allocations;
  stats.output_reuses += counters.output_reuses;
  stats.allocator_requests += counters.allocator_requests;
  stats.warm_ups += counters.warm_ups;
}

/// Places where a call stops or runs live, by their position in the program.
std::map<std::int32_t, Island> islands_of(const exec::Executable& executable) {
  std::map<std::int32_t, Island> islands;
  for (const Stage* stage : find_islands(executable.schedule())) {
    const auto& command = stage->last();
    islands[command.position] = {std::string(core::name(command.op)), command.name, describe_wait(executable.plan(), *stage), 0};
  }
  for (const plan::Command* command : find_live_commands(executable))
    islands[command->position] = {std::string(core::name(command->op)), command->name, executable.why_live(*command), 0};
  return islands;
}

const plan::Command& command_at(const plan::Plan& plan, std::int32_t position) {
  for (const auto& block : plan.blocks)
    for (const auto& command : block.commands)
      if (command.position == position) return command;
  return plan.blocks.front().commands.front();
}

void write(base::JsonWriter& json, const char* key, const std::vector<ReasonCount>& reasons) {
  json.key(key).begin_object();
  for (const auto& [reason, count] : reasons) json.field(reason, count);
  json.end_object();
}

}  // namespace

ModuleStats collect_stats(const exec::Executable& executable, const exec::ContextPool& pool, const Buckets& buckets) {
  ModuleStats stats;
  buckets.add_to(stats);
  const auto stages = find_islands(executable.schedule());
  auto islands = islands_of(executable);
  pool.visit_counters([&](const Counters& counters) {
    add(stats, counters);
    for (const Stage* stage : stages) islands[stage->last().position].runs += counters.host_reads[static_cast<std::size_t>(stage->id)];
    for (const auto& [position, live] : counters.live.all()) {
      const auto& command = command_at(executable.plan(), position);
      auto& island = islands.try_emplace(position, Island{std::string(core::name(command.op)), command.name, live.why, 0}).first->second;
      island.runs += live.runs;
    }
  });
  for (auto& [position, island] : islands) stats.islands.push_back(std::move(island));
  return stats;
}

}  // namespace reprise::runtime

namespace reprise {

std::string to_json(const ModuleStats& stats) {
  base::JsonWriter json;
  json.begin_object().field("calls", stats.calls).field("failed_calls", stats.failed_calls).field("plain_enqueues", stats.plain_enqueues);
  json.field("records", stats.records);
  runtime::write(json, "records_by", stats.records_by);
  json.field("replays", stats.replays).field("native_replays", stats.native_replays).field("verified_replays", stats.verified_replays);
  json.field("patched_addresses", stats.patched_addresses);
  json.field("recordings_held", stats.recordings_held).field("recording_bytes", stats.recording_bytes);
  json.field("recordings_evicted", stats.recordings_evicted).field("recordings_dropped", stats.recordings_dropped).field("unrecorded", stats.unrecorded);
  runtime::write(json, "unrecorded_by", stats.unrecorded_by);
  json.field("bucketed_calls", stats.bucketed_calls).field("padded_rows", stats.padded_rows);
  runtime::write(json, "unbucketed_by", stats.unbucketed_by);
  json.field("staged_inputs", stats.staged_inputs).field("staged_outputs", stats.staged_outputs).field("staged_bytes", stats.staged_bytes);
  runtime::write(json, "staged_by", stats.staged_by);
  json.field("device_switches", stats.device_switches);
  json.field("streamed_weights", stats.streamed_weights).field("streamed_bytes", stats.streamed_bytes);
  json.field("contexts", stats.contexts).field("contexts_rebuilt", stats.contexts_rebuilt).field("bound_calls", stats.bound_calls);
  json.field("shapes_bound", stats.shapes_bound).field("shapes_evicted", stats.shapes_evicted);
  json.field("shapes_held", stats.shapes_held).field("stages_bound", stats.stages_bound).field("memory_growths", stats.memory_growths);
  json.field("output_allocations", stats.output_allocations).field("output_reuses", stats.output_reuses);
  json.field("allocator_requests", stats.allocator_requests).field("warm_ups", stats.warm_ups).key("islands").begin_array();
  for (const auto& island : stats.islands)
    json.begin_object().field("op", island.op).field("name", island.name).field("why", island.why).field("runs", island.runs).end_object();
  return json.end_array().end_object().str();
}

}  // namespace reprise
