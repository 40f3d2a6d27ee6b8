#include "runtime/again.h"

#include <algorithm>

#include "runtime/call.h"

namespace reprise::runtime {

void run_again(Module::Impl& impl, exec::ExecutionContext& context, const OnDevice& on_device, const CallModes& modes, device::Stream* stream) {
  ++context.counters().calls;
  if (on_device.switched()) ++context.counters().device_switches;
  auto& where = stream != nullptr ? *stream : context.stream();
  impl.wait_for_state(where);
  auto options = run_options(modes);
  options.wait = stream == nullptr;
  try {
    context.run(where, options);
  } catch (...) {
    ++context.counters().failed_calls;
    throw;
  }
  if (stream == nullptr) return;
  context.leave(where);
  impl.leave_state(where);
}

bool repeat(Module::Impl& impl, std::span<const Tensor> inputs, std::span<const Tensor> outputs, device::Stream* stream,
            std::optional<exec::CallSignature>& signature) {
  const auto epoch = impl.pool.recordings_epoch();  // before the modes are read
  const auto modes = impl.modes.now();
  if (!modes.recorded) return false;
  const OnDevice on_device(*impl.device);
  signature.emplace(inputs, outputs);
  const auto lock = impl.lock_calls();
  const auto lease = impl.pool.take_remembered(*signature, stream != nullptr ? stream->id() : 0);
  if (!lease) return false;
  auto& context = **lease;
  if (context.has_old_weights() || context.settings_epoch != modes.settings_epoch || context.remembered.profile() != modes.profile.active) return false;
  context.recordings_epoch = std::min(context.recordings_epoch, epoch);
  try {
    run_again(impl, context, on_device, modes, stream);
  } catch (...) {
    context.remembered.forget();
    throw;
  }
  return true;
}

}  // namespace reprise::runtime
