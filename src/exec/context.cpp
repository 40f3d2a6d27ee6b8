#include "exec/context.h"

#include <algorithm>
#include <array>
#include <functional>

#include "base/check.h"
#include "base/pages.h"
#include "exec/step_builder.h"
#include "tensor/strided_copy.h"

namespace reprise::exec {
namespace {

/// Address space. On the host steps' scratch, which is not known yet, follows the buffers.
std::size_t reserve_for(const Executable& executable) {
  constexpr std::size_t kScratch = std::size_t{1} << 30;
  if (!executable.largest_memory()) return 0;
  return std::max<std::size_t>(executable.largest_memory()->total_bytes, 1) + (executable.device()->host_visible() ? kScratch : 0);
}

/// From the first to the last that lies in a module's file.
std::span<const std::byte> mapped_weights(const plan::Plan& plan) {
  const std::byte *begin = nullptr, *end = nullptr;
  for (const auto& weight : plan.weights) {
    if (!weight.mapped) continue;
    const auto* data = weight.data.data_as<const std::byte>();
    if (begin == nullptr || std::less<>()(data, begin)) begin = data;
    if (end == nullptr || std::less<>()(end, data + weight.data.nbytes())) end = data + weight.data.nbytes();
  }
  return {begin, end};
}

template <class T>
sym::Number to_number(T value) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) return sym::Number::of_real(static_cast<float>(value));
  if constexpr (std::is_floating_point_v<T>) return sym::Number::of_real(value);
  if constexpr (std::is_integral_v<T>) return sym::Number::of(static_cast<std::int64_t>(value));
}

}  // namespace

ExecutionContext::ExecutionContext(ExecutablePtr executable)
    : executable_(std::move(executable)),
      counters_(executable_->schedule().stage_count),
      own_stream_(executable_->device()->host_visible() ? nullptr : executable_->device()->make_stream()),
      values_(executable_->plan().symbols),
      temps_(executable_->device(), reserve_for(*executable_)),
      scratch_(executable_->device(), 0),
      staging_(executable_->device(), 0),
      slots_(executable_->device(), 0),
      weights_(executable_->weights().current()),
      bindings_(executable_->fixed_bindings().begin(), executable_->fixed_bindings().end()),
      dynamic_(executable_->plan().buffers.size()) {
  point_at_weights();
}

ExecutionContext::~ExecutionContext() {
  try {
    settle();
  } catch (const std::exception&) {
    // The device is gone, and its work with it.
  }
}

bool ExecutionContext::holds(const ShapeKey& key) const {
  return std::any_of(shapes_.begin(), shapes_.end(), [&](const auto& shape) { return shape->matches(key); });
}

void ExecutionContext::point_at_weights() {
  const auto& addresses = weights_->addresses;
  for (std::size_t slot = 0; slot < addresses.size(); ++slot)
    if (addresses[slot] != nullptr) bindings_[slot] = addresses[slot];
  bindings_.resize(executable_->slot_count() + static_cast<std::size_t>(weights_->copies));
}

void ExecutionContext::adopt_weights() {
  forget_lists(RecordReason::weight_budget);
  slots_.release();
  weights_ = executable_->weights().current();
  point_at_weights();
}

void ExecutionContext::bind(const ShapeKey& key) {
  current_ = nullptr;
  if (has_old_weights()) adopt_weights();
  bound_for = 0;
  remembered.forget();
  values_.reset(key.symbols, executable_->binder().known());
  auto found = std::find_if(shapes_.begin(), shapes_.end(), [&](const auto& shape) { return shape->matches(key); });
  if (found == shapes_.end()) {
    settle();
    auto fresh = std::make_unique<BoundShape>(*executable_, key, values_);
    const auto is_same_shape = [&](const auto& shape) { return std::equal(shape->symbols.begin(), shape->symbols.end(), key.symbols.begin()); };
    if (std::any_of(shapes_.begin(), shapes_.end(), is_same_shape))
      for (BoundStage& stage : fresh->stages) stage.next_record = RecordReason::profile;
    if (shapes_.size() == kMaxShapes) make_room();
    shapes_.push_back(std::move(fresh));
    ++counters_.shapes_bound;
    ++counters_.shapes_held;
    found = shapes_.end() - 1;
  }
  const std::byte* before = temps_.base();
  grow(temps_, (*found)->memory.total_bytes);
  if (temps_.base() != before) placed_ = nullptr;
  current_ = found->get();
  current_->last_use = ++clock_;
  if (placed_ != current_) point_at_arena();
}

void ExecutionContext::make_room() {
  const auto oldest = std::min_element(shapes_.begin(), shapes_.end(), [](const auto& a, const auto& b) { return a->last_use < b->last_use; });
  if (placed_ == oldest->get()) placed_ = nullptr;
  for (BoundStage& stage : (*oldest)->stages) forget_recordings(stage, RecordReason::first_sight);
  ++counters_.shapes_evicted;
  --counters_.shapes_held;
  shapes_.erase(oldest);
}

void ExecutionContext::rebuild() {
  if (shapes_.empty()) return;  // nothing was built yet
  forget_lists(RecordReason::settings);
  ++counters_.rebuilds;
}

void ExecutionContext::forget_lists(RecordReason why) {
  settle();
  bound_for = 0;
  remembered.forget();
  for (const auto& shape : shapes_) {
    for (BoundStage& stage : shape->stages) {
      forget_recordings(stage, why);
      stage.pieces.clear();
    }
  }
}

void ExecutionContext::point_at_arena() {
  const auto& buffers = executable_->arena_buffers();
  for (std::size_t i = 0; i < buffers.size(); ++i) bindings_[static_cast<std::size_t>(buffers[i])] = temps_.base() + current_->memory.offsets[i];
  for (std::size_t i = 0; i < current_->scratch.size(); ++i) bindings_[executable_->scratch_slot(i)] = temps_.base() + current_->scratch[i];
  placed_ = current_;
}

void ExecutionContext::set_input(std::size_t index, void* address) {
  for (const auto id : executable_->input_buffers(index)) bindings_[static_cast<std::size_t>(id)] = address;
}

void ExecutionContext::set_output(std::size_t index, void* address) { bindings_[static_cast<std::size_t>(executable_->output_buffer(index))] = address; }

std::byte* ExecutionContext::staging(std::size_t bytes) {
  if (bytes > staging_.committed_bytes()) settle();
  grow(staging_, bytes);
  return staging_.base();
}

void ExecutionContext::leave(device::Stream& stream) {
  if (done_ == nullptr) done_ = executable_->device()->make_event();
  stream.record(*done_);
  busy_stream_ = stream.id();
}

bool ExecutionContext::is_free_for(std::uint64_t id) {
  if (busy_stream_ != 0 && busy_stream_ != id && done_->query()) busy_stream_ = 0;
  return busy_stream_ == 0 || busy_stream_ == id;
}

void ExecutionContext::grow(Arena& arena, std::size_t bytes) {
  const std::size_t before = arena.committed_bytes();
  arena.ensure(bytes);
  if (arena.committed_bytes() != before) ++counters_.memory_growths;
}

/// Waits for the work that goes on: what it uses is about to change.
void ExecutionContext::settle() {
  if (busy_stream_ != 0) done_->synchronize();
  busy_stream_ = 0;
}

void ExecutionContext::run(device::Stream& stream, RunOptions options) {
  options_ = options;
  try {
    run_block(0, stream);
  } catch (...) {
    // Nothing of this call may still run when the next one takes the context; the first error is the one that tells.
    try {
      stream.synchronize();
    } catch (const std::exception&) {
    }
    busy_stream_ = 0;
    throw;
  }
  if (!options.wait) return;
  stream.synchronize();
  busy_stream_ = 0;
}

void ExecutionContext::run_block(int block, device::Stream& stream) {
  for (const Stage& stage : executable_->schedule().blocks[static_cast<std::size_t>(block)]) run_stage(stage, stream);
}

void ExecutionContext::run_stage(const Stage& stage, device::Stream& stream) {
  const plan::Command& command = stage.last();
  switch (stage.kind) {
    case Stage::Kind::steps:
      run_steps(stage, stream);
      break;
    case Stage::Kind::cond:
      run_block(command.blocks[read_predicate(stage, stream) ? 0 : 1], stream);
      break;
    case Stage::Kind::loop:
      run_block(command.blocks[0], stream);
      while (read_predicate(stage, stream)) {
        run_block(command.blocks[1], stream);
        run_block(command.blocks[0], stream);
      }
      break;
  }
}

void ExecutionContext::run_steps(const Stage& stage, device::Stream& stream) {
  BoundStage& ready = bound(stage);
  if (options_.profiler != nullptr) {
    profile(stage, stream);
  } else {
    refuse_live(ready);
    for (std::size_t i = 0; i < ready.pieces.size();)
      if (enqueue(stage, ready, i, stream)) ++i;
  }
  if (!stage.last().defines.empty()) read_defined(stage, stream);
}

BoundStage& ExecutionContext::bound(const Stage& stage) {
  BoundStage& entry = current_->stages[static_cast<std::size_t>(stage.id)];
  const auto& symbols = stage.data_symbols;
  const auto unchanged = [&](std::size_t i) { return values_.at(symbols[i]) && same(*values_.at(symbols[i]), entry.symbols[i]); };
  bool valid = !entry.pieces.empty();
  for (std::size_t i = 0; valid && i < symbols.size(); ++i) valid = unchanged(i);
  // Each of the two ways has recordings of its own: there are never two of one thing.
  const bool recut = options_.recorded && stage.crosses_segments && entry.by_segment != options_.by_segment;
  if (!valid || recut) bind_stage(stage, entry, valid ? RecordReason::mode : RecordReason::data_size);
  // Other stages and shapes may have moved these since.
  for (const auto id : stage.dynamic_buffers) bindings_[static_cast<std::size_t>(id)] = dynamic_[static_cast<std::size_t>(id)].data();
  point_at_copies(entry);
  return entry;
}

void ExecutionContext::point_at_copies(const BoundStage& entry) {
  bindings_[executable_->scratch_slot()] = scratch_.base();
  for (const BoundPiece& piece : entry.pieces)
    for (const auto& copy : piece.copies) bindings_[static_cast<std::size_t>(copy.slot)] = copy.address(slots_.base());
}

void ExecutionContext::bind_stage(const Stage& stage, BoundStage& entry, RecordReason why_again) {
  settle();
  forget_recordings(entry, why_again);
  entry.pieces.clear();
  entry.was_split = false;
  entry.symbols.clear();
  for (const int symbol : stage.data_symbols) {
    REPRISE_CHECK(values_.at(symbol).has_value(), Error, "[run/bind] symbol {} is used before data defines it", executable_->plan().symbols.at(symbol).name);
    entry.symbols.push_back(*values_.at(symbol));
  }
  assume_counts(stage.last());
  ensure_dynamic(stage);
  scratch_needs_.clear();
  std::vector<BoundPiece> pieces;
  const int first_copy = weights_->first_copy[static_cast<std::size_t>(stage.id)];
  const plan::Command* begin = stage.begin;
  for (const plan::Command* c = stage.begin; c != stage.end; ++c) {
    if (options_.by_segment && c->segment != begin->segment) {
      add_piece(pieces, first_copy, begin, c, false, true);
      begin = c;
    }
    const auto why = executable_->why_live(*c);
    if (why.empty()) continue;
    counters_.live.note(c->position, why);
    add_piece(pieces, first_copy, begin, c, false, true);
    add_piece(pieces, first_copy, c, c + 1, true, true);
    begin = c + 1;
  }
  add_piece(pieces, first_copy, begin, stage.end, false, true);
  place_scratch();
  ++counters_.stages_bound;
  // What loading and packing took for a while goes back to the system, once.
  const bool all_bound = counters_.stages_bound == static_cast<std::uint64_t>(executable_->schedule().stage_count);
  if (all_bound && executable_->device()->host_visible()) executable_->device()->trim();
  entry.by_segment = options_.by_segment;
  entry.pieces = std::move(pieces);
}

/// On the host the scratch of steps that a stage is bound with stands in the arena. That of others, which may be made by other kernels than what stands there
/// for them, has memory of its own; so has that for which the arena would have to move, while stages before have data there.
BuiltStep ExecutionContext::build(const StepBuilder& builder, const plan::Command& command, int first_copy, bool binds) {
  BuiltStep built = builder.build(command, *weights_, first_copy);
  const std::size_t bytes = built.step->scratch_bytes();
  if (!executable_->device()->host_visible() || bytes == 0) return built;
  const auto position = static_cast<std::size_t>(command.position);
  const std::size_t slot = executable_->scratch_slot(position);
  if (binds && executable_->schedule().stage_count == 1) {
    scratch_needs_.push_back({command.position, bytes});
  } else if (binds && current_->place_scratch(*executable_, command, bytes, temps_.reserved_bytes())) {
    grow(temps_, current_->memory.total_bytes);
    bindings_[slot] = temps_.base() + current_->scratch[position];
  } else {
    grow(scratch_, bytes);
    return built;
  }
  built.step->set_scratch_slot(static_cast<int>(slot));
  return built;
}

void ExecutionContext::place_scratch() {
  if (scratch_needs_.empty()) return;
  current_->place(*executable_, scratch_needs_);
  grow(temps_, current_->memory.total_bytes);
  point_at_arena();
}

/// Elsewhere steps share it, and tell what they need when their kernels are compiled.
void ExecutionContext::share_scratch(const device::CommandList& list) {
  if (!executable_->device()->host_visible() && list.scratch_bytes() > 0) grow(scratch_, list.scratch_bytes());
}

/// Commands [begin, end), if there are any, behind the `pieces` of a stage or a part of one; `first_copy`: how many copies its first piece has before it.
void ExecutionContext::add_piece(std::vector<BoundPiece>& pieces, int first_copy, const plan::Command* begin, const plan::Command* end, bool live, bool binds) {
  if (begin == end) return;
  const StepBuilder builder(*executable_, values_, current_->capacity);
  std::vector<BuiltStep> built;
  if (!pieces.empty()) first_copy = pieces.back().first_copy + static_cast<int>(pieces.back().copies.size());
  int copies = first_copy;
  for (const plan::Command* c = begin; c != end; ++c) {
    if (c->op == core::Op::item) continue;
    built.push_back(build(builder, *c, copies, binds));
    copies += static_cast<int>(built.back().copies.size());
    drop_pages_of(*c);
  }
  StageSteps arranged = arrange(*executable_, *weights_, begin, std::move(built));
  BoundPiece piece;
  piece.begin = begin;
  piece.end = end;
  piece.list = executable_->device()->make_command_list(std::move(arranged.steps));
  piece.live = live;
  piece.first_copy = first_copy;
  piece.copies = std::move(arranged.places);
  piece.copied_bytes = arranged.copied_bytes;
  piece.of_step = std::move(arranged.commands);
  share_scratch(*piece.list);
  if (arranged.slot_bytes > 0) grow(slots_, arranged.slot_bytes);
  pieces.push_back(std::move(piece));
}

/// Kernels that keep weights in a form of their own have read the file's for the last time; others read their pages again. Those of all weights: the system
/// maps neighbours of what is read.
void ExecutionContext::drop_pages_of(const plan::Command& command) const {
  const plan::Plan& plan = executable_->plan();
  if (!executable_->device()->host_visible()) return;
  const auto is_weight = [&](const plan::Operand& operand) { return plan.buffers[static_cast<std::size_t>(operand.buffer)].kind == plan::BufferKind::weight; };
  if (std::ranges::none_of(command.inputs, is_weight)) return;
  const std::span<const std::byte> weights = mapped_weights(plan);
  base::drop_pages_of_file(weights.data(), weights.size());
}

/// What a command is about to count is not known: its outputs get room for the most that it can be.
void ExecutionContext::assume_counts(const plan::Command& command) {
  for (const auto& define : command.defines) {
    values_.forget(define.symbol);
    if (const auto most = count_bound(command, values_)) values_.set(define.symbol, sym::Number::of(*most));
  }
}

void ExecutionContext::profile(const Stage& stage, device::Stream& stream) {
  assume_counts(stage.last());
  auto& device = *executable_->device();
  const StepBuilder builder(*executable_, values_, current_->capacity);
  const int first_copy = weights_->first_copy[static_cast<std::size_t>(stage.id)];
  const auto list_of = [&](const plan::Command& command, int copies) {
    std::vector<BuiltStep> built;
    built.push_back(build(builder, command, first_copy, false));
    StageSteps arranged = arrange(*executable_, *weights_, &command, std::move(built));
    if (arranged.slot_bytes > 0) grow(slots_, arranged.slot_bytes);
    for (const auto& copy : arranged.places) bindings_[static_cast<std::size_t>(copy.slot)] = copy.address(slots_.base());
    for (int i = 1; i < copies; ++i) arranged.steps.push_back(build(builder, command, first_copy, false).step);
    return std::shared_ptr<const device::CommandList>(device.make_command_list(std::move(arranged.steps)));
  };
  for (const plan::Command* c = stage.begin; c != stage.end; ++c) {
    if (c->op == core::Op::item) continue;
    const auto copies = list_of(*c, options_.profiler->copies()), once = list_of(*c, 1);
    share_scratch(*copies);
    bindings_[executable_->scratch_slot()] = scratch_.base();
    std::vector<Profiler::Bytes> in_place;
    for (const auto& output : c->outputs) {
      const auto slot = static_cast<std::size_t>(output.buffer);
      const bool read = std::any_of(c->inputs.begin(), c->inputs.end(), [&](const plan::Operand& input) { return input.buffer == output.buffer; });
      if (read) in_place.push_back({bindings_[slot], current_->capacity[slot]});
    }
    options_.profiler->run(*c, copies, *once, in_place, stream, bindings_);
  }
}

void ExecutionContext::ensure_dynamic(const Stage& stage) {
  for (const auto id : stage.dynamic_buffers) {
    const auto slot = static_cast<std::size_t>(id);
    const std::size_t bytes = values_.size(executable_->plan().buffers[slot].size_bytes);
    if (dynamic_[slot].data() == nullptr || bytes > dynamic_[slot].size()) {
      device::Allocation grown(executable_->device(), bytes);
      ++counters_.memory_growths;
      dynamic_bytes_ += bytes - dynamic_[slot].size();
      dynamic_[slot] = std::move(grown);
    }
    current_->capacity[slot] = dynamic_[slot].size();
  }
}

void ExecutionContext::read_defined(const Stage& stage, device::Stream& stream) {
  const plan::Command& command = stage.last();
  counters_.host_reads[static_cast<std::size_t>(stage.id)] += command.defines.size();
  for (const auto& define : command.defines) {
    const bool item = define.output < 0;
    const auto& operand = item ? command.inputs.at(0) : command.outputs.at(static_cast<std::size_t>(define.output));
    const sym::Number value = read_number(operand, define.element, stream);
    const auto& info = executable_->plan().symbols.at(define.symbol);
    REPRISE_CHECK(value.is_real || (value.integer >= info.range.min && value.integer <= info.range.max), ShapeError,
                  "[run/{}] '{}' defines {} outside its range (got {}, want {})", core::name(command.op), command.name, info.name, value.integer,
                  range_text(info.range.min, info.range.max));
    values_.set(define.symbol, value);
  }
}

sym::Number ExecutionContext::read_number(const plan::Operand& operand, std::int64_t element, device::Stream& stream) const {
  // `element` counts along the one dimension of a vector.
  const std::int64_t at = values_.integer(operand.offset) + (operand.strides.empty() ? 0 : element * values_.integer(operand.strides[0]));
  const auto slot = static_cast<std::size_t>(operand.buffer);
  const std::size_t width = item_size(operand.dtype);
  REPRISE_CHECK(at >= 0 && (static_cast<std::size_t>(at) + 1) * width <= current_->capacity[slot], Error, "[run/read] an element lies outside buffer '{}'",
                executable_->plan().buffers[slot].name);
  alignas(8) std::array<std::byte, 8> bytes{};
  executable_->device()->copy(bytes.data(), static_cast<const std::byte*>(bindings_[slot]) + at * static_cast<std::int64_t>(width), width, stream);
  stream.synchronize();
  if (operand.dtype == DType::boolean) return sym::Number::of(bytes[0] != std::byte{0});
  return tensor::dispatch(operand.dtype, [&]<class T>(T) { return to_number(*reinterpret_cast<const T*>(bytes.data())); });
}

bool ExecutionContext::read_predicate(const Stage& stage, device::Stream& stream) {
  ++counters_.host_reads[static_cast<std::size_t>(stage.id)];
  return read_number(stage.last().inputs.at(0), 0, stream).as_real() != 0;
}

}  // namespace reprise::exec
