#include "base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace reprise::base {
namespace {

/// For the whole pages that hold the bytes.
void advise(const void* begin, std::size_t bytes, int advice) noexcept {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  if (bytes == 0) return;
  const auto first = reinterpret_cast<std::uintptr_t>(begin) / page * page;
  ::madvise(reinterpret_cast<void*>(first), reinterpret_cast<std::uintptr_t>(begin) + bytes - first, advice);
}

}  // namespace

void drop_pages(const void* begin, std::size_t bytes) noexcept { advise(begin, bytes, MADV_DONTNEED); }
void expect_pages(const void* begin, std::size_t bytes) noexcept { advise(begin, bytes, MADV_WILLNEED); }

}  // namespace reprise::base
