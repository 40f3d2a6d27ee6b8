#include "reprise/dtype.h"

#include <array>
#include <utility>

#include "base/check.h"

namespace reprise {
namespace {

constexpr std::array<std::string_view, kDTypeCount> kNames = {"bool", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "u16", "u32", "u64"};

constexpr auto kAliases = std::to_array<std::pair<std::string_view, DType>>({
    {"boolean", DType::boolean}, {"bool_", DType::boolean}, {"uint8", DType::u8},      {"byte", DType::u8},     {"int8", DType::i8},   {"char", DType::i8},
    {"int16", DType::i16},       {"short", DType::i16},     {"int32", DType::i32},     {"int", DType::i32},     {"int64", DType::i64}, {"long", DType::i64},
    {"float16", DType::f16},     {"half", DType::f16},      {"bfloat16", DType::bf16}, {"float32", DType::f32}, {"float", DType::f32}, {"float64", DType::f64},
    {"double", DType::f64},      {"uint16", DType::u16},    {"uint32", DType::u32},    {"uint64", DType::u64},
});

}  // namespace

std::string_view name(DType t) {
  const auto index = static_cast<std::size_t>(t);
  return index < kNames.size() ? kNames[index] : "invalid dtype";
}

DType parse_dtype(std::string_view text) {
  if (text.starts_with("torch.")) text.remove_prefix(6);
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<DType>(i);
  }
  for (const auto& [alias, dtype] : kAliases) {
    if (alias == text) return dtype;
  }
  REPRISE_FAIL(InvalidArgument, "[tensor/dtype] unknown element type (got '{}')", text);
}

}  // namespace reprise
