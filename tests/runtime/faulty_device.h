// The CPU, but for recordings: they can fail, and they can lie.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>

#include "device/device.h"
#include "reprise/error.h"

namespace reprise::test {

class FaultyDevice final : public device::DeviceHandle {
 public:
  std::atomic<bool> refuse_recording = false;  // `record` throws
  std::atomic<int> lying_slot = -1;            // replays negate the first float behind this slot afterwards

  [[nodiscard]] Device id() const override { return cpu_->id(); }
  [[nodiscard]] std::string description() const override { return cpu_->description(); }
  [[nodiscard]] bool host_visible() const override { return true; }
  [[nodiscard]] std::size_t slot_alignment() const override { return cpu_->slot_alignment(); }
  [[nodiscard]] device::Stream& default_stream() override { return cpu_->default_stream(); }
  [[nodiscard]] std::unique_ptr<device::Stream> make_stream() override { return cpu_->make_stream(); }
  [[nodiscard]] std::unique_ptr<device::Stream> wrap_stream(void* native) override { return cpu_->wrap_stream(native); }
  [[nodiscard]] std::unique_ptr<device::Event> make_event() override { return cpu_->make_event(); }
  [[nodiscard]] double elapsed_ms(const device::Event& from, const device::Event& to) const override { return cpu_->elapsed_ms(from, to); }
  [[nodiscard]] void* allocate(std::size_t bytes, device::MemoryKind kind) override { return cpu_->allocate(bytes, kind); }
  void deallocate(void* pointer, device::MemoryKind kind) noexcept override { cpu_->deallocate(pointer, kind); }
  [[nodiscard]] std::unique_ptr<device::Reservation> reserve(std::size_t bytes) override { return cpu_->reserve(bytes); }
  void copy(void* dst, const void* src, std::size_t bytes, device::Stream& stream) override { cpu_->copy(dst, src, bytes, stream); }
  void copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                    std::span<const std::int64_t> sizes, std::size_t item_size, device::Stream& stream) override {
    cpu_->copy_strided(dst, dst_strides, src, src_strides, sizes, item_size, stream);
  }
  void fill(void* dst, std::uint32_t value, int width, std::size_t count, device::Stream& stream) override { cpu_->fill(dst, value, width, count, stream); }
  [[nodiscard]] std::unique_ptr<device::CommandList> make_command_list(device::StepList steps) override { return cpu_->make_command_list(std::move(steps)); }
  [[nodiscard]] std::unique_ptr<device::Recording> record(std::shared_ptr<const device::CommandList> list, std::span<void* const> bindings) override {
    if (refuse_recording) throw DeviceError("[test/record] refused");
    return std::make_unique<Lying>(cpu_->record(std::move(list), bindings), *this);
  }

 private:
  class Lying final : public device::Recording {
   public:
    Lying(std::unique_ptr<device::Recording> inner, const FaultyDevice& device) : inner_(std::move(inner)), device_(device) {}
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

  device::DevicePtr cpu_ = device::open(Device::cpu());
};

}  // namespace reprise::test
