#include "device/cpu/cpu_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/check.h"
#include "device/cpu/cpu_command_list.h"
#include "device/cpu/cpu_memory.h"
#include "device/cpu/cpu_stream.h"
#include "tensor/strided_copy.h"

namespace reprise::device::cpu {
namespace {

CpuEvent::Clock::time_point time_of(const Event& event) {
  const auto point = static_cast<const CpuEvent&>(event).point();
  REPRISE_CHECK(point != nullptr, DeviceError, "[device/event] the event was never recorded");
  REPRISE_CHECK(point->passed(), DeviceError, "[device/event] the event has not passed yet");
  return point->time();
}

class CpuDevice final : public DeviceHandle {
 public:
  explicit CpuDevice(int index) : index_(index) {}

  [[nodiscard]] Device id() const override { return Device::cpu(index_); }
  [[nodiscard]] std::string description() const override { return fmt::format("CPU, {} threads", std::max(1u, std::thread::hardware_concurrency())); }
  [[nodiscard]] bool host_visible() const override { return true; }

  [[nodiscard]] std::size_t slot_alignment() const override { return 1; }

  [[nodiscard]] Stream& default_stream() override { return default_stream_; }
  [[nodiscard]] std::unique_ptr<Stream> make_stream() override { return std::make_unique<QueueStream>(); }
  [[nodiscard]] std::unique_ptr<Stream> wrap_stream(void*) override {
    REPRISE_FAIL(InvalidArgument, "[device/stream] a CPU has no streams of other libraries");
  }
  [[nodiscard]] std::unique_ptr<Event> make_event() override { return std::make_unique<CpuEvent>(); }
  [[nodiscard]] double elapsed_ms(const Event& from, const Event& to) const override {
    return std::chrono::duration<double, std::milli>(time_of(to) - time_of(from)).count();
  }

  [[nodiscard]] void* allocate(std::size_t bytes, MemoryKind) override { return cpu::allocate(bytes); }
  void deallocate(void* pointer, MemoryKind) noexcept override { cpu::deallocate(pointer); }
  [[nodiscard]] MemorySize memory_size() const override { return cpu::memory_size(); }
  void trim() noexcept override { cpu::trim(); }
  [[nodiscard]] std::unique_ptr<Reservation> reserve(std::size_t bytes) override { return std::make_unique<CpuReservation>(bytes); }

  void copy(void* dst, const void* src, std::size_t bytes, Stream& stream) override;
  void copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                    std::span<const std::int64_t> sizes, std::size_t item_size, Stream& stream) override;
  void fill(void* dst, std::uint32_t value, int width, std::size_t count, Stream& stream) override;

  [[nodiscard]] std::unique_ptr<CommandList> make_command_list(StepList steps) override { return std::make_unique<CpuCommandList>(std::move(steps)); }
  [[nodiscard]] std::unique_ptr<Recording> record(std::shared_ptr<const CommandList> list, std::span<void* const> bindings) override {
    return std::make_unique<CpuRecording>(std::move(list), bindings);
  }

 private:
  int index_;
  InlineStream default_stream_;
};

void CpuDevice::copy(void* dst, const void* src, std::size_t bytes, Stream& stream) {
  if (bytes == 0) return;
  if (stream.is_default()) {
    std::memcpy(dst, src, bytes);
    return;
  }
  static_cast<CpuStream&>(stream).enqueue([=] { std::memcpy(dst, src, bytes); });
}

void CpuDevice::copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                             std::span<const std::int64_t> sizes, std::size_t item_size, Stream& stream) {
  if (stream.is_default()) {
    tensor::strided_copy(dst, dst_strides, src, src_strides, sizes, item_size);
    return;
  }
  using List = std::vector<std::int64_t>;
  static_cast<CpuStream&>(stream).enqueue([dst, src, item_size, to = List(dst_strides.begin(), dst_strides.end()),
                                           from = List(src_strides.begin(), src_strides.end()),
                                           shape = List(sizes.begin(), sizes.end())] { tensor::strided_copy(dst, to, src, from, shape, item_size); });
}

template <class T>
void fill_as(void* dst, std::uint32_t value, std::size_t count) {
  std::fill_n(static_cast<T*>(dst), count, static_cast<T>(value));
}

void CpuDevice::fill(void* dst, std::uint32_t value, int width, std::size_t count, Stream& stream) {
  REPRISE_CHECK(width == 1 || width == 2 || width == 4, InvalidArgument, "[device/fill] wrong element width (got {} bytes, want 1, 2 or 4)", width);
  const auto fill_width = width == 1 ? fill_as<std::uint8_t> : width == 2 ? fill_as<std::uint16_t> : fill_as<std::uint32_t>;
  if (stream.is_default()) {
    fill_width(dst, value, count);
    return;
  }
  static_cast<CpuStream&>(stream).enqueue([=] { fill_width(dst, value, count); });
}

}  // namespace

DevicePtr open(int index) {
  REPRISE_CHECK(index >= 0, DeviceError, "[device/open] negative device index (got {})", index);
  return std::make_shared<CpuDevice>(index);
}

}  // namespace reprise::device::cpu
