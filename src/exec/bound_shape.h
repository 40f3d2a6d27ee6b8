// What a context works out for one shape key and keeps: where buffers stand, and each stage's command list.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "device/command_list.h"
#include "exec/counters.h"
#include "exec/executable.h"
#include "exec/stage_steps.h"
#include "exec/symbol_values.h"

namespace reprise::exec {

/// The values of all symbols that inputs bind, plus an epoch that counts what else a bound shape freezes.
struct ShapeKey {
  std::span<const std::int64_t> symbols;  // one per symbol of the plan; 0 where no input binds it
  std::uint64_t epoch = 0;
  std::uint64_t hash = 0;

  static ShapeKey of(std::span<const std::int64_t> symbols, std::uint64_t epoch = 0);
};

/// Commands of a stage that are enqueued, recorded and replayed as one.
struct BoundPiece {
  const plan::Command* begin = nullptr;
  const plan::Command* end = nullptr;
  std::shared_ptr<const device::CommandList> list;
  bool live = false;                             // one foreign command that cannot be recorded: it runs as it is
  std::unique_ptr<device::Recording> recording;  // of `list`, once a call asked for one
  std::optional<UnrecordedReason> unrecordable;  // what stopped the last attempt
  std::size_t recording_bytes = 0;               // of the last recording
  bool verified = false;                         // the recording
  std::vector<CopyPlace> copies;                 // of streamed weights
  std::size_t copied_bytes = 0;
  int first_copy = 0;                         // how many the stage makes before it
  std::vector<const plan::Command*> of_step;  // by step of `list`; null: a copy's
};

struct BoundStage {
  std::vector<BoundPiece> pieces;  // in order: one, but at borders of segments and where foreign commands are live; none: not bound yet
  bool by_segment = false;         // cut at the borders of segments
  bool was_split = false;          // because recording failed
  RecordReason next_record = RecordReason::first_sight;
  std::vector<sym::Number> symbols;  // of Stage::data_symbols, when it was bound
};

/// Memory for one tensor output.
struct OutputShape {
  std::optional<std::vector<std::int64_t>> sizes;  // nullopt: depends on data
  std::optional<std::size_t> bytes;                // what the buffer must hold; nullopt: depends on data with no known bound
};

/// A step's.
struct ScratchNeed {
  std::int32_t position = 0;  // of its command
  std::size_t bytes = 0;
};

struct BoundShape {
  /// `values` hold the key's symbols and nothing from data. Throws ShapeError, OutOfMemory.
  BoundShape(const Executable& executable, const ShapeKey& key, const SymbolValues& values);
  [[nodiscard]] bool matches(const ShapeKey& key) const;
  /// Places buffers and the scratch of all steps once more, together: nothing may be in the arena.
  void place(const Executable& executable, std::span<const ScratchNeed> needs);
  /// Room for a step of `command` in the arena, beside the buffers that live while it runs: its offset, kept in `scratch`. The arena grows where that reaches
  /// behind it. False: it would have more than `most` bytes.
  bool place_scratch(const Executable& executable, const plan::Command& command, std::size_t bytes, std::size_t most);

  std::vector<std::int64_t> symbols;
  std::uint64_t epoch, hash;
  MemoryPlan memory;                  // in order of Executable::arena_buffers; with room for scratch
  std::vector<std::size_t> scratch;   // by command's position: an offset in the arena
  std::vector<std::size_t> capacity;  // bytes of every buffer; dynamic ones 0
  std::vector<OutputShape> outputs;   // per signature output; empty for those that are not tensors
  std::vector<BoundStage> stages;     // by Stage::id
  std::uint64_t last_use = 0;
};

/// Sizes of a signature entry; nullopt when they depend on data that is not known.
std::optional<std::vector<std::int64_t>> known_sizes(const sym::Shape& sizes, const SymbolValues& values);

}  // namespace reprise::exec
