#include "runtime/call.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "exec/memory_planner.h"
#include "reprise/runtime.h"
#include "runtime/memory_range.h"
#include "tensor/strided_copy.h"

namespace reprise::runtime {
namespace {

using exec::StagingReason;
using plan::InputSpec;

std::size_t round_up(std::size_t bytes) { return (bytes + exec::kBufferAlignment - 1) / exec::kBufferAlignment * exec::kBufferAlignment; }
std::size_t staged_bytes(const exec::InputValue& value) { return round_up(value.tensor != nullptr ? value.tensor->nbytes() : sizeof(std::int64_t)); }

/// Row-major strides for `sizes` into `out`.
void row_major(std::span<const std::int64_t> sizes, std::span<std::int64_t> out) {
  std::int64_t stride = 1;
  for (std::size_t d = sizes.size(); d-- > 0; stride *= std::max<std::int64_t>(sizes[d], 1)) out[d] = stride;
}

}  // namespace

void Call::begin() {
  ++lease_->counters().calls;
  if (on_device_.switched()) ++lease_->counters().device_switches;
  impl_.wait_for_state(stream());
}

Call::~Call() {
  if (!done_) ++lease_->counters().failed_calls;
}

exec::ContextPool::Lease Call::take_bound() {
  exec::InlineVector<std::int64_t, 32> symbols(static_cast<std::size_t>(impl_.plan->symbols.size()));
  profile_ = impl_.executable->binder().bind(inputs_.span(), symbols.span(), modes().profile);
  if (profile_ != modes().profile.active) impl_.modes.note_profile(modes(), profile_);
  const auto key = impl_.shape_key(symbols.span(), profile_);
  state_lock_ = impl_.lock_calls();
  auto lease = impl_.pool.take(key, given_stream_ != nullptr ? given_stream_->id() : 0, owner_);
  if (modes().recorded) lease->recordings_epoch = std::min(lease->recordings_epoch, start_.recordings_epoch);
  if (lease->settings_epoch != modes().settings_epoch) {
    lease->settings_epoch = modes().settings_epoch;
    lease->rebuild();
  }
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

bool Call::is_on_mutated_input(const Tensor& tensor) const {
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (impl_.plan->inputs[i].mutated && overlap(*inputs_[i].tensor, tensor)) return true;
  return false;
}

bool Call::is_placed_well(const Tensor& tensor) const {
  return is_aligned(tensor) && reinterpret_cast<std::uintptr_t>(tensor.data()) % impl_.device->slot_alignment() == 0;
}

std::optional<StagingReason> Call::must_stage(std::size_t input) const {
  const auto& value = inputs_[input];
  if (value.tensor == nullptr && impl_.plan->inputs[input].kind == InputSpec::Kind::integer) return StagingReason::integer;
  if (value.tensor == nullptr || value.tensor->numel() == 0) return std::nullopt;
  const Tensor& tensor = *value.tensor;
  if (is_on_host(tensor)) return StagingReason::on_host;
  if (on_device_.placement().anywhere && tensor.device() != impl_.device->id()) return StagingReason::other_device;
  if (!tensor.is_contiguous()) return StagingReason::not_contiguous;
  if (!is_placed_well(tensor)) return StagingReason::misaligned;
  const auto overlaps = [&](const Tensor& other) { return overlap(tensor, other); };
  if (std::any_of(outputs_.begin(), outputs_.end(), overlaps)) return StagingReason::overlaps_output;
  if (!impl_.plan->inputs[input].mutated) return std::nullopt;
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (i != input && inputs_[i].tensor != nullptr && overlaps(*inputs_[i].tensor)) return StagingReason::overlaps_input;
  return std::nullopt;
}

void Call::place(std::span<const Tensor> outputs) {
  outputs_ = outputs;
  staged_outputs_ = exec::InlineVector<std::byte*, 16>(outputs.size());
  check_outputs_apart_from_mutated();
  std::size_t total = 0;
  const auto used = [&](std::size_t i) { return !impl_.executable->input_buffers(i).empty(); };
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (used(i) && must_stage(i)) total += staged_bytes(inputs_[i]);
  for (const Tensor& output : outputs_)
    if (output.defined() && !is_placed_well(output)) total += round_up(output.nbytes());
  std::byte* next = total > 0 ? lease_->staging(total) : nullptr;
  lease_->counters().staged_bytes += total;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!used(i)) continue;
    if (const auto why = must_stage(i)) {
      stage(i, *why, next);
      next += staged_bytes(inputs_[i]);
    } else {
      lease_->set_input(i, inputs_[i].tensor->data());
    }
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (!outputs_[i].defined() || is_placed_well(outputs_[i])) continue;
    staged_outputs_[i] = next;
    ++of(lease_->counters().staged_outputs, StagingReason::misaligned);
    next += round_up(outputs_[i].nbytes());
  }
}

void Call::stage(std::size_t input, StagingReason why, std::byte* copy) {
  ++of(lease_->counters().staged_inputs, why);
  auto& device = *impl_.device;
  const auto& value = inputs_[input];
  staged_[input] = copy;
  lease_->set_input(input, copy);
  if (value.tensor == nullptr) {
    device.copy(copy, &value.integer, sizeof value.integer, stream());
    return;
  }
  const Tensor& tensor = *value.tensor;
  if (is_on_host(tensor)) {
    const Tensor packed = tensor.contiguous();
    device.copy(copy, packed.data(), packed.nbytes(), stream());
    if (!tensor.is_contiguous()) stream().synchronize();  // `packed` goes
    return;
  }
  if (why == StagingReason::other_device)
    base::log(LogLevel::warning, "[run/devices] input '{}' is moved from {} to {}", impl_.plan->inputs[input].name, tensor.device().str(), device.id().str());
  if (is_elsewhere(tensor)) {
    const Tensor here = copy_to(tensor, device.id());
    device.copy(copy, here.data(), here.nbytes(), stream());
    stream().synchronize();  // `here` goes
    return;
  }
  exec::InlineVector<std::int64_t, 16> strides(tensor.sizes().size());
  row_major(tensor.sizes(), strides.span());
  device.copy_strided(copy, strides.span(), tensor.data(), tensor.strides(), tensor.sizes(), item_size(tensor.dtype()), stream());
}

void Call::write_back(std::size_t input) {
  auto& device = *impl_.device;
  const Tensor& tensor = *inputs_[input].tensor;
  if (is_elsewhere(tensor)) {
    stream().synchronize();
    return copy_into(tensor, Tensor::from_blob(staged_[input], tensor.sizes(), tensor.dtype(), {}, device.id()));
  }
  exec::InlineVector<std::int64_t, 16> strides(tensor.sizes().size());
  row_major(tensor.sizes(), strides.span());
  if (!is_on_host(tensor)) {
    device.copy_strided(tensor.data(), tensor.strides(), staged_[input], strides.span(), tensor.sizes(), item_size(tensor.dtype()), stream());
    return;
  }
  const Tensor packed = tensor.is_contiguous() ? tensor : Tensor::empty(tensor.sizes(), tensor.dtype());
  device.copy(packed.data(), staged_[input], packed.nbytes(), stream());
  stream().synchronize();
  if (!tensor.is_contiguous())
    tensor::strided_copy(tensor.data(), tensor.strides(), packed.data(), packed.strides(), tensor.sizes(), item_size(tensor.dtype()));
}

void Call::abandon() {
  lease_->counters().calls -= 1;
  if (on_device_.switched()) --lease_->counters().device_switches;
  done_ = true;
}

bool Call::is_staged() const {
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (impl_.plan->inputs[i].kind == InputSpec::Kind::integer) return true;  // sizes come from it
  const auto copied = [](const auto& copies) {
    return std::any_of(copies.span().begin(), copies.span().end(), [](const std::byte* copy) { return copy != nullptr; });
  };
  return copied(staged_) || copied(staged_outputs_);
}

exec::ExecutionContext::RunOptions run_options(const CallModes& modes) {
  return {.recorded = modes.recorded,
          .by_segment = modes.by_segment,
          .native = modes.native,
          .strict = is_strict(modes.graphs),
          .verify = modes.graphs.verify_first_replay,
          .max_recordings = modes.graphs.max_recordings,
          .max_recording_bytes = modes.graphs.max_recording_bytes};
}

void Call::run(exec::Profiler* profiler) {
  const bool wait = given_stream_ == nullptr;
  base::log(LogLevel::debug, "[run/enqueue] on {}{}", impl_.device->id().str(), modes().native ? " (native)" : "");
  auto options = run_options(modes());
  options.wait = wait;
  options.profiler = profiler;
  lease_->run(stream(), options);
  bool wrote = false;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (staged_[i] == nullptr || !impl_.plan->inputs[i].mutated) continue;
    write_back(i);
    wrote = true;
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (staged_outputs_[i] == nullptr) continue;
    impl_.device->copy(outputs_[i].data(), staged_outputs_[i], outputs_[i].nbytes(), stream());
    wrote = true;
  }
  if (wrote && wait) stream().synchronize();
  if (!wait) {
    lease_->leave(stream());
    impl_.leave_state(stream());
  }
  done_ = true;
}

}  // namespace reprise::runtime
