// A device that is not there: what a module compiled for another machine's device stands on. It can be saved and looked at, not called.
#pragma once

#include <string>

#include "device/device.h"

namespace reprise::device {

/// Memory is the host's, so that weights are used where they lie. Whatever would run or reserve memory for a call throws DeviceError.
class OfflineDevice final : public DeviceHandle {
 public:
  /// `architecture`: "sm_90a", for people.
  OfflineDevice(Device id, std::string architecture);

  [[nodiscard]] Device id() const override { return id_; }
  [[nodiscard]] std::string description() const override { return architecture_ + ", not on this machine"; }
  [[nodiscard]] bool host_visible() const override { return true; }
  [[nodiscard]] std::size_t slot_alignment() const override { return host_->slot_alignment(); }

  [[nodiscard]] Stream& default_stream() override { return host_->default_stream(); }
  [[nodiscard]] std::unique_ptr<Stream> make_stream() override { refuse(); }
  [[nodiscard]] std::unique_ptr<Stream> wrap_stream(void*) override { refuse(); }
  [[nodiscard]] std::unique_ptr<Event> make_event() override { refuse(); }
  [[nodiscard]] double elapsed_ms(const Event&, const Event&) const override { refuse(); }

  [[nodiscard]] void* allocate(std::size_t bytes, MemoryKind kind) override { return host_->allocate(bytes, kind); }
  void deallocate(void* pointer, MemoryKind kind) noexcept override { host_->deallocate(pointer, kind); }
  [[nodiscard]] MemorySize memory_size() const override { return host_->memory_size(); }
  void trim() noexcept override { host_->trim(); }
  [[nodiscard]] std::unique_ptr<Reservation> reserve(std::size_t) override { refuse(); }

  void copy(void* dst, const void* src, std::size_t bytes, Stream& stream) override { host_->copy(dst, src, bytes, stream); }
  void copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                    std::span<const std::int64_t> sizes, std::size_t item_size, Stream& stream) override {
    host_->copy_strided(dst, dst_strides, src, src_strides, sizes, item_size, stream);
  }
  void fill(void* dst, std::uint32_t value, int width, std::size_t count, Stream& stream) override { host_->fill(dst, value, width, count, stream); }

  [[nodiscard]] std::unique_ptr<CommandList> make_command_list(StepList) override { refuse(); }
  [[nodiscard]] std::unique_ptr<Recording> record(std::shared_ptr<const CommandList>, std::span<void* const>) override { refuse(); }

  /// Throws DeviceError.
  [[noreturn]] void refuse() const;

 private:
  Device id_;
  std::string architecture_;
  DevicePtr host_;
};

}  // namespace reprise::device
