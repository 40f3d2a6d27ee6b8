#include "device/cuda/memory.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "device/cuda/driver.h"
#include "device/cuda/gpu.h"

namespace reprise::device::cuda {
namespace {

constexpr std::size_t kAddressSpace = std::size_t{1} << 46;
constexpr std::size_t kSlabWords = 512;

CUmemLocation location_of(int index) { return {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = index}; }

}  // namespace

MemoryPool::MemoryPool(int index, std::size_t memory_bytes) : memory_bytes_(memory_bytes) {
  const Driver& cuda = driver();
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = location_of(index);
  check(cuda.cuMemPoolCreate(&pool_, &properties), "making a memory pool");
  cuuint64_t keep = std::numeric_limits<cuuint64_t>::max();
  check(cuda.cuMemPoolSetAttribute(pool_, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep), "setting up the memory pool");
  check(cuda.cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING), "making a stream");
}

MemoryPool::~MemoryPool() {
  const Driver& cuda = driver();
  cuda.cuStreamDestroy(stream_);
  cuda.cuMemPoolDestroy(pool_);
}

void* MemoryPool::allocate(std::size_t bytes) {
  REPRISE_CHECK(bytes <= memory_bytes_, OutOfMemory, "[device/memory] the GPU has less memory than that (got {} bytes, want at most {})", bytes, memory_bytes_);
  const Driver& cuda = driver();
  CUdeviceptr pointer = 0;
  const std::size_t room = std::max<std::size_t>(bytes, 1);
  CUresult result = cuda.cuMemAllocFromPoolAsync(&pointer, room, pool_, stream_);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    trim();
    result = cuda.cuMemAllocFromPoolAsync(&pointer, room, pool_, stream_);
  }
  REPRISE_CHECK(result != CUDA_ERROR_OUT_OF_MEMORY, OutOfMemory, "[device/memory] the GPU has no memory left (want {} bytes)", bytes);
  check(result, "allocating memory");
  check(cuda.cuStreamSynchronize(stream_), "allocating memory");  // for use in any stream
  return reinterpret_cast<void*>(pointer);
}

void MemoryPool::deallocate(void* pointer) noexcept { driver().cuMemFreeAsync(reinterpret_cast<CUdeviceptr>(pointer), stream_); }

void MemoryPool::trim() noexcept {
  driver().cuStreamSynchronize(stream_);
  driver().cuMemPoolTrimTo(pool_, 0);
}

void* allocate_pinned(std::size_t bytes) {
  void* pointer = nullptr;
  const CUresult result = driver().cuMemHostAlloc(&pointer, std::max<std::size_t>(bytes, 1), CU_MEMHOSTALLOC_PORTABLE);
  REPRISE_CHECK(result != CUDA_ERROR_OUT_OF_MEMORY, OutOfMemory, "[device/memory] no pinned memory is left (want {} bytes)", bytes);
  check(result, "allocating pinned memory");
  return pointer;
}

CudaReservation::CudaReservation(std::shared_ptr<Gpu> gpu, std::size_t bytes) : gpu_(std::move(gpu)) {
  REPRISE_CHECK(bytes <= kAddressSpace, OutOfMemory, "[device/memory] no GPU has that much memory (got {} bytes)", bytes);
  const CurrentContext current(gpu_->context());
  const Driver& cuda = driver();
  properties_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties_.location = location_of(gpu_->index());
  check(cuda.cuMemGetAllocationGranularity(&granule_, &properties_, CU_MEM_ALLOC_GRANULARITY_MINIMUM), "asking for the page size");
  reserved_ = (std::max<std::size_t>(bytes, 1) + granule_ - 1) / granule_ * granule_;
  const CUresult result = cuda.cuMemAddressReserve(&base_, reserved_, 0, 0, 0);
  REPRISE_CHECK(result == CUDA_SUCCESS, OutOfMemory, "[device/memory] address space cannot be reserved (want {} bytes): {}", bytes, error_text(result));
}

CudaReservation::~CudaReservation() {
  const CurrentContext current(gpu_->context());
  while (!pages_.empty()) remove_page();
  driver().cuMemAddressFree(base_, reserved_);
}

void CudaReservation::commit(std::size_t bytes) {
  if (bytes <= committed()) return;
  REPRISE_CHECK(bytes <= reserved_, OutOfMemory, "[device/memory] more memory than was reserved (got {} bytes, want at most {})", bytes, reserved_);
  const CurrentContext current(gpu_->context());
  const std::size_t before = pages_.size();
  pages_.reserve((bytes + granule_ - 1) / granule_);
  try {
    while (committed() < bytes) add_page();
    const CUmemAccessDesc access{.location = properties_.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    check(driver().cuMemSetAccess(base_ + before * granule_, committed() - before * granule_, &access, 1), "committing memory");
  } catch (...) {
    while (pages_.size() > before) remove_page();
    throw;
  }
}

void CudaReservation::add_page() {
  const Driver& cuda = driver();
  CUmemGenericAllocationHandle page = 0;
  CUresult result = cuda.cuMemCreate(&page, granule_, &properties_, 0);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    gpu_->memory().trim();
    result = cuda.cuMemCreate(&page, granule_, &properties_, 0);
  }
  REPRISE_CHECK(result != CUDA_ERROR_OUT_OF_MEMORY, OutOfMemory, "[device/memory] the GPU has no memory left (want {} bytes more)", granule_);
  check(result, "committing memory");
  result = cuda.cuMemMap(base_ + committed(), granule_, 0, page, 0);
  if (result != CUDA_SUCCESS) cuda.cuMemRelease(page);
  check(result, "mapping memory");
  pages_.push_back(page);
}

void CudaReservation::remove_page() noexcept {
  const auto page = pages_.back();
  pages_.pop_back();
  driver().cuMemUnmap(base_ + committed(), granule_);
  driver().cuMemRelease(page);
}

void CudaReservation::trim(std::size_t bytes) {
  const CurrentContext current(gpu_->context());
  while (committed() >= bytes + granule_) remove_page();
}

FaultWords::~FaultWords() {
  for (void* slab : slabs_) driver().cuMemFreeHost(slab);
}

std::uint64_t* FaultWords::take() {
  const std::scoped_lock lock(mutex_);
  if (free_.empty()) {
    slabs_.reserve(slabs_.size() + 1);
    free_.reserve((slabs_.size() + 1) * kSlabWords);
    auto* words = static_cast<std::uint64_t*>(allocate_pinned(kSlabWords * sizeof(std::uint64_t)));
    slabs_.push_back(words);
    for (std::size_t i = kSlabWords; i-- > 0;) free_.push_back(words + i);
  }
  std::uint64_t* word = free_.back();
  free_.pop_back();
  *word = 0;
  return word;
}

void FaultWords::give_back(std::uint64_t* word) noexcept {
  const std::scoped_lock lock(mutex_);
  free_.push_back(word);
}

}  // namespace reprise::device::cuda
