#include "tensor/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace reprise {
namespace {

/// The value of f16 bits by the formula of IEEE 754, exact in double.
double f16_value(unsigned bits) {
  const double sign = bits & 0x8000u ? -1 : 1;
  const int exponent = static_cast<int>(bits >> 10 & 31), mantissa = static_cast<int>(bits & 1023);
  if (exponent == 31) return mantissa ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}

TEST(F16, AllValuesWiden) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const float f = f16_to_f32(static_cast<std::uint16_t>(bits));
    const double want = f16_value(bits);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(f)) << bits;
    } else {
      EXPECT_EQ(static_cast<double>(f), want) << bits;
      EXPECT_EQ(std::signbit(f), std::signbit(want)) << bits;
    }
  }
}

TEST(F16, AllValuesComeBack) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto h = static_cast<std::uint16_t>(bits);
    const std::uint16_t back = f32_to_f16(f16_to_f32(h));
    if ((bits & 0x7fffu) > 0x7c00u) {
      EXPECT_GT(back & 0x7fffu, 0x7c00u) << bits;
    } else {
      EXPECT_EQ(back, h);
    }
  }
}

/// Around the middle of each pair of neighbours: below goes down, above goes up, the middle goes to the even one.
TEST(F16, RoundsToNearestEven) {
  for (unsigned bits = 0; bits < 0x7bff; ++bits) {
    const double low = f16_value(bits), high = f16_value(bits + 1);
    const auto middle = static_cast<float>((low + high) / 2);
    const unsigned even = bits & 1 ? bits + 1 : bits;
    EXPECT_EQ(f32_to_f16(middle), even) << bits;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), bits);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), bits + 1);
    EXPECT_EQ(f32_to_f16(-middle), even | 0x8000u);
  }
}

TEST(F16, Extremes) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f32_to_f16(65519.99f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(1e30f), 0x7c00);
  EXPECT_EQ(f32_to_f16(inf), 0x7c00);
  EXPECT_EQ(f32_to_f16(-inf), 0xfc00);
  EXPECT_EQ(f32_to_f16(1e-30f), 0);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(BF16, AllValuesComeBack) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const auto h = static_cast<std::uint16_t>(bits);
    const std::uint16_t back = f32_to_bf16(bf16_to_f32(h));
    if ((bits & 0x7fffu) > 0x7f80u) {
      EXPECT_GT(back & 0x7fffu, 0x7f80u) << bits;
    } else {
      EXPECT_EQ(back, h);
    }
  }
}

TEST(BF16, RoundsToNearestEven) {
  for (unsigned bits = 0; bits < 0x7f7f; ++bits) {
    const auto middle = std::bit_cast<float>(bits << 16 | 0x8000u);
    EXPECT_EQ(f32_to_bf16(middle), bits & 1 ? bits + 1 : bits);
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(bits << 16 | 0x7fffu)), bits);
    EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(bits << 16 | 0x8001u)), bits + 1);
  }
}

TEST(BF16, NanWithLowBitsOnlyStaysNan) { EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u))))); }

}  // namespace
}  // namespace reprise
