// Pages of a read-only file mapping.
#pragma once

#include <cstddef>

namespace reprise::base {

/// The process holds these pages no longer; they come again from the file when they are read. Only for read-only mappings of files.
void drop_pages(const void* begin, std::size_t bytes) noexcept;
/// The same, or nothing where the bytes are not all of one MappedFile: for who does not know where they lie. Thread safe.
void drop_pages_of_file(const void* begin, std::size_t bytes) noexcept;
/// The system may start to read these pages; does not wait.
void expect_pages(const void* begin, std::size_t bytes) noexcept;

}  // namespace reprise::base
