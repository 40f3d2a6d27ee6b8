#include "runtime/call.h"

#include <algorithm>

#include "base/check.h"
#include "exec/memory_planner.h"
#include "runtime/memory_range.h"

namespace reprise::runtime {
namespace {

using plan::InputSpec;

std::size_t staged_bytes(const exec::InputValue& value) {
  const std::size_t bytes = value.tensor != nullptr ? value.tensor->nbytes() : sizeof(std::int64_t);
  return (bytes + exec::kBufferAlignment - 1) / exec::kBufferAlignment * exec::kBufferAlignment;
}

/// Row-major strides for `sizes` into `out`.
void row_major(std::span<const std::int64_t> sizes, std::span<std::int64_t> out) {
  std::int64_t stride = 1;
  for (std::size_t d = sizes.size(); d-- > 0; stride *= std::max<std::int64_t>(sizes[d], 1)) out[d] = stride;
}

}  // namespace

Call::Call(Module::Impl& impl, const InputValues& inputs, std::span<const Tensor> outputs)
    : impl_(impl), inputs_(inputs), outputs_(outputs), lease_(take_bound()), staged_(inputs.size()) {
  check_outputs_apart_from_mutated();
  place_inputs();
}

exec::ContextPool::Lease Call::take_bound() {
  exec::InlineVector<std::int64_t, 32> symbols(static_cast<std::size_t>(impl_.plan->symbols.size()));
  impl_.executable->binder().bind(inputs_.span(), symbols.span());
  const auto key = exec::ShapeKey::of(symbols.span());
  state_lock_ = impl_.lock_state();
  auto lease = impl_.pool.take(key);
  lease->bind(key);
  return lease;
}

void Call::check_outputs_apart_from_mutated() const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!impl_.plan->inputs[i].mutated) continue;
    for (const Tensor& output : outputs_)
      REPRISE_CHECK(!overlap(*inputs_[i].tensor, output), InvalidArgument, "[run/outputs] an output shares memory with input '{}', which the call writes",
                    impl_.plan->inputs[i].name);
  }
}

bool Call::must_stage(std::size_t input) const {
  const auto& value = inputs_[input];
  if (value.tensor == nullptr) return impl_.plan->inputs[input].kind == InputSpec::Kind::integer;
  const Tensor& tensor = *value.tensor;
  if (tensor.numel() == 0) return false;
  if (!tensor.is_contiguous() || !is_aligned(tensor)) return true;
  const auto overlaps = [&](const Tensor& other) { return overlap(tensor, other); };
  if (std::any_of(outputs_.begin(), outputs_.end(), overlaps)) return true;
  if (!impl_.plan->inputs[input].mutated) return false;
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (i != input && inputs_[i].tensor != nullptr && overlaps(*inputs_[i].tensor)) return true;
  return false;
}

void Call::place_inputs() {
  std::size_t total = 0;
  const auto used = [&](std::size_t i) { return !impl_.executable->input_buffers(i).empty(); };
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (used(i) && must_stage(i)) total += staged_bytes(inputs_[i]);
  std::byte* next = total > 0 ? lease_->staging(total) : nullptr;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!used(i)) continue;
    if (must_stage(i)) {
      stage(i, next);
      next += staged_bytes(inputs_[i]);
    } else {
      lease_->set_input(i, inputs_[i].tensor->data());
    }
  }
}

void Call::stage(std::size_t input, std::byte* copy) {
  auto& device = *impl_.device;
  const auto& value = inputs_[input];
  staged_[input] = copy;
  lease_->set_input(input, copy);
  if (value.tensor == nullptr) {
    device.copy(copy, &value.integer, sizeof value.integer, device.default_stream());
    return;
  }
  const Tensor& tensor = *value.tensor;
  exec::InlineVector<std::int64_t, 16> strides(tensor.sizes().size());
  row_major(tensor.sizes(), strides.span());
  device.copy_strided(copy, strides.span(), tensor.data(), tensor.strides(), tensor.sizes(), item_size(tensor.dtype()), device.default_stream());
}

void Call::write_back(std::size_t input) {
  auto& device = *impl_.device;
  const Tensor& tensor = *inputs_[input].tensor;
  exec::InlineVector<std::int64_t, 16> strides(tensor.sizes().size());
  row_major(tensor.sizes(), strides.span());
  device.copy_strided(tensor.data(), tensor.strides(), staged_[input], strides.span(), tensor.sizes(), item_size(tensor.dtype()), device.default_stream());
}

void Call::run() {
  auto& stream = impl_.device->default_stream();
  lease_->run(stream);
  bool wrote = false;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (staged_[i] == nullptr || !impl_.plan->inputs[i].mutated) continue;
    write_back(i);
    wrote = true;
  }
  if (wrote) stream.synchronize();
}

}  // namespace reprise::runtime
