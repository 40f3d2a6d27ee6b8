// Streams: calls that do not wait. Part of the runtime library.
#pragma once

#include <memory>

#include "reprise/device.h"

namespace reprise {

/// An order of work on one device: what is enqueued to it runs in the order given, behind the caller's back on a GPU. Copies share one stream; thread safe.
class Stream {
 public:
  struct Impl;
  /// A new one. Throws DeviceError.
  explicit Stream(Device device);
  /// A stream of other code: `native` is a cudaStream_t (null: the legacy default stream), which must stay until what was enqueued to it here is done. Throws
  /// DeviceError, and InvalidArgument for a CPU.
  static Stream wrap(Device device, void* native);

  /// Waits for everything enqueued so far. Throws what calls found in their data (an index out of range), once, and DeviceError.
  void synchronize() const;
  /// True when nothing is pending.
  [[nodiscard]] bool query() const;
  [[nodiscard]] Device device() const;

  [[nodiscard]] const std::shared_ptr<Impl>& impl() const { return impl_; }

 private:
  explicit Stream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace reprise
