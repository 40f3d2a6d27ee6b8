#include "device/cuda/device.h"

#include <fmt/format.h>

#include <map>
#include <mutex>

#include "base/check.h"
#include "device/cuda/command_list.h"
#include "device/cuda/memory.h"
#include "device/cuda/recording.h"
#include "device/cuda/strided_copy.h"

namespace reprise::device::cuda {
namespace {

CUstream stream_of(Stream& stream) { return static_cast<CudaStream&>(stream).get(); }
CUevent event_of(const Event& event) { return static_cast<const CudaEvent&>(event).get(); }
CUdeviceptr pointer(const void* address) { return reinterpret_cast<CUdeviceptr>(address); }

}  // namespace

std::shared_ptr<CudaDevice> open(int index) {
  static std::mutex mutex;
  static auto& opened = *new std::map<int, std::weak_ptr<CudaDevice>>;  // never destroyed: a module may outlive it
  const std::scoped_lock lock(mutex);
  auto device = opened[index].lock();
  if (device == nullptr) opened[index] = device = std::make_shared<CudaDevice>(index);
  return device;
}

int current_device() {
  CUcontext context = nullptr;
  check(driver().cuCtxGetCurrent(&context), "asking for the current GPU");
  if (context == nullptr) return 0;
  CUdevice device = 0;
  check(driver().cuCtxGetDevice(&device), "asking for the current GPU");
  return device;  // the driver counts its devices from 0
}

bool select(int index, void** before) {
  const CUcontext context = Gpu::open(index)->context();
  CUcontext current = nullptr;
  check(driver().cuCtxGetCurrent(&current), "asking for the current GPU");
  *before = current;
  if (current == context) return false;
  const bool another = current_device() != index;
  check(driver().cuCtxSetCurrent(context), "choosing the current GPU");
  return another;
}

void restore(void* before) noexcept {
  // Where this fails the driver shuts down.
  CUcontext current = nullptr;
  if (driver().cuCtxGetCurrent(&current) == CUDA_SUCCESS && current != before) driver().cuCtxSetCurrent(static_cast<CUcontext>(before));
}

int device_count() noexcept {
  try {
    int count = 0;
    return driver().cuDeviceGetCount(&count) == CUDA_SUCCESS ? count : 0;
  } catch (const std::exception&) {
    return 0;
  }
}

CudaDevice::~CudaDevice() {
  CudaDevice::trim();  // what this handle freed is for others now
}

std::string CudaDevice::description() const {
  const GpuInfo& info = gpu_->info();
  return fmt::format("{}, {} multiprocessors, {:.0f} GiB, compute capability {}.{}", info.name, info.multiprocessors,
                     static_cast<double>(info.memory_bytes) / (1u << 30), info.major, info.minor);
}

double CudaDevice::elapsed_ms(const Event& from, const Event& to) const {
  const CurrentContext current(gpu_->context());
  float ms = 0;
  check(driver().cuEventElapsedTime(&ms, event_of(from), event_of(to)), "the time between events that have not both passed");
  return ms;
}

void* CudaDevice::allocate(std::size_t bytes, MemoryKind kind) {
  const CurrentContext current(gpu_->context());
  if (kind == MemoryKind::device) return gpu_->memory().allocate(bytes);
  return allocate_pinned(bytes);
}

void CudaDevice::deallocate(void* pointer, MemoryKind kind) noexcept {
  if (pointer == nullptr) return;
  const CurrentContext current(gpu_->context());
  if (kind == MemoryKind::device)
    gpu_->memory().deallocate(pointer);
  else
    driver().cuMemFreeHost(pointer);
}

MemorySize CudaDevice::memory_size() const {
  const CurrentContext current(gpu_->context());
  MemorySize size;
  check(driver().cuMemGetInfo(&size.free_bytes, &size.total_bytes), "asking for free memory");
  return size;
}

void CudaDevice::trim() noexcept {
  const CurrentContext current(gpu_->context());
  gpu_->memory().trim();
}

std::unique_ptr<Reservation> CudaDevice::reserve(std::size_t bytes) { return std::make_unique<CudaReservation>(gpu_, bytes); }

void CudaDevice::copy(void* dst, const void* src, std::size_t bytes, Stream& stream) {
  if (bytes == 0) return;
  const CurrentContext current(gpu_->context());
  check(driver().cuMemcpyAsync(pointer(dst), pointer(src), bytes, stream_of(stream)), "copying memory");
}

void CudaDevice::copy_strided(void* dst, std::span<const std::int64_t> dst_strides, const void* src, std::span<const std::int64_t> src_strides,
                              std::span<const std::int64_t> sizes, std::size_t item_size, Stream& stream) {
  const CurrentContext current(gpu_->context());
  cuda::copy_strided(*gpu_, dst, dst_strides, src, src_strides, sizes, item_size, stream_of(stream));
}

void CudaDevice::fill(void* dst, std::uint32_t value, int width, std::size_t count, Stream& stream) {
  REPRISE_CHECK(width == 1 || width == 2 || width == 4, InvalidArgument, "[device/fill] wrong element width (got {} bytes, want 1, 2 or 4)", width);
  if (count == 0) return;
  const CurrentContext current(gpu_->context());
  fill_memory(pointer(dst), value, width, count, stream_of(stream));
}

std::unique_ptr<CommandList> CudaDevice::make_command_list(StepList steps) { return std::make_unique<CudaCommandList>(gpu_, std::move(steps)); }

std::unique_ptr<Recording> CudaDevice::record(std::shared_ptr<const CommandList> list, std::span<void* const> bindings) {
  return std::make_unique<CudaRecording>(std::move(list), bindings);
}

}  // namespace reprise::device::cuda
