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

Results::Results(const plan::Plan& plan, const device::DevicePtr& device, exec::ExecutionContext& context)
    : plan_(plan), device_(device), context_(context), memory_(plan.outputs.size()) {
  for (std::size_t i = 0; i < plan.outputs.size(); ++i)
    if (is_tensor(plan.outputs[i])) attach(i);
}

void Results::attach(std::size_t index) {
  const auto& shape = context_.output(index);
  if (!shape.bytes) return;
  if (shape.sizes) {
    memory_[index] = empty_tensor(device_, *shape.sizes, plan_.outputs[index].dtype);
  } else {
    const std::int64_t bytes[] = {static_cast<std::int64_t>(*shape.bytes)};
    memory_[index] = empty_tensor(device_, bytes, DType::u8);
  }
  ++context_.counters().output_allocations;
  context_.set_output(index, memory_[index].data());
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
  if (context_.output(index).sizes) return std::move(memory_[index]);
  std::vector<std::int64_t> sizes;
  for (const auto& size : plan_.outputs[index].sizes) sizes.push_back(static_cast<std::int64_t>(context_.symbols().size(size)));
  return take_counted(index, sizes);
}

// The elements stand at the start of what was allocated for the bound. That memory is handed out unless most of it would lie idle.
Tensor Results::take_counted(std::size_t index, std::span<const std::int64_t> sizes) {
  const DType dtype = plan_.outputs[index].dtype;
  const std::size_t bytes = static_cast<std::size_t>(tensor::checked_numel(sizes)) * item_size(dtype);
  Tensor& memory = memory_[index];
  const std::size_t room = memory.defined() ? memory.nbytes() : context_.dynamic_output_bytes(index);
  REPRISE_CHECK(bytes <= room, Error, "[run/outputs] output '{}' exceeds its bound (got {} bytes, want at most {})", plan_.outputs[index].name, bytes, room);
  if (memory.defined() && bytes >= room - room / 2) {
    void* data = memory.data();
    return Tensor::from_blob(data, sizes, dtype, {}, device_->id(), [owner = std::move(memory)] {});
  }
  Tensor exact = empty_tensor(device_, sizes, dtype);
  ++context_.counters().output_allocations;
  auto& stream = device_->default_stream();
  device_->copy(exact.data(), memory.defined() ? memory.data() : context_.dynamic_output(index), bytes, stream);
  stream.synchronize();
  return exact;
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
