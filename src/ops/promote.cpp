// PyTorch's type promotion.
#include <algorithm>

#include "base/check.h"
#include "ops/converter.h"

namespace reprise::ops {
namespace {

/// The wide unsigned types take part in promotion only with themselves and reals.
bool is_wide_unsigned(DType t) { return t == DType::u16 || t == DType::u32 || t == DType::u64; }

bool is_pair(DType a, DType b, DType x, DType y) { return (a == x && b == y) || (a == y && b == x); }

DType promote_any(std::optional<DType> a, DType b) { return a ? promote(*a, b) : b; }

/// What tensors of a higher level make of a lower level's dtype: only another category counts.
std::optional<DType> combine(std::optional<DType> higher, std::optional<DType> lower) {
  if (!higher) return lower;
  if (!lower || is_floating(*higher)) return higher;
  return *higher == DType::boolean || is_floating(*lower) ? promote(*higher, *lower) : higher;
}

}  // namespace

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (is_floating(a) != is_floating(b)) return is_floating(a) ? a : b;
  if (is_pair(a, b, DType::f16, DType::bf16)) return DType::f32;
  REPRISE_CHECK(!is_wide_unsigned(a) && !is_wide_unsigned(b), InvalidArgument, "[ops/promote] {} and {} have no common dtype", name(a), name(b));
  if (is_pair(a, b, DType::u8, DType::i8)) return DType::i16;
  return std::max(a, b);  // bool < u8 < i8 < … < i64, f16 < bf16 < f32 < f64
}

DType result_type(std::span<const Operand> operands) {
  std::optional<DType> by_level[3];
  for (const Operand& o : operands) {
    auto& slot = by_level[static_cast<std::size_t>(o.level)];
    const bool real_number = o.level == Operand::Level::number && is_floating(o.dtype);
    slot = promote_any(slot, real_number ? DType::f32 : o.dtype);
  }
  const auto out = combine(by_level[0], combine(by_level[1], by_level[2]));
  REPRISE_CHECK(out.has_value(), InvalidArgument, "[ops/promote] no operands");
  return *out;
}

DType to_float(DType t) { return is_floating(t) ? t : DType::f32; }

DType compute_type(DType t) { return t == DType::f16 || t == DType::bf16 ? DType::f32 : t; }

bool can_cast(DType from, DType to) {
  if (is_floating(from) && !is_floating(to)) return false;
  return from == DType::boolean || to != DType::boolean;
}

}  // namespace reprise::ops
