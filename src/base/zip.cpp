// Reading. Field offsets are those of APPNOTE 4.3; all numbers are little endian.
#include "base/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/pages.h"
#include "base/text.h"
#include "base/zip_format.h"

namespace reprise::base {
namespace {

constexpr std::uint32_t kLocalSignature = 0x04034b50, kCentralSignature = 0x02014b50, kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50, kLocator64Signature = 0x07064b50;
constexpr std::size_t kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocator64Size = 20;
constexpr std::size_t kMaxComment = 0xffff;
constexpr std::uint64_t kMaxRatio = 1032;  // deflate cannot do better
constexpr std::uint16_t kStored = 0, kDeflated = 8, kEncrypted = 1, kZip64Extra = 1;

template <class T>
T load(Bytes bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}
std::uint16_t load16(Bytes b, std::size_t at) { return load<std::uint16_t>(b, at); }
std::uint32_t load32(Bytes b, std::size_t at) { return load<std::uint32_t>(b, at); }
std::uint64_t load64(Bytes b, std::size_t at) { return load<std::uint64_t>(b, at); }

bool fits(Bytes archive, std::uint64_t offset, std::uint64_t size) { return offset <= archive.size() && size <= archive.size() - offset; }

}  // namespace

struct ZipParser {
  Bytes archive;
  ZipReader& reader;

  [[noreturn]] void fail(std::string_view what) const { REPRISE_FAIL(FormatError, "[base/zip] {}: {}", reader.label_, what); }
  [[noreturn]] void fail(std::string_view name, std::string_view what) const {
    REPRISE_FAIL(FormatError, "[base/zip] {}: entry '{}': {}", reader.label_, printable(name), what);
  }

  struct Directory {
    std::uint64_t entries = 0, size = 0, offset = 0;
  };

  /// The end record stands last, before a comment of unknown length.
  std::size_t find_end() const {
    if (archive.size() < kEndSize) fail("not a zip archive, or truncated");
    const std::size_t last = archive.size() - kEndSize;
    const std::size_t first = last > kMaxComment ? last - kMaxComment : 0;
    for (std::size_t at = last + 1; at-- > first;) {
      if (load32(archive, at) == kEndSignature && load16(archive, at + 20) == last - at) return at;
    }
    fail("not a zip archive, or truncated (no end of central directory)");
  }

  Directory directory() const {
    const std::size_t end = find_end();
    if (load16(archive, end + 4) != load16(archive, end + 6)) fail("archives in several parts are not supported");
    Directory d{load16(archive, end + 10), load32(archive, end + 12), load32(archive, end + 16)};
    const bool has_locator = end >= kLocator64Size && load32(archive, end - kLocator64Size) == kLocator64Signature;
    if (has_locator) {
      const std::uint64_t at = load64(archive, end - kLocator64Size + 8);
      if (!fits(archive, at, kEnd64Size) || load32(archive, at) != kEnd64Signature) fail("bad ZIP64 end record");
      d = {load64(archive, at + 32), load64(archive, at + 40), load64(archive, at + 48)};
    }
    if (!fits(archive, d.offset, d.size) || d.offset + d.size > end) fail("the central directory lies outside the file");
    if (d.entries > reader.options_.max_entries || d.entries > d.size / kCentralSize) fail(fmt::format("too many entries (got {})", d.entries));
    return d;
  }

  struct Central {
    std::string_view name;
    std::uint16_t flags, method;
    std::uint32_t crc;
    std::uint64_t stored_size, size, local;
  };

  /// Sizes and offset that do not fit 32 bits stand in the ZIP64 extra field, in this order, only those that are needed.
  void read_zip64(Central& c, Bytes extra) const {
    std::size_t at = 0;
    while (extra.size() - at >= 4) {
      const std::uint16_t id = load16(extra, at), size = load16(extra, at + 2);
      at += 4;
      if (size > extra.size() - at) return;
      if (id == kZip64Extra) return take_zip64(c, extra.subspan(at, size));
      at += size;
    }
  }
  void take_zip64(Central& c, Bytes field) const {
    for (std::uint64_t* value : {&c.size, &c.stored_size, &c.local}) {
      if (*value != kIn64) continue;
      if (field.size() < 8) fail(c.name, "bad ZIP64 field");
      *value = load64(field, 0);
      field = field.subspan(8);
    }
  }

  Central central(Bytes rest, std::size_t& length) const {
    if (rest.size() < kCentralSize || load32(rest, 0) != kCentralSignature) fail("bad central directory");
    const std::size_t name_size = load16(rest, 28), extra_size = load16(rest, 30), comment_size = load16(rest, 32);
    length = kCentralSize + name_size + extra_size + comment_size;
    if (length > rest.size()) fail("the central directory is truncated");
    const std::string_view name(reinterpret_cast<const char*>(rest.data()) + kCentralSize, name_size);
    Central c{name, load16(rest, 8), load16(rest, 10), load32(rest, 16), load32(rest, 20), load32(rest, 24), load32(rest, 42)};
    read_zip64(c, rest.subspan(kCentralSize + name_size, extra_size));
    return c;
  }

  void check(const Central& c) const {
    if (c.name.empty() || c.name.find('\0') != std::string_view::npos) fail(c.name, "bad name");
    if (c.flags & kEncrypted) fail(c.name, "encrypted");
    if (c.method != kStored && c.method != kDeflated) fail(c.name, fmt::format("compression method not supported (got {})", c.method));
    if (c.method == kStored && c.size != c.stored_size) fail(c.name, fmt::format("sizes differ (got {} stored, {} in all)", c.stored_size, c.size));
    const bool credible = c.size <= reader.options_.max_inflated_bytes && c.size / kMaxRatio <= c.stored_size;
    if (c.method == kDeflated && !credible) fail(c.name, fmt::format("unbelievable size (got {} bytes from {})", c.size, c.stored_size));
  }

  /// The payload follows the local header, whose own name and extra field may differ in length from the directory's.
  Bytes payload(const Central& c) const {
    if (!fits(archive, c.local, kLocalSize) || load32(archive, c.local) != kLocalSignature) fail(c.name, "no local header where the directory says");
    const std::uint64_t start = c.local + kLocalSize + load16(archive, c.local + 26) + load16(archive, c.local + 28);
    if (!fits(archive, start, c.stored_size)) fail(c.name, "the content lies outside the file");
    return archive.subspan(start, c.stored_size);
  }

  void run() {
    const Directory d = directory();
    Bytes rest = archive.subspan(d.offset, d.size);
    reader.entries_.reserve(d.entries);
    std::vector<Central> records;
    for (std::uint64_t i = 0; i < d.entries; ++i) {
      std::size_t length = 0;
      const Central& c = records.emplace_back(central(rest, length));
      check(c);
      rest = rest.subspan(length);
      // All of them at once, instead of one fault after the other, each with what the system reads around it.
      if (fits(archive, c.local, kLocalSize)) expect_pages(archive.data() + c.local, kLocalSize);
    }
    for (const Central& c : records) {
      if (!reader.index_.emplace(c.name, reader.entries_.size()).second) fail(c.name, "the name appears twice");
      reader.entries_.push_back({std::string(c.name), payload(c), c.size, c.crc, c.method == kDeflated});
    }
    refuse_overlaps();
  }

  void refuse_overlaps() const {
    std::vector<const ZipEntry*> order;
    for (const ZipEntry& e : reader.entries_) {
      if (!e.data.empty()) order.push_back(&e);
    }
    std::sort(order.begin(), order.end(), [](const ZipEntry* a, const ZipEntry* b) { return a->data.data() < b->data.data(); });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->data.data() + order[i - 1]->data.size() > order[i]->data.data()) fail(order[i]->name, "overlaps another entry");
    }
  }
};

ZipReader::ZipReader(Bytes archive, std::string label, ZipOptions options) : label_(std::move(label)), options_(options) { ZipParser{archive, *this}.run(); }

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &entries_[it->second];
}

const ZipEntry& ZipReader::at(std::string_view name) const {
  const ZipEntry* entry = find(name);
  REPRISE_CHECK(entry != nullptr, FormatError, "[base/zip] {}: entry '{}' is missing", label_, printable(name));
  return *entry;
}

void ZipReader::check_crc(const ZipEntry& entry, Bytes content) const {
  if (!options_.check_crc || content.size() > options_.max_crc_bytes) return;
  const auto crc = ::crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  REPRISE_CHECK(crc == entry.crc, FormatError, "[base/zip] {}: entry '{}': checksum differs (got {:08x}, want {:08x})", label_, printable(entry.name), crc,
                entry.crc);
}

Bytes ZipReader::bytes(const ZipEntry& entry) const {
  REPRISE_CHECK(!entry.deflated, InvalidArgument, "[base/zip] {}: entry '{}' is compressed", label_, printable(entry.name));
  check_crc(entry, entry.data);
  return entry.data;
}

std::vector<std::byte> ZipReader::inflate(const ZipEntry& entry) const {
  if (!entry.deflated) {
    const Bytes content = bytes(entry);
    return {content.begin(), content.end()};
  }
  std::vector<std::byte> out(entry.size);
  z_stream stream{};
  REPRISE_CHECK(::inflateInit2(&stream, -MAX_WBITS) == Z_OK, OutOfMemory, "[base/zip] {}: no memory to inflate", label_);
  // zlib counts in 32 bits: feed it in pieces.
  constexpr std::size_t kPiece = 1u << 30;
  std::size_t read = 0, written = 0;
  int status = Z_OK;
  std::byte nothing{};
  while (status == Z_OK) {
    const std::size_t in = std::min(kPiece, entry.data.size() - read), room = std::min(kPiece, out.size() - written);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(entry.data.data() + read));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(out.empty() ? &nothing : out.data() + written);
    stream.avail_out = static_cast<uInt>(room);
    status = ::inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    written += room - stream.avail_out;
  }
  ::inflateEnd(&stream);
  REPRISE_CHECK(status == Z_STREAM_END && written == entry.size, FormatError, "[base/zip] {}: entry '{}': bad compressed data (got {} bytes, want {})", label_,
                printable(entry.name), written, entry.size);
  check_crc(entry, out);
  return out;
}

std::string ZipReader::text(const ZipEntry& entry) const {
  if (entry.deflated) {
    const std::vector<std::byte> content = inflate(entry);
    return {reinterpret_cast<const char*>(content.data()), content.size()};
  }
  const Bytes content = bytes(entry);
  return {reinterpret_cast<const char*>(content.data()), content.size()};
}

bool looks_like_zip(Bytes bytes) { return bytes.size() >= 4 && (load32(bytes, 0) == kLocalSignature || load32(bytes, 0) == kEndSignature); }

}  // namespace reprise::base
