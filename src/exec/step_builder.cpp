#include "exec/step_builder.h"

#include <algorithm>

#include "base/check.h"

namespace reprise::exec {
namespace {

using kernels::OperandRef;

/// `*total += a * b`; false on overflow.
bool add_product(std::int64_t a, std::int64_t b, std::int64_t* total) {
  std::int64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(*total, product, total);
}

/// First and last element that the operand touches, counted from its buffer's start; nullopt when they do not fit an int64.
std::optional<std::pair<std::int64_t, std::int64_t>> extent(const OperandRef& ref) {
  std::int64_t low = ref.offset, high = ref.offset;
  for (int d = 0; d < ref.rank; ++d) {
    const auto i = static_cast<std::size_t>(d);
    if (!add_product(ref.sizes[i] - 1, ref.strides[i], ref.strides[i] < 0 ? &low : &high)) return std::nullopt;
  }
  return std::pair(low, high);
}

}  // namespace

OperandRef StepBuilder::bind(const plan::Command& command, const plan::Operand& operand) const {
  const std::size_t rank = operand.sizes.size();
  REPRISE_CHECK(rank <= kernels::kMaxRank, ShapeError, "[run/{}] '{}' has an operand of too many dimensions (got {}, want at most {})", core::name(command.op),
                command.name, rank, kernels::kMaxRank);
  OperandRef ref;
  ref.dtype = operand.dtype;
  ref.slot = operand.buffer;
  ref.rank = static_cast<int>(rank);
  for (std::size_t d = 0; d < rank; ++d) {
    ref.sizes[d] = static_cast<std::int64_t>(values_.size(operand.sizes[d]));
    ref.strides[d] = values_.integer(operand.strides[d]);
  }
  ref.offset = values_.integer(operand.offset);
  check_inside(command, ref);
  return ref;
}

void StepBuilder::check_inside(const plan::Command& command, const OperandRef& ref) const {
  for (int d = 0; d < ref.rank; ++d)
    if (ref.sizes[static_cast<std::size_t>(d)] == 0) return;  // touches nothing
  const auto touched = extent(ref);
  const auto slot = static_cast<std::size_t>(ref.slot);
  const auto elements = static_cast<std::int64_t>(capacity_[slot] / item_size(ref.dtype));
  REPRISE_CHECK(touched && touched->first >= 0 && touched->second < elements, Error, "[run/{}] '{}' reaches outside its buffer '{}' (which holds {} elements)",
                core::name(command.op), command.name, executable_.plan().buffers[slot].name, elements);
}

std::vector<OperandRef> StepBuilder::bind(const plan::Command& command, std::span<const plan::Operand> operands) const {
  std::vector<OperandRef> refs;
  refs.reserve(operands.size());
  for (const auto& operand : operands) refs.push_back(bind(command, operand));
  return refs;
}

StepBuilder::Bound::Bound(const StepBuilder& builder, const plan::Command& command)
    : inputs_(builder.bind(command, command.inputs)),
      outputs_(builder.bind(command, command.outputs)),
      attrs_(command.attrs, [&builder](const sym::Expr& e) { return builder.values_.number(e); }),
      spec_{.op = command.op,
            .inputs = inputs_,
            .outputs = outputs_,
            .attrs = &attrs_,
            .threads = builder.executable_.threads(),
            .name = command.name,
            .fixed = builder.executable_.weight_bindings(),
            .stored = &builder.executable_.stored(),
            .foreign = command.op == core::Op::foreign ? builder.executable_.foreign(command) : nullptr} {
  if (!builder.executable_.device()->host_visible()) fix_weights(builder.executable_);
  if (command.op != core::Op::write) return;
  // Into a view of memory that the first operand names: a copy by another name.
  spec_.op = core::Op::copy;
  spec_.inputs = std::span<const OperandRef>(inputs_).subspan(1, 1);
  spec_.outputs = std::span<const OperandRef>(inputs_).first(1);
}

void StepBuilder::Bound::fix_weights(const Executable& executable) {
  const auto weights = executable.weights().current();
  fixed_.assign(executable.slot_count(), nullptr);
  for (const OperandRef& ref : inputs_) {
    const auto slot = static_cast<std::size_t>(ref.slot);
    if (!weights->copied[slot]) fixed_[slot] = weights->addresses[slot];
  }
  spec_.fixed = fixed_;
}

void StepBuilder::Bound::redirect(const Executable& executable, const WeightSet& weights, int first_copy) {
  const bool on_host = executable.device()->host_visible();
  const int first = static_cast<int>(executable.slot_count()) + first_copy;
  for (OperandRef& ref : inputs_) {
    if (!weights.copied[static_cast<std::size_t>(ref.slot)]) continue;
    // The host's kernels may want each operand in a form of its own; others are chosen by which operands are the same memory.
    const auto known = std::find_if(copies_.begin(), copies_.end(), [&](const WeightCopy& copy) { return !on_host && copy.weight == ref.slot; });
    if (known != copies_.end()) {
      ref.slot = known->slot;
      continue;
    }
    const auto& buffer = executable.plan().buffers[static_cast<std::size_t>(ref.slot)];
    copies_.push_back({.slot = first + static_cast<int>(copies_.size()),
                       .weight = ref.slot,
                       .bytes = executable.plan().weights[static_cast<std::size_t>(buffer.index)].data.nbytes(),
                       .pack = {}});
    ref.slot = copies_.back().slot;
  }
  if (copies_.empty() || !on_host) return;
  fixed_.assign(spec_.fixed.begin(), spec_.fixed.end());
  fixed_.resize(static_cast<std::size_t>(first) + copies_.size());
  for (const WeightCopy& copy : copies_) fixed_[static_cast<std::size_t>(copy.slot)] = weights.addresses[static_cast<std::size_t>(copy.weight)];
  spec_.fixed = fixed_;
  spec_.first_streamed_slot = first;
  spec_.packings = &packings_;
}

std::vector<WeightCopy> StepBuilder::Bound::take_copies() {
  for (auto& packing : packings_) {
    const auto* weight = static_cast<const std::byte*>(fixed_[static_cast<std::size_t>(packing.slot)]);
    WeightCopy& copy = copies_.at(static_cast<std::size_t>(packing.slot - spec_.first_streamed_slot));
    copy.bytes = packing.bytes;
    copy.pack = std::move(packing.pack);
    copy.stored = spec_.stored->find(weight + packing.offset_bytes, packing.form, packing.bytes);
  }
  return std::move(copies_);
}

BuiltStep StepBuilder::build(const plan::Command& command, const WeightSet& weights, int first_copy) const {
  Bound bound(*this, command);
  if (weights.copies > 0) bound.redirect(executable_, weights, first_copy);
  auto step = executable_.make_step()(bound.spec());
  step->set_scratch_slot(static_cast<int>(executable_.scratch_slot()));
  return {std::move(step), bound.take_copies()};
}

std::optional<std::int64_t> count_bound(const plan::Command& command, const SymbolValues& values) {
  if (command.inputs.empty()) return std::nullopt;
  const auto& sizes = command.inputs.front().sizes;
  const auto size = [&](std::size_t d) { return values.integer(sizes.at(d)); };
  const auto numel = [&] { return values.integer(sym::product(sizes)); };
  switch (command.op) {
    case core::Op::nonzero:
      return numel();
    case core::Op::nms:
      return size(0);
    case core::Op::unique: {
      const auto axis = values.integer(command.attrs.integer("axis"));
      return axis < 0 ? numel() : size(static_cast<std::size_t>(axis));
    }
    default:
      return std::nullopt;
  }
}

}  // namespace reprise::exec
