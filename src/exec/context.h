// Execution contexts: the mutable half of a module. One serves one call at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "exec/arena.h"
#include "exec/bound_shape.h"
#include "exec/counters.h"
#include "exec/executable.h"
#include "exec/profiler.h"
#include "exec/remembered_call.h"
#include "exec/symbol_values.h"
#include "exec/verify_replay.h"

namespace reprise::exec {

/// A call: `bind`, addresses of inputs and outputs, `run`, then `symbols` and `dynamic_output` tell about the results. With a shape key that the context holds
/// (it keeps the last kMaxShapes) and the same data-dependent sizes, none of them allocates. After any exception the context can be bound again.
class ExecutionContext {
 public:
  static constexpr std::size_t kMaxShapes = 16;

  explicit ExecutionContext(ExecutablePtr executable);
  ExecutionContext(const ExecutionContext&) = delete;
  ExecutionContext& operator=(const ExecutionContext&) = delete;
  /// Waits for work that goes on.
  ~ExecutionContext();

  [[nodiscard]] bool holds(const ShapeKey& key) const;
  /// Makes `key` current: plans memory at first sight of it, and commits what it needs. Throws ShapeError, OutOfMemory.
  void bind(const ShapeKey& key);
  [[nodiscard]] bool is_bound_to(const ShapeKey& key) const { return current_ != nullptr && current_->matches(key); }
  /// Of the current shape.
  [[nodiscard]] const OutputShape& output(std::size_t index) const { return current_->outputs[index]; }

  // Addresses of the call, by place in the signature. Every input and every output whose OutputShape tells bytes needs one.
  void set_input(std::size_t index, void* address);
  void set_output(std::size_t index, void* address);
  /// Context-owned memory for copies of inputs; the contents of an earlier call's are lost. Throws OutOfMemory.
  [[nodiscard]] std::byte* staging(std::size_t bytes);

  /// The stream of this context's calls: the default one where that runs inline, else one of its own.
  [[nodiscard]] device::Stream& stream() { return own_stream_ != nullptr ? *own_stream_ : executable_->device()->default_stream(); }
  struct RunOptions {
    bool recorded = false;    // each stage is recorded when it first runs at a shape, and replayed
    bool by_segment = false;  // recordings end where segments do, and fallback segments run as they are
    bool native = false;      // because of the module's strategy, not of a mode: counted
    bool wait = true;         // until all is done; otherwise `leave` follows
    bool strict = false;      // a stage that cannot be recorded is an Error; otherwise it runs step by step and is counted
    bool verify = false;      // the first replay of a recording is compared with a plain run (verify_replay)
    // Shapes with recordings, and the bytes of these, that the context keeps: the one used least goes first.
    std::size_t max_recordings = kMaxShapes, max_recording_bytes = std::size_t{256} << 20;
    Profiler* profiler = nullptr;  // each command is run by itself and measured
  };
  /// Executes. Has waited whenever it throws: ShapeError when data defines a size outside its range, and what steps throw.
  void run(device::Stream& stream, RunOptions options);
  void run(device::Stream& stream) { run(stream, RunOptions()); }

  /// Goes by the weights as they are now (WeightStore::current) and lets go of what it had before, after the work that uses it; `bind` does that too.
  void adopt_weights();
  [[nodiscard]] bool has_old_weights() const { return weights_->epoch != executable_->weights().epoch(); }
  /// Forgets every command list and recording, after the work that uses them: they are made anew by the calls that need them.
  void rebuild();
  std::uint64_t settings_epoch = 0;  // ModuleModes': of the settings that this was built for

  // Of the pool: the bound call that keeps this context to itself, 0 for none. Of that call: what its addresses in the table are called, until another `bind`.
  std::uint64_t owner = 0, bound_for = 0;
  /// Of everybody's contexts: what its addresses in the table belong to, until another `bind`.
  RememberedCall remembered;

  /// All recordings go, after the work that uses them.
  void drop_recordings();
  std::uint64_t recordings_epoch = 0;  // the pool's: when they were dropped last

  /// The call's work goes on in `stream`: what is given to other streams, and what changes this context, must wait for it.
  void leave(device::Stream& stream);
  /// No work of an earlier call goes on but what stands in the stream `id`.
  [[nodiscard]] bool is_free_for(std::uint64_t id);

  /// After `run`: all symbols.
  [[nodiscard]] const SymbolValues& symbols() const { return values_; }
  /// After `run`: where an output lies whose size has no bound; valid until the next `bind`.
  [[nodiscard]] const std::byte* dynamic_output(std::size_t index) const { return dynamic_of(index).data(); }
  [[nodiscard]] std::size_t dynamic_output_bytes(std::size_t index) const { return dynamic_of(index).size(); }

  [[nodiscard]] Counters& counters() { return counters_; }

  // Any thread may ask.
  [[nodiscard]] std::size_t reserved_bytes() const {
    return temps_.reserved_bytes() + scratch_.reserved_bytes() + staging_.reserved_bytes() + dynamic_bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t committed_bytes() const {
    return temps_.committed_bytes() + scratch_.committed_bytes() + staging_.committed_bytes() + dynamic_bytes_.load(std::memory_order_relaxed);
  }
  /// For streamed weights; not part of the above.
  [[nodiscard]] std::size_t slot_bytes() const { return slots_.committed_bytes(); }

 private:
  [[nodiscard]] const device::Allocation& dynamic_of(std::size_t output) const {
    return dynamic_[static_cast<std::size_t>(executable_->output_buffer(output))];
  }
  void settle();
  void forget_lists(RecordReason why);
  void point_at_weights();
  void drop_pages_of(const plan::Command& command) const;
  void grow(Arena& arena, std::size_t bytes);
  void place_scratch();
  void share_scratch(const device::CommandList& list);
  void make_room();
  void point_at_arena();
  void run_block(int block, device::Stream& stream);
  void run_stage(const Stage& stage, device::Stream& stream);
  void run_steps(const Stage& stage, device::Stream& stream);
  /// False when the piece turned out to be several: `index` is then the first of them, and nothing has run.
  [[nodiscard]] bool enqueue(const Stage& stage, BoundStage& ready, std::size_t index, device::Stream& stream);
  void refuse_live(const BoundStage& ready) const;
  void count_copies(const BoundPiece& piece);
  void enqueue_plain(const BoundPiece& piece, device::Stream& stream);
  void enqueue_live(const BoundPiece& piece, device::Stream& stream);
  void record(BoundStage& ready, BoundPiece& piece, device::Stream& stream);
  void warm_up(const BoundPiece& piece, device::Stream& stream);
  void split(const Stage& stage, BoundStage& ready, std::size_t index, const device::CaptureFailed& failure);
  void refuse_recording(BoundPiece& piece, UnrecordedReason why, const std::string& detail);
  void keep_recordings_in_bounds(BoundStage& stage, BoundPiece& fresh);
  [[nodiscard]] BoundShape* oldest_recorded() const;
  void replay(BoundPiece& piece, device::Stream& stream);
  void verify(BoundStage& ready, BoundPiece& piece, device::Stream& stream);
  [[nodiscard]] std::vector<WrittenRange> written_by(const BoundPiece& piece) const;
  [[nodiscard]] std::vector<WrittenRange> left_by(const BoundPiece& piece) const;
  [[nodiscard]] std::vector<WrittenRange> kept_through(const BoundPiece& piece) const;
  /// True when there was one.
  bool forget_recording(BoundStage& stage, BoundPiece& piece, RecordReason next);
  /// How many there were.
  std::uint64_t forget_recordings(BoundStage& stage, RecordReason next);
  void profile(const Stage& stage, device::Stream& stream);
  BoundStage& bound(const Stage& stage);
  void bind_stage(const Stage& stage, BoundStage& bound, RecordReason why_again);
  [[nodiscard]] BuiltStep build(const StepBuilder& builder, const plan::Command& command, int first_copy, bool binds);
  void add_piece(std::vector<BoundPiece>& pieces, int first_copy, const plan::Command* begin, const plan::Command* end, bool live, bool binds);
  void point_at_copies(const BoundStage& bound);
  void assume_counts(const plan::Command& command);
  void ensure_dynamic(const Stage& stage);
  void read_defined(const Stage& stage, device::Stream& stream);
  [[nodiscard]] sym::Number read_number(const plan::Operand& operand, std::int64_t element, device::Stream& stream) const;
  [[nodiscard]] bool read_predicate(const Stage& stage, device::Stream& stream);

  ExecutablePtr executable_;
  Counters counters_;
  std::unique_ptr<device::Stream> own_stream_;
  SymbolValues values_;
  Arena temps_, scratch_, staging_, slots_;
  std::vector<ScratchNeed> scratch_needs_;  // of the only stage's steps
  std::shared_ptr<const WeightSet> weights_;
  std::vector<void*> bindings_;
  std::vector<device::Allocation> dynamic_;  // by buffer; only dynamic ones are ever allocated
  std::atomic<std::size_t> dynamic_bytes_ = 0;
  std::vector<std::unique_ptr<BoundShape>> shapes_;
  BoundShape* current_ = nullptr;
  const BoundShape* placed_ = nullptr;  // whose temps the bindings point at
  std::uint64_t clock_ = 0;
  RunOptions options_;  // of the call that runs
  // The work that goes on: of which stream (0: none), and the event at its end.
  std::uint64_t busy_stream_ = 0;
  std::unique_ptr<device::Event> done_;
};

}  // namespace reprise::exec
