// Address space reserved with mmap, committed page by page.
#pragma once

#include "device/device.h"

namespace reprise::device::cpu {

class CpuReservation final : public Reservation {
 public:
  explicit CpuReservation(std::size_t bytes);
  CpuReservation(const CpuReservation&) = delete;
  CpuReservation& operator=(const CpuReservation&) = delete;
  ~CpuReservation() override;

  [[nodiscard]] std::byte* base() const override { return base_; }
  [[nodiscard]] std::size_t reserved() const override { return reserved_; }
  [[nodiscard]] std::size_t committed() const override { return committed_; }
  void commit(std::size_t bytes) override;
  void trim(std::size_t bytes) override;

 private:
  std::byte* base_ = nullptr;
  std::size_t reserved_ = 0, committed_ = 0;
};

void* allocate(std::size_t bytes);
void deallocate(void* pointer) noexcept;
/// Free is what could be had without swapping.
MemorySize memory_size();
void trim() noexcept;

}  // namespace reprise::device::cpu
