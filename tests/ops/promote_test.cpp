// The tables are what PyTorch 2.13 printed (torch.promote_types, torch.result_type, torch.can_cast); "-": it raises.
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "ops/converter.h"
#include "reprise/error.h"

namespace reprise::ops {
namespace {

using Level = Operand::Level;

struct Row {
  const char *dtype, *cells;  // cells in kColumns' order
};
constexpr const char* kColumns = "bool u8 i8 i16 i32 i64 f16 bf16 f32 f64 u16 u32 u64";

// clang-format off
constexpr Row kPromote[] = {
    {"bool", "bool u8 i8 i16 i32 i64 f16 bf16 f32 f64 - - -"},
    {"u8", "u8 u8 i16 i16 i32 i64 f16 bf16 f32 f64 - - -"},
    {"i8", "i8 i16 i8 i16 i32 i64 f16 bf16 f32 f64 - - -"},
    {"i16", "i16 i16 i16 i16 i32 i64 f16 bf16 f32 f64 - - -"},
    {"i32", "i32 i32 i32 i32 i32 i64 f16 bf16 f32 f64 - - -"},
    {"i64", "i64 i64 i64 i64 i64 i64 f16 bf16 f32 f64 - - -"},
    {"f16", "f16 f16 f16 f16 f16 f16 f16 f32 f32 f64 f16 f16 f16"},
    {"bf16", "bf16 bf16 bf16 bf16 bf16 bf16 f32 bf16 f32 f64 bf16 bf16 bf16"},
    {"f32", "f32 f32 f32 f32 f32 f32 f32 f32 f32 f64 f32 f32 f32"},
    {"f64", "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64"},
    {"u16", "- - - - - - f16 bf16 f32 f64 u16 - -"},
    {"u32", "- - - - - - f16 bf16 f32 f64 - u32 -"},
    {"u64", "- - - - - - f16 bf16 f32 f64 - - u64"},
};
constexpr Row kTensorAndZeroDim[] = {
    {"bool", "bool u8 i8 i16 i32 i64 f16 bf16 f32 f64 - - -"},
    {"u8", "u8 u8 u8 u8 u8 u8 f16 bf16 f32 f64 u8 u8 u8"},
    {"i8", "i8 i8 i8 i8 i8 i8 f16 bf16 f32 f64 i8 i8 i8"},
    {"i16", "i16 i16 i16 i16 i16 i16 f16 bf16 f32 f64 i16 i16 i16"},
    {"i32", "i32 i32 i32 i32 i32 i32 f16 bf16 f32 f64 i32 i32 i32"},
    {"i64", "i64 i64 i64 i64 i64 i64 f16 bf16 f32 f64 i64 i64 i64"},
    {"f16", "f16 f16 f16 f16 f16 f16 f16 f16 f16 f16 f16 f16 f16"},
    {"bf16", "bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16"},
    {"f32", "f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32 f32"},
    {"f64", "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64"},
    {"u16", "u16 u16 u16 u16 u16 u16 f16 bf16 f32 f64 u16 u16 u16"},
    {"u32", "u32 u32 u32 u32 u32 u32 f16 bf16 f32 f64 u32 u32 u32"},
    {"u64", "u64 u64 u64 u64 u64 u64 f16 bf16 f32 f64 u64 u64 u64"},
};
constexpr Row kTensorAndNumber[] = {
    {"bool", "bool i64 f32"},
    {"u8", "u8 u8 f32"},
    {"i8", "i8 i8 f32"},
    {"i16", "i16 i16 f32"},
    {"i32", "i32 i32 f32"},
    {"i64", "i64 i64 f32"},
    {"f16", "f16 f16 f16"},
    {"bf16", "bf16 bf16 bf16"},
    {"f32", "f32 f32 f32"},
    {"f64", "f64 f64 f64"},
    {"u16", "u16 u16 f32"},
    {"u32", "u32 u32 f32"},
    {"u64", "u64 u64 f32"},
};
constexpr Row kZeroDimAndNumber[] = {
    {"bool", "bool i64 f32"},
    {"u8", "u8 u8 f32"},
    {"i8", "i8 i8 f32"},
    {"i16", "i16 i16 f32"},
    {"i32", "i32 i32 f32"},
    {"i64", "i64 i64 f32"},
    {"f16", "f16 f16 f16"},
    {"bf16", "bf16 bf16 bf16"},
    {"f32", "f32 f32 f32"},
    {"f64", "f64 f64 f64"},
    {"u16", "u16 u16 f32"},
    {"u32", "u32 u32 f32"},
    {"u64", "u64 u64 f32"},
};
constexpr Row kCanCast[] = {
    {"bool", "1 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"u8", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"i8", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"i16", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"i32", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"i64", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"f16", "0 0 0 0 0 0 1 1 1 1 0 0 0"},
    {"bf16", "0 0 0 0 0 0 1 1 1 1 0 0 0"},
    {"f32", "0 0 0 0 0 0 1 1 1 1 0 0 0"},
    {"f64", "0 0 0 0 0 0 1 1 1 1 0 0 0"},
    {"u16", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"u32", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
    {"u64", "0 1 1 1 1 1 1 1 1 1 1 1 1"},
};
// clang-format on

std::vector<std::string> words(const char* text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

template <class F>
void expect_table(std::span<const Row> rows, const std::vector<DType>& columns, F&& f) {
  for (const Row& row : rows) {
    const auto cells = words(row.cells);
    ASSERT_EQ(cells.size(), columns.size());
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const DType a = parse_dtype(row.dtype);
      if (cells[i] == "-")
        EXPECT_THROW((void)f(a, columns[i]), InvalidArgument) << row.dtype << " and " << name(columns[i]);
      else
        EXPECT_EQ(name(f(a, columns[i])), cells[i]) << row.dtype << " and " << name(columns[i]);
    }
  }
}

std::vector<DType> all_types() {
  std::vector<DType> out;
  for (const auto& word : words(kColumns)) out.push_back(parse_dtype(word));
  return out;
}

DType both(DType a, Level level_a, DType b, Level level_b) {
  const Operand operands[] = {{a, level_a}, {b, level_b}};
  return result_type(operands);
}

const std::vector<DType> kNumbers = {DType::boolean, DType::i64, DType::f64};  // what Python's True, 1 and 1.0 are

TEST(Promote, TypesOfOneLevel) { expect_table(kPromote, all_types(), promote); }

TEST(Promote, ZeroDimensionalTensorsGiveWay) {
  expect_table(kTensorAndZeroDim, all_types(), [](DType a, DType b) { return both(a, Level::tensor, b, Level::zero_dim); });
}

TEST(Promote, NumbersGiveWay) {
  expect_table(kTensorAndNumber, kNumbers, [](DType a, DType b) { return both(a, Level::tensor, b, Level::number); });
  expect_table(kZeroDimAndNumber, kNumbers, [](DType a, DType b) { return both(a, Level::zero_dim, b, Level::number); });
}

TEST(Promote, NumbersAloneAreDefaultTypes) {
  EXPECT_EQ(both(DType::i64, Level::number, DType::f64, Level::number), DType::f32);
  EXPECT_THROW((void)result_type({}), InvalidArgument);
}

TEST(Promote, CanCast) {
  const auto columns = all_types();
  for (const Row& row : kCanCast) {
    const auto cells = words(row.cells);
    for (std::size_t i = 0; i < cells.size(); ++i)
      EXPECT_EQ(can_cast(parse_dtype(row.dtype), columns[i]), cells[i] == "1") << row.dtype << " to " << name(columns[i]);
  }
}

}  // namespace
}  // namespace reprise::ops
