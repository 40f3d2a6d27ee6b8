#include "exec/bound_shape.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "tensor/strided_copy.h"

namespace reprise::exec {
namespace {

std::size_t tensor_bytes(std::span<const std::int64_t> sizes, DType dtype) {
  std::int64_t bytes = 0;
  const bool overflow = __builtin_mul_overflow(tensor::checked_numel(sizes), static_cast<std::int64_t>(item_size(dtype)), &bytes);
  REPRISE_CHECK(!overflow, ShapeError, "[run/bind] a tensor exceeds the address space");
  return static_cast<std::size_t>(bytes);
}

std::vector<BufferLife> arena_lives(const Executable& executable, const std::vector<std::size_t>& capacity) {
  std::vector<BufferLife> lives;
  for (const auto id : executable.arena_buffers()) {
    const auto& buffer = executable.plan().buffers[static_cast<std::size_t>(id)];
    lives.push_back({capacity[static_cast<std::size_t>(id)], buffer.first, buffer.last});
  }
  return lives;
}

MemoryPlan plan_arena(const Executable& executable, const std::vector<std::size_t>& capacity) {
  MemoryPlan memory = plan_memory(arena_lives(executable, capacity));
  // A greedy plan of smaller buffers can come out larger than that of the largest ones, which serves all shapes and is what was reserved.
  const auto& largest = executable.largest_memory();
  if (largest && memory.total_bytes > largest->total_bytes) memory = *largest;
  return memory;
}

}  // namespace

ShapeKey ShapeKey::of(std::span<const std::int64_t> symbols, std::uint64_t epoch) { return {symbols, epoch, base::hash64(std::as_bytes(symbols), epoch)}; }

std::optional<std::vector<std::int64_t>> known_sizes(const sym::Shape& sizes, const SymbolValues& values) {
  std::vector<std::int64_t> out;
  for (const auto& size : sizes) {
    const auto value = values.try_number(size);
    if (!value) return std::nullopt;
    out.push_back(value->as_int());
  }
  return out;
}

BoundShape::BoundShape(const Executable& executable, const ShapeKey& key, const SymbolValues& values)
    : symbols(key.symbols.begin(), key.symbols.end()),
      epoch(key.epoch),
      hash(key.hash),
      scratch(executable.scratch_slots()),
      capacity(executable.plan().buffers.size()),
      outputs(executable.plan().outputs.size()),
      stages(static_cast<std::size_t>(executable.schedule().stage_count)) {
  const plan::Plan& plan = executable.plan();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (plan.outputs[i].kind != plan::OutputSpec::Kind::tensor) continue;
    outputs[i].sizes = known_sizes(plan.outputs[i].sizes, values);
    if (outputs[i].sizes) outputs[i].bytes = tensor_bytes(*outputs[i].sizes, plan.outputs[i].dtype);
  }
  for (std::size_t id = 0; id < capacity.size(); ++id) {
    const auto& buffer = plan.buffers[id];
    const auto index = static_cast<std::size_t>(buffer.index);
    if (buffer.kind == plan::BufferKind::weight) capacity[id] = plan.weights[index].data.nbytes();
    if (buffer.kind == plan::BufferKind::state) capacity[id] = plan.states[index].initial.nbytes();
    if (buffer.kind == plan::BufferKind::temp && !buffer.dynamic) capacity[id] = values.size(buffer.size_bytes);
    if (buffer.kind == plan::BufferKind::input) {
      const auto& spec = plan.inputs[index];
      capacity[id] = spec.kind == plan::InputSpec::Kind::tensor ? tensor_bytes(known_sizes(spec.sizes, values).value(), spec.dtype) : sizeof(std::int64_t);
    }
    if (buffer.kind == plan::BufferKind::output) {
      if (!outputs[index].bytes && !buffer.dynamic) outputs[index].bytes = values.size(buffer.size_bytes);
      capacity[id] = outputs[index].bytes.value_or(0);
    }
  }
  memory = plan_arena(executable, capacity);
}

void BoundShape::place(const Executable& executable, std::span<const ScratchNeed> needs) {
  auto lives = arena_lives(executable, capacity);
  const std::size_t buffers = lives.size();
  for (const ScratchNeed& need : needs) lives.push_back({need.bytes, need.position, need.position});
  memory = plan_memory(lives);
  for (std::size_t i = 0; i < needs.size(); ++i) scratch[static_cast<std::size_t>(needs[i].position)] = memory.offsets[buffers + i];
  memory.offsets.resize(buffers);
}

bool BoundShape::place_scratch(const Executable& executable, const plan::Command& command, std::size_t bytes, std::size_t most) {
  const std::size_t offset = free_at(memory, arena_lives(executable, capacity), command.position, bytes);
  if (bytes > most || offset > most - bytes) return false;
  scratch[static_cast<std::size_t>(command.position)] = offset;
  memory.total_bytes = std::max(memory.total_bytes, offset + bytes);
  return true;
}

bool BoundShape::matches(const ShapeKey& key) const {
  return hash == key.hash && epoch == key.epoch && std::equal(symbols.begin(), symbols.end(), key.symbols.begin(), key.symbols.end());
}

}  // namespace reprise::exec
