// f16 (IEEE 754 binary16) and bf16 to and from f32: round to nearest even, NaN stays NaN, infinities and subnormals kept.
//
// Branch-free enough for the compiler to vectorize a loop over them.
#pragma once

#include <bit>
#include <cstdint>

namespace reprise {

constexpr float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

constexpr std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40u;  // a NaN must not round to infinity
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

constexpr float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  // Normals: move the fields and rebias by 2^112. Subnormals: place the mantissa in a float of known exponent and subtract that.
  const std::uint32_t infinite = magnitude >= 0x7c00u ? 0x38000000u : 0u;
  const std::uint32_t normal = (magnitude << 13) + 0x38000000u + infinite;
  const float subnormal = std::bit_cast<float>((magnitude) + 0x3f000000u) - 0.5f;  // magnitude * 2^-24
  return std::bit_cast<float>((magnitude < 0x400u ? std::bit_cast<std::uint32_t>(subnormal) : normal) | sign);
}

constexpr std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Adding 0.5 leaves the value in units of 2^-24 in the low bits, rounded by the addition itself.
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t nan_or_inf = magnitude > 0x7f800000u ? (0x7e00u | ((magnitude >> 13) & 0x3ffu)) : 0x7c00u;
  const std::uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
  return static_cast<std::uint16_t>((magnitude >= 0x477ff000u ? nan_or_inf : finite) | sign);  // 65520 and above round to infinity
}

/// An f16 or bf16 element as a type, for templates over element types.
struct Half {
  std::uint16_t bits = 0;
  Half() = default;
  explicit constexpr Half(float value) : bits(f32_to_f16(value)) {}
  explicit constexpr operator float() const { return f16_to_f32(bits); }
};
struct BFloat16 {
  std::uint16_t bits = 0;
  BFloat16() = default;
  explicit constexpr BFloat16(float value) : bits(f32_to_bf16(value)) {}
  explicit constexpr operator float() const { return bf16_to_f32(bits); }
};

}  // namespace reprise
