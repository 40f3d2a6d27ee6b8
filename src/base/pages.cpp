#include "base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "base/file.h"

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

void drop_pages_of_file(const void* begin, std::size_t bytes) noexcept {
  if (MappedFile::with(begin, bytes) != nullptr) drop_pages(begin, bytes);
}

void expect_pages(const void* begin, std::size_t bytes) noexcept {
  constexpr std::size_t kMost = std::size_t{512} << 10;  // of one wish a system reads no more than its device takes at once
  for (std::size_t at = 0; at < bytes; at += kMost) advise(static_cast<const std::byte*>(begin) + at, std::min(kMost, bytes - at), MADV_WILLNEED);
}

}  // namespace reprise::base
