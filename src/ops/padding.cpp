// Padding. PyTorch lists (before, after) pairs from the last dimension backwards.
#include "base/check.h"
#include "ops/compose.h"

namespace reprise::ops {
namespace {

struct Borders {
  Shape before, after;
};

Borders read_borders(Context& c, Val x, std::string_view name) {
  const Shape pairs = c.ints(name);
  const auto rank = static_cast<std::size_t>(x.rank());
  REPRISE_CHECK(pairs.size() % 2 == 0 && pairs.size() / 2 <= rank, InvalidArgument, "[ops/pad] wants pairs for at most {} dimensions (got {} values)", rank,
                pairs.size());
  Borders out{Shape(rank, 0), Shape(rank, 0)};
  for (std::size_t i = 0; 2 * i < pairs.size(); ++i) {
    out.before[rank - 1 - i] = pairs[2 * i];
    out.after[rank - 1 - i] = pairs[2 * i + 1];
  }
  return out;
}

bool is_negative(const Expr& e) { return e.as_int().value_or(0) < 0; }

/// Reflected, replicated and circular borders. A circle is closed after what is negative has been cropped; the other kinds repeat what the whole x has.
Val pad_by(Builder& b, Val x, const std::string& kind, Borders borders) {
  for (int d = 0; kind == "circular" && d < x.rank(); ++d) {
    Expr &before = borders.before[static_cast<std::size_t>(d)], &after = borders.after[static_cast<std::size_t>(d)];
    const Expr left = is_negative(before) ? -before : Expr(0), right = is_negative(after) ? -after : Expr(0);
    if (is_negative(before) || is_negative(after)) x = range(b, x, d, left, x.size(d) - right);
    before = before + left;
    after = after + right;
  }
  return b.pad(x, kind, borders.before, borders.after);
}

Convert pad_as(const char* kind) {
  return [kind](Context& c) { c.set(0, pad_by(c.build(), c.tensor("self"), kind, read_borders(c, c.tensor("self"), "padding"))); };
}

void convert_constant(Context& c) {
  const Val x = c.tensor("self");
  const Borders w = read_borders(c, x, "pad");
  c.set(0, c.build().pad(x, "constant", w.before, w.after, c.real("value")));
}

void convert_pad(Context& c) {
  const Val x = c.tensor("self");
  const Borders w = read_borders(c, x, "pad");
  const std::string mode = c.text("mode");
  REPRISE_CHECK(mode == "constant" || mode == "reflect" || mode == "replicate" || mode == "circular", InvalidArgument, "[ops/pad] unknown mode '{}'", mode);
  if (mode != "constant") return c.set(0, pad_by(c.build(), x, mode, w));
  c.set(0, c.build().pad(x, "constant", w.before, w.after, c.is_none("value") ? 0 : c.real("value")));
}

}  // namespace

void add_padding(Registry& r) {
  add_rows(r, convert_constant, {"aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor"});
  add_rows(r, convert_pad, {"aten::pad(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor"});
  add_rows(r, pad_as("reflect"),
           {"aten::reflection_pad1d(Tensor self, SymInt[2] padding) -> Tensor", "aten::reflection_pad2d(Tensor self, SymInt[4] padding) -> Tensor",
            "aten::reflection_pad3d(Tensor self, SymInt[6] padding) -> Tensor"});
  add_rows(r, pad_as("replicate"),
           {"aten::replication_pad1d(Tensor self, SymInt[2] padding) -> Tensor", "aten::replication_pad2d(Tensor self, SymInt[4] padding) -> Tensor",
            "aten::replication_pad3d(Tensor self, SymInt[6] padding) -> Tensor"});
  add_rows(r, [](Context& c) { c.set(0, pad_by(c.build(), c.tensor("self"), "circular", read_borders(c, c.tensor("self"), "pad"))); },
           {"aten::_pad_circular(Tensor self, SymInt[] pad) -> Tensor"});
}

}  // namespace reprise::ops
