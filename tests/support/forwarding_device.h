// A device that does what another one does, for tests to change parts of.
#pragma once

#include <memory>
#include <utility>

#include "device/device.h"

namespace reprise::test {

class ForwardingDevice : public device::DeviceHandle {
 public:
  explicit ForwardingDevice(device::DevicePtr inner = device::open(Device::cpu())) : inner_(std::move(inner)) {}

  [[nodiscard]] Device id() const override { return inner_->id(); }
  [[nodiscard]] std::string description() const override { return inner_->description(); }
  [[nodiscard]] bool host_visible() const override { return inner_->host_visible(); }
  [[nodiscard]] std::size_t slot_alignment() const override { return inner_->slot_alignment(); }
  [[nodiscard]] device::Stream& default_stream() override { return inner().default_stream(); }
  [[nodiscard]] std::unique_ptr<device::Stream> make_stream() override { return inner().make_stream(); }
  [[nodiscard]] std::unique_ptr<device::Stream> wrap_stream(void* native) override { return inner().wrap_stream(native); }
  [[nodiscard]] std::unique_ptr<device::Event> make_event() override { return inner().make_event(); }
  [[nodiscard]] double elapsed_ms(const device::Event& from, const device::Event& to) const override { return inner_->elapsed_ms(from, to); }
  [[nodiscard]] void* allocate(std::size_t bytes, device::MemoryKind kind) override { return inner().allocate(bytes, kind); }
  void deallocate(void* pointer, device::MemoryKind kind) noexcept override { inner().deallocate(pointer, kind); }
  [[nodiscard]] device::MemorySize memory_size() const override { return inner_->memory_size(); }
  void trim() noexcept override { inner_->trim(); }
  [[nodiscard]] std::unique_ptr<device::Reservation> reserve(std::size_t bytes) override { return inner().reserve(bytes); }
  void copy(void* dst, const void* src, std::size_t bytes, device::Stream& stream) override { inner().copy(dst, src, bytes, stream); }
  void copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                    std::span<const std::int64_t> sizes, std::size_t item_size, device::Stream& stream) override {
    inner().copy_strided(dst, dst_strides, src, src_strides, sizes, item_size, stream);
  }
  void fill(void* dst, std::uint32_t value, int width, std::size_t count, device::Stream& stream) override { inner().fill(dst, value, width, count, stream); }
  [[nodiscard]] std::unique_ptr<device::CommandList> make_command_list(device::StepList steps) override { return inner().make_command_list(std::move(steps)); }
  [[nodiscard]] std::unique_ptr<device::Recording> record(std::shared_ptr<const device::CommandList> list, std::span<void* const> bindings) override {
    return inner().record(std::move(list), bindings);
  }

 protected:
  /// Every use of the device passes here.
  [[nodiscard]] virtual device::DeviceHandle& inner() { return *inner_; }

 private:
  device::DevicePtr inner_;
};

}  // namespace reprise::test
