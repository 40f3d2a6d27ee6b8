#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/zip.h"
#include "base/zip_format.h"

namespace reprise::base {
namespace {

constexpr std::size_t kZip64Field = 20, kPaddingHeader = 4;
constexpr std::uint16_t kVersion = 45, kUtf8 = 0x0800, kPaddingId = 0x5052;
constexpr std::uint16_t kDate = 0x21;  // 1 January 1980, the earliest: no clock in the file

class Fields {
 public:
  Fields& u16(std::uint64_t v) { return number(v, 2); }
  Fields& u32(std::uint64_t v) { return number(v, 4); }
  Fields& u64(std::uint64_t v) { return number(v, 8); }
  Fields& text(std::string_view s) { return bytes_ += s, *this; }
  [[nodiscard]] const std::string& str() const { return bytes_; }

 private:
  Fields& number(std::uint64_t v, int size) {
    for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(v >> (8 * i));
    return *this;
  }
  std::string bytes_;
};

std::uint32_t clipped(std::uint64_t v) { return v >= kIn64 ? kIn64 : static_cast<std::uint32_t>(v); }

}  // namespace

ZipWriter::ZipWriter(const std::filesystem::path& path) : file_(path) {}
ZipWriter::~ZipWriter() = default;

void ZipWriter::add(std::string_view name, std::span<const Bytes> pieces, std::size_t alignment) {
  REPRISE_CHECK(!name.empty() && name.size() <= 0xffff, InvalidArgument, "[base/zip] bad entry name (got {} bytes)", name.size());
  REPRISE_CHECK(index_.emplace(name, records_.size()).second, InvalidArgument, "[base/zip] entry '{}' was added before", name);
  const std::uint64_t offset = file_.position();
  std::uint64_t size = 0;
  uLong crc = ::crc32_z(0, nullptr, 0);
  for (const Bytes piece : pieces) {
    size += piece.size();
    if (!piece.empty()) crc = ::crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), piece.size());
  }
  // A ZIP64 field is always there (so that the layout does not depend on the size), then one that pads the payload to the alignment.
  const std::uint64_t unpadded = offset + kLocalSize + name.size() + kZip64Field + kPaddingHeader;
  const std::uint64_t padding = (alignment - unpadded % alignment) % alignment;
  Fields local;
  local.u32(0x04034b50).u16(kVersion).u16(kUtf8).u16(0).u16(0).u16(kDate).u32(crc).u32(kIn64).u32(kIn64).u16(name.size());
  local.u16(kZip64Field + kPaddingHeader + padding).text(name).u16(1).u16(16).u64(size).u64(size);
  local.u16(kPaddingId).u16(padding).text(std::string(padding, '\0'));
  file_.write(local.str());
  for (const Bytes piece : pieces) file_.write(piece);
  records_.push_back({std::string(name), offset, size, static_cast<std::uint32_t>(crc)});
}

void ZipWriter::finish() {
  const std::uint64_t start = file_.position();
  for (const auto& r : records_) {
    const bool large = r.size >= kIn64 || r.offset >= kIn64;
    Fields central;
    central.u32(0x02014b50).u16(kVersion).u16(kVersion).u16(kUtf8).u16(0).u16(0).u16(kDate).u32(r.crc);
    central.u32(large ? kIn64 : r.size).u32(large ? kIn64 : r.size).u16(r.name.size()).u16(large ? 28 : 0).u16(0).u16(0).u16(0).u32(0);
    central.u32(large ? kIn64 : r.offset).text(r.name);
    if (large) central.u16(1).u16(24).u64(r.size).u64(r.size).u64(r.offset);
    file_.write(central.str());
  }
  const std::uint64_t end = file_.position(), size = end - start, count = records_.size();
  Fields tail;
  if (count >= 0xffff || start >= kIn64 || size >= kIn64) {
    tail.u32(0x06064b50).u64(44).u16(kVersion).u16(kVersion).u32(0).u32(0).u64(count).u64(count).u64(size).u64(start);
    tail.u32(0x07064b50).u32(0).u64(end).u32(1);
  }
  const auto short_count = std::min<std::uint64_t>(count, 0xffff);
  tail.u32(0x06054b50).u16(0).u16(0).u16(short_count).u16(short_count).u32(clipped(size)).u32(clipped(start)).u16(0);
  file_.write(tail.str());
  file_.commit();
}

}  // namespace reprise::base
