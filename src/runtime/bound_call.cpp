#include "runtime/bound_call.h"

#include "base/check.h"
#include "runtime/again.h"
#include "runtime/call.h"
#include "runtime/results.h"
#include "runtime/stream_impl.h"

namespace reprise {
namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

}  // namespace

BoundCall::Impl::Impl(std::shared_ptr<Module::Impl> on, std::span<const Tensor> in, std::span<const Tensor> out)
    : module(std::move(on)),
      inputs(in.begin(), in.end()),
      outputs(out.begin(), out.end()),
      id(next_id()),
      symbols_(static_cast<std::size_t>(module->plan->symbols.size())) {
  const auto values = runtime::check_arguments(*module->plan, {module->device->id(), true}, std::span<const Tensor>(inputs));
  module->executable->binder().bind(values.span(), symbols_, module->modes.now().profile);
  try {
    bind_and_run(nullptr, true);
  } catch (...) {
    module->pool.disown(id);
    throw;
  }
}

void BoundCall::Impl::run(device::Stream* stream) {
  if (!run_in_place(stream)) bind_and_run(stream, false);
}

bool BoundCall::Impl::run_in_place(device::Stream* stream) {
  const runtime::OnDevice on_device(*module->device);
  const auto epoch = module->pool.recordings_epoch();  // before the modes are read
  const auto modes = module->modes.now();
  const int profile = profile_;
  if (modes.profile.fixed && modes.profile.active != profile) return false;
  const auto lock = module->lock_calls();
  const auto key = module->shape_key(symbols_, profile);
  const auto lease = module->pool.take(key, stream != nullptr ? stream->id() : 0, id);
  if (lease->bound_for != id || !lease->is_bound_to(key) || lease->has_old_weights() || lease->settings_epoch != modes.settings_epoch) return false;
  if (modes.recorded) lease->recordings_epoch = std::min(lease->recordings_epoch, epoch);
  lease->bound_for = 0;  // until it has gone well
  runtime::run_again(*module, *lease, on_device, modes, stream);
  lease->bound_for = id;
  ++lease->counters().bound_calls;
  return true;
}

void BoundCall::Impl::bind_and_run(device::Stream* stream, bool only_bind) {
  runtime::Call call(*module, std::span<const Tensor>(inputs), stream, id);
  call.place(outputs);
  runtime::attach_outputs(*module->plan, module->device->id(), call, outputs);
  profile_ = call.profile();
  if (only_bind)
    call.abandon();
  else
    call.run();
  if (!call.is_staged()) call.context().bound_for = id;
}

BoundCall Module::bind(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const {
  return BoundCall(std::make_shared<BoundCall::Impl>(impl_, inputs, outputs));
}

void BoundCall::operator()() const { impl_->run(nullptr); }

void BoundCall::enqueue(const Stream& stream) const {
  const auto& device = *impl_->module->device;
  REPRISE_CHECK(stream.device() == device.id(), InvalidArgument, "[run/stream] the stream is another device's (got {}, want {})", stream.device().str(),
                device.id().str());
  impl_->run(device.host_visible() ? nullptr : stream.impl()->stream.get());
}

}  // namespace reprise
