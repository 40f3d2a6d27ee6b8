// Hashes of content: a fast 64-bit one for tables and caches in memory, SHA-256 where a file vouches for its content.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace reprise::base {

/// FNV-1a over 8-byte words with a final avalanche. Stable across platforms of one byte order; not for adversaries.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);
inline std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0) { return hash64(std::as_bytes(std::span(text)), seed); }

/// Mixes `value` into `hash` (order matters).
constexpr std::uint64_t hash_combine(std::uint64_t hash, std::uint64_t value) {
  std::uint64_t x = (hash ^ (value + 0x9e3779b97f4a7c15ull + (hash << 6) + (hash >> 2))) * 0xff51afd7ed558ccdull;
  return x ^ (x >> 32);
}

/// SHA-256 (FIPS 180-4), fed in pieces.
class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  /// Call once, last.
  [[nodiscard]] Digest finish();

 private:
  void block(const std::uint8_t* data);
  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> pending_{};
  std::uint64_t length_ = 0;
};

/// Lower-case hexadecimal digest.
std::string sha256(std::span<const std::byte> bytes);
inline std::string sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

}  // namespace reprise::base
