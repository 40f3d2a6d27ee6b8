// Files, locks, hashes, log, handles.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pages.h"
#include "base/unique_handle.h"
#include "mappings.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::base {
namespace {

using testing_support::message_of;
using testing_support::read_file;
using testing_support::TempDir;

TEST(MappedFile, OutlivesItsName) {
  const TempDir dir;
  const auto file = MappedFile::open(dir.write("a", "hello"));
  std::filesystem::remove(dir / "a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()), "hello");
}

TEST(MappedFile, RefusesByName) {
  const TempDir dir;
  const auto reason = [](const std::filesystem::path& path) {
    const std::string message = message_of<FormatError>([&] { MappedFile::open(path); });
    EXPECT_NE(message.find(path.string()), std::string::npos);
    return message;
  };
  EXPECT_NE(reason(dir / "missing").find("No such file"), std::string::npos);
  EXPECT_NE(reason(dir.path()).find("directory"), std::string::npos);
  EXPECT_NE(reason(dir.write("empty", "")).find("empty"), std::string::npos);
  EXPECT_NE(reason("/dev/null").find("regular"), std::string::npos);
}

TEST(MappedFile, IsFoundByItsBytes) {
  const TempDir dir;
  const auto first = MappedFile::open(dir.write("a", std::string(5000, 'a')));
  auto second = MappedFile::open(dir.write("b", "hello"));
  const auto* bytes = second->bytes().data();
  EXPECT_EQ(MappedFile::with(first->bytes().data(), 5000), first.get());
  EXPECT_EQ(MappedFile::with(first->bytes().data() + 4999, 1), first.get());
  EXPECT_EQ(MappedFile::with(first->bytes().data() + 1, 5000), nullptr);
  EXPECT_EQ(MappedFile::with(&dir, 1), nullptr);
  EXPECT_EQ(MappedFile::with(bytes, 5), second.get());
  second = nullptr;
  EXPECT_EQ(MappedFile::with(bytes, 5), nullptr);
}

TEST(MappedFile, IsReadWithoutItsPages) {
  const TempDir dir;
  const auto path = dir.write("a", "hello, world");
  const auto file = MappedFile::open(path);
  std::string text(5, ' ');
  file->read(file->bytes().data() + 7, 5, reinterpret_cast<std::byte*>(text.data()));
  EXPECT_EQ(text, "world");
  std::filesystem::resize_file(path, 9);
  const auto reason = message_of<FormatError>([&] { file->read(file->bytes().data() + 7, 5, reinterpret_cast<std::byte*>(text.data())); });
  EXPECT_NE(reason.find("byte 9"), std::string::npos) << reason;
}

TEST(Pages, AreDroppedOfFilesOnly) {
  const TempDir dir;
  const auto file = MappedFile::open(dir.write("a", std::string(std::size_t{1} << 20, 'a')));
  const auto bytes = file->bytes();
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{'a'}), 1 << 20);
  EXPECT_GE(testing_support::resident_bytes(bytes.data()), bytes.size());
  drop_pages_of_file(bytes.data(), bytes.size());
  EXPECT_EQ(testing_support::resident_bytes(bytes.data()), 0U);
  EXPECT_EQ(bytes[12345], std::byte{'a'});
  const std::vector<char> others(1 << 16, 'b');
  drop_pages_of_file(others.data(), others.size());
  EXPECT_EQ(std::count(others.begin(), others.end(), 'b'), 1 << 16);
}

TEST(ReadText, WholeOrError) {
  const TempDir dir;
  const std::string text(100000, 't');
  EXPECT_EQ(read_text(dir.write("a", text)), text);
  EXPECT_EQ(read_text(dir.write("b", "")), "");
  EXPECT_THROW(read_text(dir / "missing"), FormatError);
  EXPECT_THROW(read_text(dir.path()), FormatError);
}

TEST(AtomicFile, ReplacesOnCommit) {
  const TempDir dir;
  dir.write("a", "old");
  {
    AtomicFile file(dir / "a");
    file.write("new ");
    file.write(std::string(200000, 'x'));
    EXPECT_EQ(file.position(), 200004u);
    EXPECT_EQ(read_file(dir / "a"), "old");
    file.commit();
  }
  EXPECT_EQ(read_file(dir / "a"), "new " + std::string(200000, 'x'));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
  struct stat status {};
  ASSERT_EQ(::stat((dir / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0400u, 0400u);
}

TEST(AtomicFile, DroppedLeavesNothing) {
  const TempDir dir;
  { AtomicFile(dir / "a").write("x"); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(AtomicFile, TwoWritersDoNotMix) {
  const TempDir dir;
  AtomicFile one(dir / "a"), two(dir / "a");
  one.write("1"), two.write("2");
  one.commit(), two.commit();
  EXPECT_EQ(read_file(dir / "a"), "2");
}

TEST(AtomicFile, KeepsSymbolicLinks) {
  const TempDir dir;
  dir.write("real", "old");
  std::filesystem::create_symlink("real", dir / "link");
  AtomicFile file(dir / "link");
  file.write("new");
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
  EXPECT_EQ(read_file(dir / "real"), "new");
}

TEST(AtomicFile, FailsByName) {
  const TempDir dir;
  EXPECT_NE(message_of<WriteError>([&] { AtomicFile(dir / "no/such/dir"); }).find("no/such/dir"), std::string::npos);
  EXPECT_THROW(AtomicFile(dir.path()), WriteError);
  const std::string message = message_of<WriteError>([] {
    AtomicFile full("/dev/full");
    full.write("x");
    full.commit();
  });
  EXPECT_NE(message.find("/dev/full: cannot be written (No space left"), std::string::npos) << message;
  EXPECT_THROW(AtomicFile("/dev/full").write(std::string(1 << 20, 'x')), WriteError);
  AtomicFile null("/dev/null");
  null.write("x");
  EXPECT_NO_THROW(null.commit());
}

/// Another process cannot take what this one holds.
bool another_process_gets_it(const std::filesystem::path& path, FileLock::Kind kind) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(1);  // waits for ever otherwise
    const FileLock lock(path, kind);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status);
}

TEST(FileLock, SharedAndExclusive) {
  const TempDir dir;
  {
    const FileLock shared(dir / "lock", FileLock::Kind::shared);
    EXPECT_TRUE(another_process_gets_it(dir / "lock", FileLock::Kind::shared));
    EXPECT_FALSE(another_process_gets_it(dir / "lock", FileLock::Kind::exclusive));
  }
  EXPECT_TRUE(another_process_gets_it(dir / "lock", FileLock::Kind::exclusive));
  EXPECT_THROW(FileLock(dir / "no/lock", FileLock::Kind::shared), WriteError);
}

TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesOfAnySize) {
  const std::string text(300, 'q');
  for (std::size_t n = 1; n < 200; ++n) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += n) hash.update(std::string_view(text).substr(at, n));
    Sha256 whole;
    whole.update(text);
    EXPECT_EQ(hash.finish(), whole.finish());
  }
}

TEST(Hash64, SpreadsSmallChanges) {
  std::set<std::uint64_t> seen;
  std::string text(40, '\0');
  for (std::size_t n = 0; n <= text.size(); ++n) seen.insert(hash64(std::string_view(text).substr(0, n)));
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string changed = text;
    changed[bit / 8] = static_cast<char>(1 << (bit % 8));
    seen.insert(hash64(changed));
  }
  EXPECT_EQ(seen.size(), 41u + 320u);
  EXPECT_NE(hash64("a", 1), hash64("a", 2));
  EXPECT_NE(hash_combine(hash_combine(0, 1), 2), hash_combine(hash_combine(0, 2), 1));
}

TEST(Log, OnlyToTheCallback) {
  std::vector<std::string> got;
  log(LogLevel::info, "nobody hears {}", 1);
  EXPECT_FALSE(log_enabled());
  set_log_callback([&](LogLevel level, std::string_view m) { got.push_back((level == LogLevel::warning ? "W " : "I ") + std::string(m)); });
  log(LogLevel::warning, "{} of {}", 2, 3);
  set_log_callback({});
  log(LogLevel::info, "dropped");
  EXPECT_EQ(got, std::vector<std::string>{"W 2 of 3"});
}

TEST(Log, FromManyThreadsWhileItChanges) {
  std::atomic<int> heard = 0;
  set_log_callback([&](LogLevel, std::string_view) { ++heard; });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 1000; ++i) log(LogLevel::debug, "{}", i);
    });
  }
  for (int i = 0; i < 100; ++i) set_log_callback([&](LogLevel, std::string_view) { ++heard; });
  for (std::thread& t : threads) t.join();
  set_log_callback({});
  EXPECT_EQ(heard, 4000);
}

int destroyed = 0;
void destroy(int handle) { destroyed += handle; }
using Handle = UniqueHandle<int, destroy>;

TEST(UniqueHandle, DestroysOnce) {
  static_assert(sizeof(Handle) == sizeof(int));
  destroyed = 0;
  {
    Handle a(1), b(std::move(a)), none;
    EXPECT_FALSE(a);
    EXPECT_EQ(b.get(), 1);
    Handle c(10);
    c = std::move(b);
    EXPECT_EQ(destroyed, 10);
    EXPECT_EQ(c.release(), 1);
    c.reset(100);
    Handle& same = c;
    c = std::move(same);
    EXPECT_EQ(c.get(), 100);
  }
  EXPECT_EQ(destroyed, 110);
}

}  // namespace
}  // namespace reprise::base
