// Files: read by mapping, written atomically, locked between processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise::base {

using Bytes = std::span<const std::byte>;

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// A read-only mapping of a whole file. The pages live as long as the last shared_ptr; truncating the file meanwhile is the caller's undoing (SIGBUS).
class MappedFile {
 public:
  /// Throws FormatError naming the path when it is missing, unreadable, empty, or not a regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  /// The open one that holds these bytes, as long as who asks keeps it open; null: none. Thread safe.
  static const MappedFile* with(const void* begin, std::size_t bytes) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] Bytes bytes() const { return {data_, size_}; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Bytes of the mapping, without its pages: one byte read there may map megabytes. Throws FormatError where the file has become shorter or cannot be read.
  void read(const std::byte* from, std::size_t bytes, std::byte* to) const;

 private:
  MappedFile(std::filesystem::path path, Descriptor fd, const std::byte* data, std::size_t size);
  std::filesystem::path path_;
  Descriptor fd_;
  const std::byte* data_;
  std::size_t size_;
};

/// Writes beside `path` and renames over it on `commit`, so that readers see the old file or the new one. What exists at `path` and is not a
/// regular file (/dev/full, a pipe) is written directly. Without `commit` the target is untouched and the temporary goes.
class AtomicFile {
 public:
  /// Throws WriteError naming the path; so do `write` and `commit`.
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(Bytes bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  [[nodiscard]] std::uint64_t position() const { return position_; }
  /// Flushes to the disk and renames. Call once, last.
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;
  void write_through(Bytes bytes);
  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty: written directly
  int fd_ = -1;
  std::uint64_t position_ = 0;
  std::vector<std::byte> buffer_;
};

/// The whole content; FormatError as MappedFile, but an empty file is allowed.
std::string read_text(const std::filesystem::path& path);

/// An advisory lock (flock) on `path`, which is created when missing; waits for it; released by the destructor.
class FileLock {
 public:
  enum class Kind { shared, exclusive };
  /// Throws WriteError when the lock file cannot be opened.
  FileLock(const std::filesystem::path& path, Kind kind);
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  int fd_;
};

}  // namespace reprise::base
