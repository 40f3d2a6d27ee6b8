#include "base/zip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <optional>

#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::base {
namespace {

using testing_support::message_of;
using testing_support::read_file;
using testing_support::TempDir;

Bytes as_bytes(const std::string& s) { return std::as_bytes(std::span(s)); }

void put(std::string& out, std::uint64_t v, int size) {
  for (int i = 0; i < size; ++i, v >>= 8) out += static_cast<char>(v);
}

std::string deflate(const std::string& content) {
  std::string out(content.size() + 100, '\0');
  z_stream s{};
  EXPECT_EQ(deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  s.avail_in = static_cast<uInt>(content.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data());
  s.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&s, Z_FINISH), Z_STREAM_END);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}

std::uint32_t crc_of(const std::string& s) {
  return static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(s.data()), static_cast<uInt>(s.size())));
}

struct Part {
  std::string name, content;
  bool deflated = false;
  // What the directory claims, where it differs from the truth.
  std::optional<std::uint64_t> size = {}, stored_size = {}, offset = {};
  std::uint16_t flags = 0, method_override = 0xffff;
};

/// An archive built by hand, beside ZipWriter. `zip64`: sizes and offsets stand in ZIP64 fields, and the end record too.
std::string archive(const std::vector<Part>& parts, bool zip64 = false, const std::string& comment = "") {
  std::string out, directory;
  for (const Part& p : parts) {
    const std::string stored = p.deflated ? deflate(p.content) : p.content;
    const std::uint64_t offset = p.offset.value_or(out.size()), size = p.size.value_or(p.content.size()), stored_size = p.stored_size.value_or(stored.size());
    const unsigned method = p.method_override != 0xffff ? p.method_override : (p.deflated ? 8u : 0u);
    put(out, 0x04034b50, 4), put(out, 45, 2), put(out, p.flags, 2), put(out, method, 2), put(out, 0, 16);  // sizes are in the directory only
    put(out, p.name.size(), 2), put(out, 3, 2);
    out += p.name + "abc" + stored;
    put(directory, 0x02014b50, 4), put(directory, 45, 2), put(directory, 45, 2), put(directory, p.flags, 2), put(directory, method, 2), put(directory, 0, 4);
    put(directory, crc_of(p.content), 4), put(directory, zip64 ? 0xffffffff : stored_size, 4), put(directory, zip64 ? 0xffffffff : size, 4);
    put(directory, p.name.size(), 2), put(directory, zip64 ? 28 : 0, 2), put(directory, 0, 10), put(directory, zip64 ? 0xffffffff : offset, 4);
    directory += p.name;
    if (zip64) put(directory, 1, 2), put(directory, 24, 2), put(directory, size, 8), put(directory, stored_size, 8), put(directory, offset, 8);
  }
  const std::uint64_t start = out.size(), end64 = start + directory.size();
  out += directory;
  if (zip64) {
    put(out, 0x06064b50, 4), put(out, 44, 8), put(out, 45, 2), put(out, 45, 2), put(out, 0, 8);
    put(out, parts.size(), 8), put(out, parts.size(), 8), put(out, directory.size(), 8), put(out, start, 8);
    put(out, 0x07064b50, 4), put(out, 0, 4), put(out, end64, 8), put(out, 1, 4);
  }
  put(out, 0x06054b50, 4), put(out, 0, 4), put(out, zip64 ? 0xffff : parts.size(), 2), put(out, zip64 ? 0xffff : parts.size(), 2);
  put(out, zip64 ? 0xffffffff : directory.size(), 4), put(out, zip64 ? 0xffffffff : start, 4), put(out, comment.size(), 2);
  return out + comment;
}

const std::string kLong(100000, 'x');
const std::vector<Part> kParts = {{"a", "alpha"}, {"dir/b", kLong, true}, {"empty", ""}, {"empty deflated", "", true}};

void expect_parts(const std::string& bytes) {
  const ZipReader zip(as_bytes(bytes), "x.zip");
  ASSERT_EQ(zip.entries().size(), 4u);
  EXPECT_EQ(zip.entries()[1].name, "dir/b");
  for (const Part& p : kParts) EXPECT_EQ(zip.text(zip.at(p.name)), p.content);
  EXPECT_EQ(zip.bytes(zip.at("a")).data(), as_bytes(bytes).data() + bytes.find("alpha"));
  EXPECT_EQ(zip.inflate(zip.at("a")).size(), 5u);
  EXPECT_THROW(static_cast<void>(zip.bytes(zip.at("dir/b"))), InvalidArgument);
  EXPECT_EQ(zip.find("nobody"), nullptr);
  EXPECT_NE(message_of<FormatError>([&] { static_cast<void>(zip.at("nobody")); }).find("x.zip: entry 'nobody' is missing"), std::string::npos);
}

TEST(ZipReader, StoredAndDeflated) { expect_parts(archive(kParts)); }
TEST(ZipReader, Zip64) { expect_parts(archive(kParts, true)); }
TEST(ZipReader, CommentAndPrefix) {
  expect_parts(archive(kParts, false, "a comment"));
  EXPECT_TRUE(looks_like_zip(as_bytes(archive(kParts))));
  EXPECT_FALSE(looks_like_zip(as_bytes("hello")));
  EXPECT_FALSE(looks_like_zip({}));
  EXPECT_TRUE(ZipReader(as_bytes(archive({})), "x").entries().empty());
}

std::string refusal(const std::string& bytes, ZipOptions options = {}) {
  return message_of<FormatError>([&] {
    const ZipReader zip(as_bytes(bytes), "x.zip", options);
    for (const ZipEntry& e : zip.entries()) static_cast<void>(zip.inflate(e));
  });
}

TEST(ZipReader, RefusesByReason) {
  const auto expect = [](const std::string& message, const char* reason) { EXPECT_NE(message.find(reason), std::string::npos) << message; };
  expect(refusal("not a zip at all, just text that is long enough"), "not a zip");
  expect(refusal(""), "not a zip");
  expect(refusal(archive({{"a", "1"}, {"a", "2"}})), "twice");
  expect(refusal(archive({{std::string("a\0b", 3), "1"}})), "entry 'a?b': bad name");
  expect(refusal(archive({{"", "1"}})), "bad name");
  expect(refusal(archive({{.name = "a", .content = "1", .flags = 1}})), "encrypted");
  expect(refusal(archive({{.name = "a", .content = "1", .method_override = 12}})), "method not supported (got 12)");
  expect(refusal(archive({{.name = "a", .content = "1", .size = 2}})), "sizes differ");
  expect(refusal(archive({{.name = "a", .content = "12345", .size = 1u << 30, .stored_size = 1u << 30}})), "outside the file");
  expect(refusal(archive({{.name = "a", .content = "1", .offset = 3}})), "no local header");
  expect(refusal(archive({{.name = "a", .content = "1", .offset = 1ull << 60}}, true)), "no local header");
  expect(refusal(archive({{.name = "a", .content = "1", .offset = UINT64_MAX}}, true)), "no local header");
  expect(refusal(archive({{.name = "a", .content = kLong, .deflated = true, .size = 1ull << 40}}, true)), "unbelievable size");
  expect(refusal(archive({{.name = "a", .content = kLong, .deflated = true}}), {.max_inflated_bytes = 99999}), "unbelievable size");
  expect(refusal(archive({{.name = "a", .content = kLong, .deflated = true, .size = kLong.size() + 1}})), "bad compressed data");
  expect(refusal(archive({{.name = "a", .content = kLong, .deflated = true, .size = kLong.size() - 1}})), "bad compressed data");
  expect(refusal(archive({{"a", "1"}, {"b", "2"}}), {.max_entries = 1}), "too many entries");
  expect(refusal(archive({{"a", "12345"}, {.name = "b", .content = "12345", .offset = 0}})), "overlaps");
}

TEST(ZipReader, ChecksumsUnlessTold) {
  std::string bytes = archive({{"a", "alpha"}});
  bytes[bytes.find("alpha")] = 'A';
  EXPECT_NE(refusal(bytes).find("checksum"), std::string::npos);
  EXPECT_EQ(ZipReader(as_bytes(bytes), "x", {.check_crc = false}).text({}), "");
  const ZipReader trusting(as_bytes(bytes), "x", {.check_crc = false});
  EXPECT_EQ(trusting.text(trusting.at("a")), "Alpha");
  const ZipReader large(as_bytes(bytes), "x", {.max_crc_bytes = 4});
  EXPECT_EQ(large.text(large.at("a")), "Alpha");
}

void read_everything(const std::string& bytes) {
  try {
    const ZipReader zip(as_bytes(bytes), "x", {.check_crc = false, .max_inflated_bytes = 1u << 20});
    for (const ZipEntry& e : zip.entries()) static_cast<void>(zip.inflate(e));
  } catch (const FormatError&) {
  }
}

TEST(ZipReader, TruncatedAnywhere) {
  for (const bool zip64 : {false, true}) {
    const std::string whole = archive(kParts, zip64);
    for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(ZipReader(as_bytes(whole.substr(0, n)), "x"), FormatError) << n;
  }
}

/// Every 2-, 4- and 8-byte field at every offset set to hostile values: an error or a result, nothing else.
TEST(ZipReader, HostileFields) {
  for (const bool zip64 : {false, true}) {
    const std::string whole = archive({{"a", "alpha"}, {"b", "beta beta beta beta", true}}, zip64);
    for (const std::uint64_t value : std::initializer_list<std::uint64_t>{0, 1, 0x7f, 0xffff, 0x7fffffff, 0x80000000, ~0ull, 1ull << 63, whole.size()}) {
      for (const std::size_t size : {1u, 2u, 4u, 8u}) {
        for (std::size_t at = 0; at + size <= whole.size(); ++at) {
          std::string changed = whole;
          std::memcpy(changed.data() + at, &value, size);
          read_everything(changed);
        }
      }
    }
  }
}

// ---- writing

TEST(ZipWriter, WhatIsReadBack) {
  const TempDir dir;
  ZipWriter zip(dir / "a.zip");
  zip.add("one", "content");
  zip.add("nothing", "");
  const std::string ab = "ab", cd = "cd";
  const Bytes pieces[] = {as_bytes(ab), {}, as_bytes(cd)};
  zip.add("pieces", pieces);
  for (int i = 0; i < 300; ++i) zip.add("entry" + std::to_string(i), std::string(static_cast<std::size_t>(i), 'y'));
  EXPECT_THROW(zip.add("one", "again"), InvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(dir / "a.zip"));
  zip.finish();
  const auto file = MappedFile::open(dir / "a.zip");
  const ZipReader reader(file->bytes(), "a.zip");
  EXPECT_EQ(reader.entries().size(), 303u);
  EXPECT_EQ(reader.text(reader.at("one")), "content");
  EXPECT_EQ(reader.text(reader.at("pieces")), "abcd");
  for (const ZipEntry& e : reader.entries()) {
    EXPECT_EQ(static_cast<std::size_t>(e.data.data() - file->bytes().data()) % ZipWriter::kAlignment, 0u);
    EXPECT_EQ(reader.bytes(e).size(), e.size);
  }
}

TEST(ZipWriter, EqualContentGivesEqualBytes) {
  const TempDir dir;
  for (const char* name : {"a.zip", "b.zip"}) {
    ZipWriter zip(dir / name);
    zip.add("x", "content");
    zip.finish();
  }
  EXPECT_EQ(read_file(dir / "a.zip"), read_file(dir / "b.zip"));
}

TEST(ZipWriter, ManyEntriesNeedZip64) {
  const TempDir dir;
  ZipWriter zip(dir / "a.zip");
  for (int i = 0; i < 66000; ++i) zip.add(std::to_string(i), "");
  zip.finish();
  const auto file = MappedFile::open(dir / "a.zip");
  EXPECT_EQ(ZipReader(file->bytes(), "a.zip").entries().size(), 66000u);
}

TEST(ZipWriter, UnfinishedLeavesTheOldFile) {
  const TempDir dir;
  dir.write("a.zip", "old");
  {
    ZipWriter zip(dir / "a.zip");
    zip.add("x", std::string(1 << 20, 'x'));
  }
  EXPECT_EQ(read_file(dir / "a.zip"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

}  // namespace
}  // namespace reprise::base
