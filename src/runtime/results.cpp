#include "runtime/results.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "runtime/device_tensor.h"
#include "runtime/memory_range.h"
#include "tensor/strided_copy.h"

namespace reprise::runtime {
namespace {

using Kind = plan::OutputSpec::Kind;

bool is_tensor(const plan::OutputSpec& spec) { return spec.kind == Kind::tensor; }

void check_output(const plan::OutputSpec& spec, const exec::OutputShape& shape, Device device, const Tensor& tensor) {
  REPRISE_CHECK(shape.sizes.has_value(), InvalidArgument, "[run/outputs] the size of output '{}' depends on data: call the module instead", spec.name);
  REPRISE_CHECK(tensor.defined(), InvalidArgument, "[run/outputs] output '{}' is an undefined tensor", spec.name);
  REPRISE_CHECK(tensor.dtype() == spec.dtype, InvalidArgument, "[run/outputs] output '{}' has the wrong dtype (got {}, want {})", spec.name,
                name(tensor.dtype()), name(spec.dtype));
  REPRISE_CHECK(tensor.device() == device, InvalidArgument, "[run/outputs] output '{}' is on the wrong device (got {}, want {})", spec.name,
                tensor.device().str(), device.str());
  REPRISE_CHECK(tensor.sizes() == *shape.sizes, ShapeError, "[run/outputs] output '{}' has the wrong sizes (got [{}], want [{}])", spec.name,
                fmt::join(tensor.sizes(), ", "), fmt::join(*shape.sizes, ", "));
  REPRISE_CHECK(tensor.is_contiguous() && is_aligned(tensor), InvalidArgument, "[run/outputs] output '{}' must be contiguous and aligned", spec.name);
}

void check_apart(std::span<const Tensor> outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      REPRISE_CHECK(!overlap(outputs[i], outputs[j]), InvalidArgument, "[run/outputs] tensor outputs {} and {} share memory", j, i);
}

}  // namespace

Results::Results(const plan::Plan& plan, const device::DevicePtr& device, Call& call)
    : plan_(plan),
      device_(device),
      call_(call),
      context_(call.context()),
      source_(call.modes().outputs),
      memory_(plan.outputs.size()),
      bound_refused_(plan.outputs.size()) {
  for (std::size_t i = 0; i < plan.outputs.size(); ++i)
    if (is_tensor(plan.outputs[i]) && context_.output(i).bytes) memory_[i] = memory_for(i);
  if (source_.allocator != nullptr) check_apart(memory_);
  // Memory that is new lies on nothing.
  call.place(is_fresh() ? std::span<const Tensor>() : memory_);
  for (std::size_t i = 0; i < plan.outputs.size(); ++i)
    if (memory_[i].defined()) context_.set_output(i, memory_[i].data());
}

Tensor Results::memory_for(std::size_t index) {
  const auto& shape = context_.output(index);
  if (shape.sizes) return exact_memory(index, *shape.sizes);
  if (Tensor memory = ask(index, *shape.bytes, true); memory.defined()) return memory;
  bound_refused_[index] = true;
  const std::int64_t bytes[] = {static_cast<std::int64_t>(*shape.bytes)};
  return fresh(bytes, DType::u8);
}

Tensor Results::fresh(std::span<const std::int64_t> sizes, DType dtype) {
  ++context_.counters().output_allocations;
  return empty_tensor(device_, sizes, dtype);
}

Tensor Results::exact_memory(std::size_t index, std::span<const std::int64_t> sizes) {
  const auto& spec = plan_.outputs[index];
  if (is_fresh()) return fresh(sizes, spec.dtype);
  if (source_.preallocated != nullptr) return preallocated(index, false, sizes, spec.dtype);
  const std::size_t bytes = static_cast<std::size_t>(tensor::checked_numel(sizes)) * item_size(spec.dtype);
  Tensor memory = ask(index, bytes, false);
  REPRISE_CHECK(memory.defined(), OutOfMemory, "[run/outputs] the output allocator refused memory for output '{}' ({} bytes)", spec.name, bytes);
  return memory;
}

Tensor Results::ask(std::size_t index, std::size_t bytes, bool is_bound) {
  if (source_.allocator != nullptr) return allocated(index, bytes, is_bound);
  const std::int64_t sizes[] = {static_cast<std::int64_t>(bytes)};
  return source_.preallocated != nullptr ? preallocated(index, is_bound, sizes, DType::u8) : fresh(sizes, DType::u8);
}

Tensor Results::preallocated(std::size_t index, bool is_bound, std::span<const std::int64_t> sizes, DType dtype) {
  auto [memory, used_before] = source_.preallocated->get(device_, index, is_bound, sizes, dtype);
  // An output of the call before, passed as an input that this call writes.
  if (used_before && call_.is_on_mutated_input(memory)) return fresh(sizes, dtype);
  ++(used_before ? context_.counters().output_reuses : context_.counters().output_allocations);
  return memory;
}

Tensor Results::allocated(std::size_t index, std::size_t bytes, bool is_bound) {
  const auto& spec = plan_.outputs[index];
  ++context_.counters().allocator_requests;
  Tensor memory =
      source_.allocator->allocate({.index = index, .name = spec.name, .dtype = spec.dtype, .device = device_->id(), .bytes = bytes, .is_bound = is_bound});
  if (!memory.defined()) return memory;
  REPRISE_CHECK(memory.device() == device_->id(), InvalidArgument,
                "[run/outputs] the output allocator's memory for '{}' is on the wrong device (got {}, want {})", spec.name, memory.device().str(),
                device_->id().str());
  REPRISE_CHECK(memory.nbytes() >= bytes, InvalidArgument, "[run/outputs] the output allocator's memory for '{}' is too small (got {} bytes, want {})",
                spec.name, memory.nbytes(), bytes);
  const auto alignment = std::max(device_->slot_alignment(), item_size(spec.dtype));
  REPRISE_CHECK(memory.is_contiguous() && (bytes == 0 || reinterpret_cast<std::uintptr_t>(memory.data()) % alignment == 0), InvalidArgument,
                "[run/outputs] the output allocator's memory for '{}' must be contiguous and aligned to {} bytes", spec.name, alignment);
  return memory;
}

Tensor Results::as_output(std::size_t index, Tensor memory, std::span<const std::int64_t> sizes) const {
  void* data = memory.data();
  return Tensor::from_blob(data, sizes, plan_.outputs[index].dtype, {}, device_->id(), [owner = std::move(memory)] {});
}

std::vector<Argument> Results::take() {
  std::vector<Argument> all;
  all.reserve(plan_.outputs.size());
  for (std::size_t i = 0; i < plan_.outputs.size(); ++i) all.push_back(take(i));
  return all;
}

Argument Results::take(std::size_t index) {
  const auto& spec = plan_.outputs[index];
  const auto& symbols = context_.symbols();
  switch (spec.kind) {
    case Kind::tensor:
      return take_tensor(index);
    case Kind::integer:
      return symbols.number(spec.value).as_int();
    case Kind::real:
      return symbols.number(spec.value).as_real();
    case Kind::boolean:
      return symbols.number(spec.value).as_real() != 0;
    case Kind::text:
      return spec.text;
    case Kind::none:
      break;
  }
  return std::monostate{};
}

Tensor Results::take_tensor(std::size_t index) {
  std::vector<std::int64_t> sizes;
  const auto& known = context_.output(index).sizes;
  if (known && source_.allocator == nullptr) return std::move(memory_[index]);
  for (const auto& size : plan_.outputs[index].sizes) sizes.push_back(static_cast<std::int64_t>(context_.symbols().size(size)));
  Tensor result = known ? as_output(index, std::move(memory_[index]), sizes) : take_counted(index, sizes);
  if (source_.allocator != nullptr) source_.allocator->notify_shape(index, sizes);
  return result;
}

// The elements stand at the start of what was got for the bound. That memory is handed out, unless it was made for this call and most of it would lie idle.
Tensor Results::take_counted(std::size_t index, std::span<const std::int64_t> sizes) {
  const std::size_t bytes = static_cast<std::size_t>(tensor::checked_numel(sizes)) * item_size(plan_.outputs[index].dtype);
  Tensor& memory = memory_[index];
  const std::size_t room = memory.defined() ? memory.nbytes() : context_.dynamic_output_bytes(index);
  REPRISE_CHECK(bytes <= room, Error, "[run/outputs] output '{}' exceeds its bound (got {} bytes, want at most {})", plan_.outputs[index].name, bytes, room);
  const bool ours = is_fresh() || bound_refused_[index];
  const bool fits = is_fresh() && bytes >= room - room / 2;
  if (memory.defined() && (fits || !ours)) return as_output(index, std::move(memory), sizes);
  Tensor exact = exact_memory(index, sizes);
  auto& stream = device_->default_stream();
  device_->copy(exact.data(), memory.defined() ? memory.data() : context_.dynamic_output(index), bytes, stream);
  stream.synchronize();
  return source_.allocator == nullptr ? exact : as_output(index, std::move(exact), sizes);
}

void attach_outputs(const plan::Plan& plan, Device device, const Call& call, std::span<const Tensor> outputs) {
  const auto want = static_cast<std::size_t>(std::count_if(plan.outputs.begin(), plan.outputs.end(), is_tensor));
  REPRISE_CHECK(outputs.size() == want, InvalidArgument, "[run/outputs] wrong number of outputs (got {}, want {})", outputs.size(), want);
  auto next = outputs.begin();
  for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
    if (!is_tensor(plan.outputs[i])) continue;
    check_output(plan.outputs[i], call.context().output(i), device, *next);
    call.context().set_output(i, call.output_address(static_cast<std::size_t>(next - outputs.begin())));
    ++next;
  }
  check_apart(outputs);
}

}  // namespace reprise::runtime
