// Ops whose output sizes depend on data: each defines the symbols that its sizes use.
#include <limits>

#include "base/check.h"
#include "ir/builder.h"
#include "ir/shapes.h"

namespace reprise::ir {

std::vector<Val> Builder::emit_dynamic(core::Op op, std::span<const Val> operands, const std::vector<Made>& made, const sym::Expr& count, core::Attrs attrs) {
  const sym::Expr own = define_symbol(count);
  std::vector<Val> roots, out;
  for (const auto& [dtype, sizes] : made) {
    sym::Shape with_own = sizes;
    for (auto& e : with_own)
      if (e == count_placeholder()) e = own;
    roots.push_back(new_root(dtype, std::move(with_own)));
  }
  roots.push_back(new_root(DType::i64, {1}, "count"));
  append(op, ids(operands), ids(roots), std::move(attrs)).defines = {own.symbol_name()};
  for (std::size_t i = 0; i < made.size(); ++i) {
    sym::Shape wanted = made[i].second;
    for (auto& e : wanted)
      if (e == count_placeholder()) e = count;
    out.push_back(with_sizes(roots[i], std::move(wanted)));
  }
  return out;
}

Val Builder::nonzero(Val x, sym::Expr count) {
  return emit_dynamic(core::Op::nonzero, std::span(&x, 1), {{DType::i64, {count_placeholder(), x.rank()}}}, count, {}).front();
}

Builder::UniqueResult Builder::unique(Val x, int axis, bool consecutive, sym::Expr count) {
  const bool flat = axis == -1;
  sym::Shape values = {count_placeholder()}, inverse = x.sizes();
  if (!flat) {
    const auto a = static_cast<std::size_t>(wrap_dim(axis, x.rank(), "unique"));
    inverse = {x.sizes().at(a)};
    values = x.sizes();
    values[a] = count_placeholder();
  }
  const auto out = emit_dynamic(core::Op::unique, std::span(&x, 1), {{x.dtype(), values}, {DType::i64, inverse}, {DType::i64, {count_placeholder()}}}, count,
                                {{"axis", axis}, {"consecutive", consecutive}});
  return {out[0], out[1], out[2]};
}

Val Builder::nms(Val boxes, Val scores, double iou_threshold, sym::Expr count) {
  REPRISE_CHECK(boxes.rank() == 2 && scores.rank() == 1 && !differ(boxes.size(1), 4), ShapeError, "[ir/nms] wants boxes [n, 4] and scores [n] (got {} and {})",
                sym::str(boxes.sizes()), sym::str(scores.sizes()));
  unify(boxes.size(0), scores.size(0), "nms");
  const Val operands[] = {boxes, scores};
  return emit_dynamic(core::Op::nms, operands, {{DType::i64, {count_placeholder()}}}, count, {{"iou_threshold", iou_threshold}}).front();
}

Val Builder::repeat_interleave(Val repeats, sym::Expr count) {
  REPRISE_CHECK(repeats.rank() == 1, ShapeError, "[ir/repeat_interleave] repeats must have rank 1 (got {})", repeats.rank());
  const Val operand = cast(repeats, DType::i64);
  return emit_dynamic(core::Op::repeat_interleave, std::span(&operand, 1), {{DType::i64, {count_placeholder()}}}, count, {}).front();
}

void Builder::item(Val x, const sym::Expr& symbol) {
  if (!symbol.is_symbol()) return;
  const int at = graph_->symbols.find(symbol.symbol_name());
  if ((at >= 0 && !graph_->symbols.at(at).unbacked) || defined_.contains(symbol.symbol_name())) return;
  if (at < 0) graph_->symbols.add({symbol.symbol_name(), {std::numeric_limits<std::int64_t>::min(), sym::kUnbounded}, true, {}});  // any value, not a size
  append(core::Op::item, {reshape(x, {}).id()}, {}).defines = {define_symbol(symbol).symbol_name()};
}

}  // namespace reprise::ir
