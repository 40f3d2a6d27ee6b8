// A GPU behind the device interface.
#pragma once

#include "device/cuda/gpu.h"
#include "device/cuda/stream.h"
#include "device/device.h"

namespace reprise::device::cuda {

/// Every call leaves the calling thread's current context, and so its current device, as it was.
class CudaDevice final : public DeviceHandle {
 public:
  explicit CudaDevice(int index) : gpu_(Gpu::open(index)), default_stream_(gpu_, CudaStream::Kind::default_stream) {}
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice() override;

  [[nodiscard]] const std::shared_ptr<Gpu>& gpu() const { return gpu_; }

  [[nodiscard]] Device id() const override { return Device::cuda(gpu_->index()); }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] bool host_visible() const override { return false; }

  [[nodiscard]] std::size_t slot_alignment() const override { return kSlotAlignment; }

  [[nodiscard]] Stream& default_stream() override { return default_stream_; }
  [[nodiscard]] std::unique_ptr<Stream> make_stream() override { return std::make_unique<CudaStream>(gpu_, CudaStream::Kind::plain); }
  [[nodiscard]] std::unique_ptr<Stream> wrap_stream(void* native) override { return std::make_unique<CudaStream>(gpu_, static_cast<CUstream>(native)); }
  [[nodiscard]] std::unique_ptr<Event> make_event() override { return std::make_unique<CudaEvent>(gpu_); }
  [[nodiscard]] double elapsed_ms(const Event& from, const Event& to) const override;

  [[nodiscard]] void* allocate(std::size_t bytes, MemoryKind kind) override;
  void deallocate(void* pointer, MemoryKind kind) noexcept override;
  [[nodiscard]] MemorySize memory_size() const override;
  void trim() noexcept override;
  [[nodiscard]] std::unique_ptr<Reservation> reserve(std::size_t bytes) override;

  void copy(void* dst, const void* src, std::size_t bytes, Stream& stream) override;
  void copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                    std::span<const std::int64_t> sizes, std::size_t item_size, Stream& stream) override;
  void fill(void* dst, std::uint32_t value, int width, std::size_t count, Stream& stream) override;

  [[nodiscard]] std::unique_ptr<CommandList> make_command_list(StepList steps) override;
  [[nodiscard]] std::unique_ptr<Recording> record(std::shared_ptr<const CommandList> list, std::span<void* const> bindings) override;

 private:
  std::shared_ptr<Gpu> gpu_;
  CudaStream default_stream_;
};

/// The handle that other users of the GPU have, if there are any.
std::shared_ptr<CudaDevice> open(int index);

/// As device/current.h has it. A thread that never chose one has GPU 0, as in the CUDA runtime.
int current_device();
/// Makes the GPU's primary context current; `before` for `restore`. True when the thread had another GPU's.
bool select(int index, void** before);
void restore(void* before) noexcept;
/// GPUs that the driver shows; 0 without one.
int device_count() noexcept;

}  // namespace reprise::device::cuda
