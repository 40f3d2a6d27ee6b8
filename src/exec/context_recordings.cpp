// The part of an execution context that records and replays.
#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "exec/context.h"

namespace reprise::exec {
namespace {

const char* describe(UnrecordedReason why) {
  switch (why) {
    case UnrecordedReason::capture_failed:
      return "recording failed";
    case UnrecordedReason::over_bound:
      return "its recording is larger than what may be kept";
    default:
      return "the first replay differs from an unrecorded run";
  }
}

bool is_recorded(const BoundShape& shape) {
  return std::any_of(shape.stages.begin(), shape.stages.end(), [](const BoundStage& stage) { return stage.recording != nullptr; });
}

}  // namespace

void ExecutionContext::enqueue(const Stage& stage, BoundStage& ready, device::Stream& stream) {
  counters_.streamed_weights += ready.copies.size();
  counters_.streamed_bytes += ready.copied_bytes;
  if (!options_.recorded) return enqueue_plain(ready, stream);
  if (ready.recording == nullptr) record(stage, ready);
  if (ready.recording != nullptr) return replay(stage, ready, stream);
  ++of(counters_.unrecorded, *ready.unrecordable);
  enqueue_plain(ready, stream);
}

void ExecutionContext::enqueue_plain(BoundStage& stage, device::Stream& stream) {
  ++counters_.plain_enqueues;
  stage.list->enqueue(stream, bindings_.data());
}

void ExecutionContext::record(const Stage& stage, BoundStage& ready) {
  if (ready.unrecordable == UnrecordedReason::over_bound && ready.recording_bytes <= options_.max_recording_bytes && options_.max_recordings > 0)
    ready.unrecordable.reset();
  if (ready.unrecordable && !options_.strict) return;
  try {
    ready.recording = executable_->device()->record(ready.list, bindings_);
  } catch (const Error& error) {
    return refuse_recording(stage, ready, UnrecordedReason::capture_failed, error.what());
  }
  ready.verified = false;
  ready.recording_bytes = ready.recording->size_bytes();
  ++counters_.recordings_held;
  counters_.recording_bytes += ready.recording_bytes;
  keep_recordings_in_bounds(ready);
  if (ready.recording == nullptr) return refuse_recording(stage, ready, UnrecordedReason::over_bound, std::to_string(ready.recording_bytes) + " bytes");
  ++of(counters_.records, ready.next_record);
}

void ExecutionContext::refuse_recording(const Stage& stage, BoundStage& ready, UnrecordedReason why, const std::string& detail) {
  REPRISE_CHECK(!options_.strict, Error, "[run/cudagraphs] segment {} cannot be recorded at '{}': {} ({}); on_uncapturable = piecewise runs it unrecorded",
                stage.last().segment, stage.last().name, describe(why), detail);
  ready.unrecordable = why;
  base::log(LogLevel::warning, "[run/cudagraphs] '{}' runs unrecorded: {} ({})", stage.last().name, describe(why), detail);
}

void ExecutionContext::keep_recordings_in_bounds(BoundStage& fresh) {
  const auto over = [&] {
    const auto held = static_cast<std::size_t>(std::count_if(shapes_.begin(), shapes_.end(), [](const auto& shape) { return is_recorded(*shape); }));
    return held > options_.max_recordings || counters_.recording_bytes > options_.max_recording_bytes;
  };
  while (over()) {
    BoundShape* oldest = oldest_recorded();
    if (oldest == nullptr) {
      forget_recording(fresh, fresh.next_record);
      fresh.recording_bytes += counters_.recording_bytes;  // what the bound would have to allow
      return;
    }
    settle();
    for (BoundStage& stage : oldest->stages)
      if (forget_recording(stage, RecordReason::evicted)) ++counters_.recordings_evicted;
  }
}

/// Of the shapes that are not current; null when none has recordings.
BoundShape* ExecutionContext::oldest_recorded() const {
  BoundShape* oldest = nullptr;
  for (const auto& shape : shapes_)
    if (shape.get() != current_ && is_recorded(*shape) && (oldest == nullptr || shape->last_use < oldest->last_use)) oldest = shape.get();
  return oldest;
}

void ExecutionContext::replay(const Stage& stage, BoundStage& ready, device::Stream& stream) {
  if (options_.verify && !ready.verified) return verify(stage, ready, stream);
  const std::size_t patched = ready.recording->patched_slots();
  ready.recording->replay(stream, bindings_);
  counters_.patched_addresses += ready.recording->patched_slots() - patched;
  ++counters_.replays;
  if (options_.native) ++counters_.native_replays;
}

void ExecutionContext::verify(const Stage& stage, BoundStage& ready, device::Stream& stream) {
  const auto verdict = verify_replay(*executable_->device(), stream, *ready.list, *ready.recording, bindings_, written_by(stage));
  if (verdict == Verdict::differs) {
    forget_recording(ready, ready.next_record);
    ++of(counters_.unrecorded, UnrecordedReason::verify_mismatch);
    return refuse_recording(stage, ready, UnrecordedReason::verify_mismatch, "verify_first_replay");
  }
  ready.verified = true;
  ++counters_.verified_replays;
  ++counters_.replays;
  if (options_.native) ++counters_.native_replays;
}

std::vector<WrittenRange> ExecutionContext::written_by(const Stage& stage) const {
  std::vector<bool> seen(current_->capacity.size());
  std::vector<WrittenRange> ranges;
  const auto add = [&](plan::BufferId id) {
    const auto slot = static_cast<std::size_t>(id);
    if (!seen[slot] && bindings_[slot] != nullptr && current_->capacity[slot] > 0) ranges.push_back({bindings_[slot], current_->capacity[slot]});
    seen[slot] = true;
  };
  for (const plan::Command* c = stage.begin; c != stage.end; ++c) {
    for (const auto& operand : c->outputs) add(operand.buffer);
    if (c->op == core::Op::write) add(c->inputs.front().buffer);
  }
  return ranges;
}

bool ExecutionContext::forget_recording(BoundStage& stage, RecordReason next) {
  if (stage.recording == nullptr) return false;
  --counters_.recordings_held;
  counters_.recording_bytes -= stage.recording_bytes;
  stage.recording = nullptr;
  stage.next_record = next;
  return true;
}

void ExecutionContext::drop_recordings() {
  settle();
  for (const auto& shape : shapes_) {
    for (BoundStage& stage : shape->stages) {
      if (forget_recording(stage, RecordReason::dropped)) ++counters_.recordings_dropped;
      stage.unrecordable.reset();
    }
  }
}

}  // namespace reprise::exec
