// Memory of a GPU: a pool for allocations, reservations whose pages are committed on demand, pinned host memory, words for faults.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "device/device.h"

namespace reprise::device::cuda {

class Gpu;

/// The driver's stream-ordered pool, used from a stream of its own that is always idle: memory is there when `allocate` returns and free when `deallocate`
/// does. Freed memory stays in the pool until an allocation fails for lack of it.
class MemoryPool {
 public:
  /// With the GPU's context current.
  MemoryPool(int index, std::size_t memory_bytes);
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool();

  // With the GPU's context current. Multiples of 256 bytes. Throws OutOfMemory.
  [[nodiscard]] void* allocate(std::size_t bytes);
  void deallocate(void* pointer) noexcept;
  /// Gives back what is not in use.
  void trim() noexcept;

 private:
  std::size_t memory_bytes_;
  CUmemoryPool pool_ = nullptr;
  CUstream stream_ = nullptr;
};

/// Pinned memory that every GPU's copies reach. Throws OutOfMemory.
void* allocate_pinned(std::size_t bytes);

/// Address space of a GPU. Pages of one granule (2 MiB) each, so that any of them can go again.
class CudaReservation final : public Reservation {
 public:
  CudaReservation(std::shared_ptr<Gpu> gpu, std::size_t bytes);
  CudaReservation(const CudaReservation&) = delete;
  CudaReservation& operator=(const CudaReservation&) = delete;
  ~CudaReservation() override;

  [[nodiscard]] std::byte* base() const override { return reinterpret_cast<std::byte*>(base_); }
  [[nodiscard]] std::size_t reserved() const override { return reserved_; }
  [[nodiscard]] std::size_t committed() const override { return pages_.size() * granule_; }
  void commit(std::size_t bytes) override;
  void trim(std::size_t bytes) override;

 private:
  void add_page();
  void remove_page() noexcept;

  std::shared_ptr<Gpu> gpu_;
  CUmemAllocationProp properties_{};
  std::size_t granule_ = 0, reserved_ = 0;
  CUdeviceptr base_ = 0;
  std::vector<CUmemGenericAllocationHandle> pages_;
};

/// Pinned words that kernels write to tell of errors in the data. Thread safe.
class FaultWords {
 public:
  FaultWords() = default;
  FaultWords(const FaultWords&) = delete;
  FaultWords& operator=(const FaultWords&) = delete;
  ~FaultWords();

  /// A zeroed word. With the GPU's context current.
  [[nodiscard]] std::uint64_t* take();
  void give_back(std::uint64_t* word) noexcept;

 private:
  std::mutex mutex_;
  std::vector<void*> slabs_;
  std::vector<std::uint64_t*> free_;  // capacity for all of them, so that giving back never allocates
};

}  // namespace reprise::device::cuda
