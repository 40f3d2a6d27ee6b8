#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "base/check.h"

namespace reprise::base {
namespace {

constexpr std::size_t kBufferBytes = 1u << 16;
constexpr int kMaxAttempts = 100;  // at a name for the temporary file

/// Files by where they begin.
class Mappings {
 public:
  void add(const MappedFile* file) {
    const std::lock_guard lock(mutex_);
    files_[file->bytes().data()] = file;
  }
  void remove(const MappedFile* file) {
    const std::lock_guard lock(mutex_);
    files_.erase(file->bytes().data());
  }
  const MappedFile* with(const std::byte* begin, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto next = files_.upper_bound(begin);
    if (next == files_.begin()) return nullptr;
    const auto& [data, file] = *std::prev(next);
    const auto at = static_cast<std::size_t>(begin - data), size = file->bytes().size();
    return at <= size && bytes <= size - at ? file : nullptr;
  }

 private:
  std::mutex mutex_;
  std::map<const std::byte*, const MappedFile*, std::less<>> files_;
};

/// Never destroyed: files may be closed behind it.
Mappings& mappings() {
  static auto& all = *new Mappings;
  return all;
}

int open_to_read(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REPRISE_CHECK(fd >= 0, FormatError, "[base/file] {}: cannot be opened ({})", path.string(), std::strerror(errno));
  return fd;
}

struct stat status_of(int fd, const std::filesystem::path& path) {
  struct stat status {};
  REPRISE_CHECK(::fstat(fd, &status) == 0, FormatError, "[base/file] {}: cannot be examined ({})", path.string(), std::strerror(errno));
  REPRISE_CHECK(!S_ISDIR(status.st_mode), FormatError, "[base/file] {}: is a directory, a file is wanted", path.string());
  return status;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  Descriptor fd(open_to_read(path));
  const struct stat status = status_of(fd.get(), path);
  REPRISE_CHECK(S_ISREG(status.st_mode), FormatError, "[base/file] {}: not a regular file", path.string());
  REPRISE_CHECK(status.st_size > 0, FormatError, "[base/file] {}: the file is empty", path.string());
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  REPRISE_CHECK(address != MAP_FAILED, FormatError, "[base/file] {}: cannot be mapped ({})", path.string(), std::strerror(errno));
  return std::shared_ptr<const MappedFile>(new MappedFile(path, std::move(fd), static_cast<const std::byte*>(address), size));
}

MappedFile::MappedFile(std::filesystem::path path, Descriptor fd, const std::byte* data, std::size_t size)
    : path_(std::move(path)), fd_(std::move(fd)), data_(data), size_(size) {
  mappings().add(this);
}

MappedFile::~MappedFile() {
  mappings().remove(this);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

const MappedFile* MappedFile::with(const void* begin, std::size_t bytes) noexcept { return mappings().with(static_cast<const std::byte*>(begin), bytes); }

void MappedFile::read(const std::byte* from, std::size_t bytes, std::byte* to) const {
  for (auto offset = from - data_; bytes > 0;) {
    const ssize_t n = ::pread(fd_.get(), to, bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    REPRISE_CHECK(n > 0, FormatError, "[base/file] {}: cannot be read at byte {} ({})", path_.string(), offset,
                  n == 0 ? "it ends there" : std::strerror(errno));
    offset += n;
    to += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  struct stat status {};
  const bool special = ::stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
  if (special) {
    fd_ = S_ISDIR(status.st_mode) ? (errno = EISDIR, -1) : ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    std::error_code ignored;
    if (std::filesystem::is_symlink(path_, ignored)) path_ = std::filesystem::weakly_canonical(path_, ignored);
    for (int attempt = 0; fd_ < 0 && attempt < kMaxAttempts; ++attempt) {
      temporary_ = fmt::format("{}.{}.{}.tmp", path_.string(), ::getpid(), attempt);
      fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ < 0 && errno != EEXIST) break;
    }
  }
  if (fd_ < 0) fail("cannot be created");
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* what) const { REPRISE_FAIL(WriteError, "[base/file] {}: {} ({})", path_.string(), what, std::strerror(errno)); }

void AtomicFile::write(Bytes bytes) {
  position_ += bytes.size();
  if (buffer_.size() + bytes.size() <= kBufferBytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return;
  }
  write_through(buffer_);
  buffer_.clear();
  write_through(bytes);
}

void AtomicFile::write_through(Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void AtomicFile::commit() {
  write_through(buffer_);
  buffer_.clear();
  // What is not a file (a device, a pipe) cannot be flushed, and says so with EINVAL.
  if (::fsync(fd_) != 0 && errno != EINVAL && errno != EROFS) fail("cannot be written");
  if (::close(std::exchange(fd_, -1)) != 0) fail("cannot be written");
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be put in place");
  temporary_.clear();
}

std::string read_text(const std::filesystem::path& path) {
  const Descriptor fd(open_to_read(path));
  static_cast<void>(status_of(fd.get(), path));
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t n = ::read(fd.get(), piece, sizeof(piece));
    if (n < 0 && errno == EINTR) continue;
    REPRISE_CHECK(n >= 0, FormatError, "[base/file] {}: cannot be read ({})", path.string(), std::strerror(errno));
    if (n == 0) return text;
    text.append(piece, static_cast<std::size_t>(n));
  }
}

FileLock::FileLock(const std::filesystem::path& path, Kind kind) : fd_(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0666)) {
  REPRISE_CHECK(fd_ >= 0, WriteError, "[base/file] {}: cannot be opened for locking ({})", path.string(), std::strerror(errno));
  while (::flock(fd_, kind == Kind::shared ? LOCK_SH : LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    const int error = errno;
    ::close(fd_);
    REPRISE_FAIL(WriteError, "[base/file] {}: cannot be locked ({})", path.string(), std::strerror(error));
  }
}

FileLock::~FileLock() { ::close(fd_); }

}  // namespace reprise::base
