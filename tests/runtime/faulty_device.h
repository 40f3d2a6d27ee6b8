// The CPU, but for recordings: they can fail, and they can lie.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>

#include "reprise/error.h"
#include "support/forwarding_device.h"

namespace reprise::test {

class FaultyDevice final : public ForwardingDevice {
 public:
  std::atomic<bool> refuse_recording = false;  // `record` throws
  std::atomic<int> lying_slot = -1;            // replays negate the first float behind this slot afterwards

  [[nodiscard]] std::unique_ptr<device::Recording> record(std::shared_ptr<const device::CommandList> list, std::span<void* const> bindings) override {
    if (refuse_recording) throw DeviceError("[test/record] refused");
    return std::make_unique<Lying>(ForwardingDevice::record(std::move(list), bindings), *this);
  }

 private:
  class Lying final : public device::Recording {
   public:
    Lying(std::unique_ptr<device::Recording> recording, const FaultyDevice& device) : inner_(std::move(recording)), device_(device) {}
    void replay(device::Stream& stream, std::span<void* const> bindings) override {
      inner_->replay(stream, bindings);
      const int slot = device_.lying_slot;
      if (slot >= 0) *static_cast<float*>(bindings[static_cast<std::size_t>(slot)]) *= -1;
    }
    [[nodiscard]] std::size_t patched_slots() const override { return inner_->patched_slots(); }
    [[nodiscard]] std::size_t size_bytes() const override { return inner_->size_bytes(); }

   private:
    std::unique_ptr<device::Recording> inner_;
    const FaultyDevice& device_;
  };
};

}  // namespace reprise::test
