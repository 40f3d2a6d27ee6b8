// What stands behind a public Stream.
#pragma once

#include <memory>

#include "device/device.h"
#include "reprise/stream.h"

namespace reprise {

struct Stream::Impl {
  device::DevicePtr device;
  std::unique_ptr<device::Stream> stream;
};

}  // namespace reprise
