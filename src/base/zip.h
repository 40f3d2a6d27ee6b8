// Zip archives in memory: read from hostile bytes, written aligned so that a mapping of the file gives aligned payloads.
//
// Format: PKWARE APPNOTE 6.3.10, ZIP64 included; methods STORED (0) and DEFLATE (8); no encryption, no spanning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"

namespace reprise::base {

struct ZipOptions {
  bool check_crc = true;                    // of what `bytes` and `read` return for entries up to max_crc_bytes
  std::uint64_t max_crc_bytes = 64u << 20;  // a mapped gigabyte of weights is not read through just for its checksum
  std::size_t max_entries = 1u << 20;
  std::uint64_t max_inflated_bytes = 4ull << 30;  // per entry; deflate's ratio (1032) bounds it by the file's size as well
};

struct ZipEntry {
  std::string name;
  Bytes data;              // as stored in the archive
  std::uint64_t size = 0;  // uncompressed
  std::uint32_t crc = 0;
  bool deflated = false;
};

/// Reads the central directory; local headers only tell where payloads start. Everything that it hands out lies inside `archive`, which must outlive it.
/// All errors are FormatError: `[base/zip] <label>: …`. Refused: duplicate names, names with NUL, encryption, other methods, payloads outside the file.
class ZipReader {
 public:
  ZipReader() = default;
  /// `label` (the path) begins every message.
  ZipReader(Bytes archive, std::string label, ZipOptions options = {});

  [[nodiscard]] const std::vector<ZipEntry>& entries() const { return entries_; }  // in the directory's order
  [[nodiscard]] const ZipEntry* find(std::string_view name) const;                 // null: not there
  /// As find, but a FormatError naming what is missing.
  [[nodiscard]] const ZipEntry& at(std::string_view name) const;

  /// The content of a STORED entry, in place. InvalidArgument for a deflated one.
  [[nodiscard]] Bytes bytes(const ZipEntry& entry) const;
  /// The content of any entry, inflated when need be.
  [[nodiscard]] std::vector<std::byte> inflate(const ZipEntry& entry) const;
  /// The content as text, copied.
  [[nodiscard]] std::string text(const ZipEntry& entry) const;

  [[nodiscard]] const std::string& label() const { return label_; }

 private:
  friend struct ZipParser;
  void check_crc(const ZipEntry& entry, Bytes content) const;
  std::string label_;
  ZipOptions options_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, std::size_t> index_;
};

/// True when the bytes begin as a zip archive does.
bool looks_like_zip(Bytes bytes);

/// Writes a stored archive atomically. Payloads begin at multiples of 64 bytes, or as `add` is told; ZIP64 records where sizes or offsets need them; no
/// timestamps, so equal content gives equal bytes. WriteError when the disk refuses, InvalidArgument on a name used twice.
class ZipWriter {
 public:
  static constexpr std::size_t kAlignment = 64, kPage = 4096;

  explicit ZipWriter(const std::filesystem::path& path);
  ZipWriter(const ZipWriter&) = delete;
  ZipWriter& operator=(const ZipWriter&) = delete;
  ~ZipWriter();

  void add(std::string_view name, Bytes content, std::size_t alignment = kAlignment) { add(name, std::span(&content, 1), alignment); }
  /// The content in pieces, which are written one after the other. `alignment`: at most kPage.
  void add(std::string_view name, std::span<const Bytes> pieces, std::size_t alignment = kAlignment);
  void add(std::string_view name, std::string_view text) { add(name, std::as_bytes(std::span(text))); }
  /// Writes the directory and puts the file in place. Without it the destination is untouched.
  void finish();

 private:
  struct Record {
    std::string name;
    std::uint64_t offset = 0, size = 0;
    std::uint32_t crc = 0;
  };
  AtomicFile file_;
  std::vector<Record> records_;
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace reprise::base
