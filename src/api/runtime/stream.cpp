#include "reprise/stream.h"

#include "runtime/stream_impl.h"

namespace reprise {

Stream::Stream(Device device) : impl_(std::make_shared<Impl>()) {
  impl_->device = device::open(device);
  impl_->stream = impl_->device->make_stream();
}

Stream Stream::wrap(Device device, void* native) {
  auto impl = std::make_shared<Impl>();
  impl->device = device::open(device);
  impl->stream = impl->device->wrap_stream(native);
  return Stream(std::move(impl));
}

void Stream::synchronize() const { impl_->stream->synchronize(); }
bool Stream::query() const { return impl_->stream->query(); }
Device Stream::device() const { return impl_->device->id(); }

}  // namespace reprise
