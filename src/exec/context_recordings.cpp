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
    case UnrecordedReason::island:
      return "recording failed";
    case UnrecordedReason::over_bound:
      return "its recording is larger than what may be kept";
    default:
      return "the first replay differs from an unrecorded run";
  }
}

bool is_recorded(const BoundShape& shape) {
  return std::any_of(shape.stages.begin(), shape.stages.end(), [](const BoundStage& stage) {
    return std::any_of(stage.pieces.begin(), stage.pieces.end(), [](const BoundPiece& piece) { return piece.recording != nullptr; });
  });
}

}  // namespace

bool ExecutionContext::enqueue(const Stage& stage, BoundStage& ready, std::size_t index, device::Stream& stream) {
  BoundPiece& piece = ready.pieces[index];
  if (piece.list->size() == 0) return true;
  if (piece.live) {
    enqueue_live(piece, stream);
    return true;
  }
  const bool fell_back = !executable_->plan().segments[static_cast<std::size_t>(piece.begin->segment)].engine;
  if (!options_.recorded || (options_.by_segment && fell_back)) {
    enqueue_plain(piece, stream);
    return true;
  }
  try {
    if (piece.recording == nullptr) record(ready, piece, stream);
    if (piece.recording != nullptr) {
      // The first replay may be one that is compared.
      if (options_.verify && !piece.verified)
        verify(ready, piece, stream);
      else
        replay(piece, stream);
      return true;
    }
  } catch (const device::CaptureFailed& failure) {
    split(stage, ready, index, failure);
    return false;
  }
  ++of(counters_.unrecorded, *piece.unrecordable);
  enqueue_plain(piece, stream);
  return true;
}

void ExecutionContext::count_copies(const BoundPiece& piece) {
  counters_.streamed_weights += piece.copies.size();
  counters_.streamed_bytes += piece.copied_bytes;
}

void ExecutionContext::enqueue_plain(const BoundPiece& piece, device::Stream& stream) {
  ++counters_.plain_enqueues;
  count_copies(piece);
  piece.list->enqueue(stream, bindings_.data());
}

/// Before anything of the stage runs.
void ExecutionContext::refuse_live(const BoundStage& ready) const {
  if (!options_.recorded || !options_.strict) return;
  for (const BoundPiece& piece : ready.pieces)
    REPRISE_CHECK(!piece.live, Error, "[run/cudagraphs] segment {} cannot be recorded at '{}': {}; on_uncapturable = piecewise runs it unrecorded",
                  piece.begin->segment, piece.begin->name, counters_.live.all()[piece.begin->position].why);
}

void ExecutionContext::enqueue_live(const BoundPiece& piece, device::Stream& stream) {
  if (options_.recorded) ++of(counters_.unrecorded, UnrecordedReason::island);
  counters_.live.count(piece.begin->position);
  enqueue_plain(piece, stream);
}

/// Throws CaptureFailed where one step is to blame and the piece can do without it.
void ExecutionContext::record(BoundStage& ready, BoundPiece& piece, device::Stream& stream) {
  if (piece.unrecordable == UnrecordedReason::over_bound && piece.recording_bytes <= options_.max_recording_bytes && options_.max_recordings > 0)
    piece.unrecordable.reset();
  if (piece.unrecordable && !options_.strict) return;
  warm_up(piece, stream);
  try {
    piece.recording = executable_->device()->record(piece.list, bindings_);
  } catch (const device::CaptureFailed& failure) {
    if (!options_.strict && piece.of_step.at(failure.step()) != nullptr) throw;
    return refuse_recording(piece, UnrecordedReason::capture_failed, failure.what());
  } catch (const Error& error) {
    return refuse_recording(piece, UnrecordedReason::capture_failed, error.what());
  }
  piece.verified = false;
  piece.recording_bytes = piece.recording->size_bytes();
  ++counters_.recordings_held;
  counters_.recording_bytes += piece.recording_bytes;
  keep_recordings_in_bounds(ready, piece);
  if (piece.recording == nullptr) return refuse_recording(piece, UnrecordedReason::over_bound, std::to_string(piece.recording_bytes) + " bytes");
  ++of(counters_.records, ready.next_record);
}

/// Foreign steps run before they are recorded, as their libraries expect (handles made, algorithms chosen), with the data of the call and everything before
/// them in the piece. What the call sees of it is undone.
void ExecutionContext::warm_up(const BoundPiece& piece, device::Stream& stream) {
  constexpr int kPasses = 3;
  if (std::none_of(piece.begin, piece.end, [](const plan::Command& c) { return c.op == core::Op::foreign; })) return;
  auto& device = *executable_->device();
  const auto side = device.make_stream();
  const auto here = device.make_event();
  stream.record(*here);
  side->wait(*here);
  const Snapshot before(executable_->device(), *side, kept_through(piece));
  try {
    for (int pass = 0; pass < kPasses; ++pass) {
      piece.list->enqueue(*side, bindings_.data());
      side->synchronize();
      before.restore(*side);
      ++counters_.warm_ups;
    }
  } catch (...) {
    before.restore(*side);
    throw;
  }
}

/// The step that cannot be recorded becomes a piece of its own.
void ExecutionContext::split(const Stage& stage, BoundStage& ready, std::size_t index, const device::CaptureFailed& failure) {
  settle();
  BoundPiece& whole = ready.pieces[index];
  const plan::Command* blamed = whole.of_step.at(failure.step());
  base::log(LogLevel::warning, "[run/cudagraphs] '{}' runs unrecorded: {} ({})", blamed->name, describe(UnrecordedReason::island), failure.what());
  counters_.live.note(blamed->position, fmt::format("recording it failed: {}", failure.what()));
  assume_counts(stage.last());
  std::vector<BoundPiece> parts;
  add_piece(parts, whole.first_copy, whole.begin, blamed, false, false);
  add_piece(parts, whole.first_copy, blamed, blamed + 1, true, false);
  add_piece(parts, whole.first_copy, blamed + 1, whole.end, false, false);
  forget_recording(ready, whole, ready.next_record);
  const auto at = ready.pieces.erase(ready.pieces.begin() + static_cast<std::ptrdiff_t>(index));
  ready.pieces.insert(at, std::make_move_iterator(parts.begin()), std::make_move_iterator(parts.end()));
  ready.was_split = true;
  point_at_copies(ready);
}

void ExecutionContext::refuse_recording(BoundPiece& piece, UnrecordedReason why, const std::string& detail) {
  const plan::Command& last = piece.end[-1];
  REPRISE_CHECK(!options_.strict, Error, "[run/cudagraphs] segment {} cannot be recorded at '{}': {} ({}); on_uncapturable = piecewise runs it unrecorded",
                last.segment, last.name, describe(why), detail);
  piece.unrecordable = why;
  base::log(LogLevel::warning, "[run/cudagraphs] '{}' runs unrecorded: {} ({})", last.name, describe(why), detail);
}

void ExecutionContext::keep_recordings_in_bounds(BoundStage& stage, BoundPiece& fresh) {
  const auto over = [&] {
    const auto held = static_cast<std::size_t>(std::count_if(shapes_.begin(), shapes_.end(), [](const auto& shape) { return is_recorded(*shape); }));
    return held > options_.max_recordings || counters_.recording_bytes > options_.max_recording_bytes;
  };
  while (over()) {
    BoundShape* oldest = oldest_recorded();
    if (oldest == nullptr) {
      forget_recording(stage, fresh, stage.next_record);
      fresh.recording_bytes += counters_.recording_bytes;  // what the bound would have to allow
      return;
    }
    settle();
    for (BoundStage& held : oldest->stages) counters_.recordings_evicted += forget_recordings(held, RecordReason::evicted);
  }
}

/// Of the shapes that are not current; null when none has recordings.
BoundShape* ExecutionContext::oldest_recorded() const {
  BoundShape* oldest = nullptr;
  for (const auto& shape : shapes_)
    if (shape.get() != current_ && is_recorded(*shape) && (oldest == nullptr || shape->last_use < oldest->last_use)) oldest = shape.get();
  return oldest;
}

void ExecutionContext::replay(BoundPiece& piece, device::Stream& stream) {
  const std::size_t patched = piece.recording->patched_slots();
  piece.recording->replay(stream, bindings_);
  count_copies(piece);
  counters_.patched_addresses += piece.recording->patched_slots() - patched;
  ++counters_.replays;
  if (options_.native) ++counters_.native_replays;
}

void ExecutionContext::verify(BoundStage& ready, BoundPiece& piece, device::Stream& stream) {
  count_copies(piece);
  const auto verdict = verify_replay(*executable_->device(), stream, *piece.list, *piece.recording, bindings_, kept_through(piece), left_by(piece));
  if (verdict == Verdict::differs) {
    forget_recording(ready, piece, ready.next_record);
    ++of(counters_.unrecorded, UnrecordedReason::verify_mismatch);
    return refuse_recording(piece, UnrecordedReason::verify_mismatch, "verify_first_replay");
  }
  piece.verified = true;
  ++counters_.verified_replays;
  ++counters_.replays;
  if (options_.native) ++counters_.native_replays;
}

std::vector<WrittenRange> ExecutionContext::written_by(const BoundPiece& piece) const {
  std::vector<bool> seen(current_->capacity.size());
  std::vector<WrittenRange> ranges;
  const auto add = [&](plan::BufferId id) {
    const auto slot = static_cast<std::size_t>(id);
    if (!seen[slot] && bindings_[slot] != nullptr && current_->capacity[slot] > 0) ranges.push_back({id, bindings_[slot], current_->capacity[slot]});
    seen[slot] = true;
  };
  for (const plan::Command* c = piece.begin; c != piece.end; ++c) {
    for (const auto& operand : c->outputs) add(operand.buffer);
    if (c->op == core::Op::write) add(c->inputs.front().buffer);
  }
  return ranges;
}

/// What the piece writes and does not use up: memory of other buffers may hold anything behind it, scratch among that.
std::vector<WrittenRange> ExecutionContext::left_by(const BoundPiece& piece) const {
  auto ranges = written_by(piece);
  std::erase_if(ranges, [&](const WrittenRange& range) {
    const auto& buffer = executable_->plan().buffers[static_cast<std::size_t>(range.buffer)];
    return buffer.kind == plan::BufferKind::temp && buffer.last < piece.end[-1].position;
  });
  return ranges;
}

/// What the piece writes and somebody has written before it: state, mutated inputs, and buffers of the call that it changes in place. Also those that it reads:
/// other buffers, or scratch, may take their memory behind their last use in it.
std::vector<WrittenRange> ExecutionContext::kept_through(const BoundPiece& piece) const {
  const auto is_temp = [&](plan::BufferId id, bool born_before) {
    const auto& buffer = executable_->plan().buffers[static_cast<std::size_t>(id)];
    return buffer.kind == plan::BufferKind::temp && (buffer.first < piece.begin->position) == born_before;
  };
  auto ranges = written_by(piece);
  std::erase_if(ranges, [&](const WrittenRange& range) { return is_temp(range.buffer, false); });
  for (const plan::Command* c = piece.begin; c != piece.end; ++c) {
    for (const auto& operand : c->inputs) {
      const auto slot = static_cast<std::size_t>(operand.buffer);
      if (is_temp(operand.buffer, true) && bindings_[slot] != nullptr) ranges.push_back({operand.buffer, bindings_[slot], current_->capacity[slot]});
    }
  }
  return ranges;
}

bool ExecutionContext::forget_recording(BoundStage& stage, BoundPiece& piece, RecordReason next) {
  if (piece.recording == nullptr) return false;
  --counters_.recordings_held;
  counters_.recording_bytes -= piece.recording_bytes;
  piece.recording = nullptr;
  stage.next_record = next;
  return true;
}

std::uint64_t ExecutionContext::forget_recordings(BoundStage& stage, RecordReason next) {
  std::uint64_t count = 0;
  for (BoundPiece& piece : stage.pieces) count += forget_recording(stage, piece, next) ? 1 : 0;
  return count;
}

void ExecutionContext::drop_recordings() {
  settle();
  for (const auto& shape : shapes_) {
    for (BoundStage& stage : shape->stages) {
      counters_.recordings_dropped += forget_recordings(stage, RecordReason::dropped);
      for (BoundPiece& piece : stage.pieces) piece.unrecordable.reset();
      if (stage.was_split) stage.pieces.clear();  // the next attempt may succeed
    }
  }
}

}  // namespace reprise::exec
