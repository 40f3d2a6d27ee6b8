#include "device/cpu/cpu_memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "base/check.h"

namespace reprise::device::cpu {
namespace {

constexpr std::size_t kAlignment = 64;
// Half of a 64-bit processor's virtual addresses are the most that a process can have.
constexpr std::size_t kAddressSpace = std::size_t{1} << 56;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  REPRISE_CHECK(bytes <= kAddressSpace, OutOfMemory, "[device/memory] no machine has that much memory (got {} bytes)", bytes);
  return (bytes + unit - 1) / unit * unit;
}

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

void* allocate(std::size_t bytes) {
  void* pointer = std::aligned_alloc(kAlignment, round_up(bytes == 0 ? 1 : bytes, kAlignment));
  REPRISE_CHECK(pointer != nullptr, OutOfMemory, "[device/memory] the host has no memory left (want {} bytes)", bytes);
  return pointer;
}

void deallocate(void* pointer) noexcept { std::free(pointer); }

MemorySize memory_size() {
  MemorySize size{.free_bytes = static_cast<std::size_t>(::sysconf(_SC_AVPHYS_PAGES)) * page_size(),
                  .total_bytes = static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * page_size()};
  // The C library does not count what files could give back.
  std::ifstream file("/proc/meminfo");
  for (std::string key, rest; file >> key && std::getline(file, rest);)
    if (key == "MemAvailable:") size.free_bytes = std::strtoull(rest.c_str(), nullptr, 10) * 1024;
  return size;
}

void trim() noexcept { ::malloc_trim(0); }

CpuReservation::CpuReservation(std::size_t bytes) : reserved_(round_up(bytes == 0 ? 1 : bytes, page_size())) {
  void* pointer = ::mmap(nullptr, reserved_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REPRISE_CHECK(pointer != MAP_FAILED, OutOfMemory, "[device/memory] address space cannot be reserved (want {} bytes): {}", bytes, std::strerror(errno));
  base_ = static_cast<std::byte*>(pointer);
}

CpuReservation::~CpuReservation() { ::munmap(base_, reserved_); }

void CpuReservation::commit(std::size_t bytes) {
  if (bytes <= committed_) return;
  REPRISE_CHECK(bytes <= reserved_, OutOfMemory, "[device/memory] more memory than was reserved (got {} bytes, want at most {})", bytes, reserved_);
  const std::size_t end = round_up(bytes, page_size());
  const int status = ::mprotect(base_ + committed_, end - committed_, PROT_READ | PROT_WRITE);
  REPRISE_CHECK(status == 0, OutOfMemory, "[device/memory] the host has no memory left (want {} bytes more): {}", end - committed_, std::strerror(errno));
  committed_ = end;
}

void CpuReservation::trim(std::size_t bytes) {
  const std::size_t end = round_up(bytes, page_size());
  if (end >= committed_) return;
  // A fresh mapping over the old one gives the pages back and takes the access away in one call.
  void* fresh = ::mmap(base_ + end, committed_ - end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (fresh != MAP_FAILED) committed_ = end;
}

}  // namespace reprise::device::cpu
