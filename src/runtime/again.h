// Calls that a context made before, made again: nothing is checked, bound or placed.
#pragma once

#include <optional>
#include <span>

#include "exec/context.h"
#include "runtime/devices.h"
#include "runtime/module_impl.h"

namespace reprise::runtime {

/// Runs `context` as it is bound, counted as a call. `stream`: where the work goes on; null: waits. With the state's lock held.
void run_again(Module::Impl& impl, exec::ExecutionContext& context, const OnDevice& on_device, const CallModes& modes, device::Stream* stream);

/// A recorded call of tensors that an idle context remembers. False when there is none, and nothing was done. `signature`: of the call, when it is recorded.
[[nodiscard]] bool repeat(Module::Impl& impl, std::span<const Tensor> inputs, std::span<const Tensor> outputs, device::Stream* stream,
                          std::optional<exec::CallSignature>& signature);

}  // namespace reprise::runtime
