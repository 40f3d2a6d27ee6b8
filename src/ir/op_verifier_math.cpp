// Ops that compute.
#include "ir/op_verifier.h"

namespace reprise::ir {

using sym::Expr;
using sym::Shape;

void OpVerifier::pointwise() const {
  const auto& program = *attrs_.program("program");
  program.verify();
  counts(program.inputs.size(), program.outputs.size());
  check(outputs() > 0, "no outputs");
  for (std::size_t i = 0; i < inputs(); ++i) {
    type(in(i), program.inputs[i]);
    sizes(in(i), out(0).sizes);
  }
  for (std::size_t i = 0; i < outputs(); ++i) {
    type(out(i), program.code.at(static_cast<std::size_t>(program.outputs[i])).type);
    sizes(out(i), out(0).sizes);
  }
}

void OpVerifier::copy() const {
  counts(1);
  like(out(0), in(0));
}

void OpVerifier::reduce() const {
  counts(1);
  const auto k = kind({"sum", "prod", "max", "min", "any", "all", "argmax", "argmin"});
  const auto axes = attrs_.fixed_ints("axes");
  check(k < 6 || axes.size() == 1, "positions need one axis (got {})", axes.size());
  Shape want = in(0).sizes;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    check(axes[i] >= 0 && axes[i] < std::ssize(want) && (i == 0 || axes[i] > axes[i - 1]), "axes must rise within the rank (got {})", axes[i]);
    want[static_cast<std::size_t>(axes[i])] = 1;
  }
  sizes(out(0), want);
  if (k == 2 || k == 3) type(out(0), in(0).dtype);
  if (k == 4 || k == 5) type(out(0), DType::boolean);
  if (k >= 6) type(out(0), DType::i64);
}

void OpVerifier::scan() const {
  const auto k = kind({"sum", "prod", "max", "min", "logsumexp"});
  counts(1, 1, k == 2 || k == 3 ? 2 : 1);
  (void)axis_of(in(0));
  like(out(0), in(0));
  if (outputs() < 2) return;
  sizes(out(1), in(0).sizes);
  type(out(1), DType::i64);
}

void OpVerifier::batch_norm() const {
  counts(3 + flag("has_weight") + flag("has_bias"));
  rank(in(0), 2);
  (void)attrs_.real("eps");
  for (std::size_t i = 1; i < inputs(); ++i) sizes(in(i), {in(0).sizes[1]});
  like(out(0), in(0));
}

void OpVerifier::norm() const {
  const auto k = kind({"layer", "rms", "group", "batch"});
  if (k == 3) return batch_norm();
  const bool group = k == 2, rms = k == 1;
  counts(1 + flag("has_weight") + (rms ? 0 : flag("has_bias")), 1, rms ? 2 : 3);
  (void)attrs_.real("eps");
  const Shape& x = in(0).sizes;
  like(out(0), in(0));
  rank(in(0), group ? 2 : 1);
  const std::int64_t dims = group ? 0 : attrs_.fixed("dims");
  check(group || (dims >= 1 && dims <= std::ssize(x)), "normalized dimensions (got {})", dims);
  const Shape weight = group ? Shape{x[1]} : Shape(x.end() - dims, x.end());
  Shape stats = group ? Shape{x[0], attrs_.fixed("groups")} : x;
  if (!group) std::fill(stats.end() - dims, stats.end(), Expr(1));
  for (std::size_t i = 1; i < inputs(); ++i) {
    type(in(i), in(0).dtype);
    sizes(in(i), weight);
  }
  for (std::size_t i = 1; i < outputs(); ++i) sizes(out(i), stats);
}

void OpVerifier::attention() const {
  counts(3 + flag("has_mask"));
  for (std::size_t i = 0; i < 3; ++i) {
    rank(in(i), 2);
    type(in(i), in(0).dtype);
  }
  (void)attrs_.real("scale");
  (void)attrs_.flag("causal");
  const Shape batch(in(0).sizes.begin(), in(0).sizes.end() - 2);
  const Expr &l = in(0).sizes.end()[-2], &e = in(0).sizes.back(), &s = in(1).sizes.end()[-2], &ev = in(2).sizes.back();
  sizes(in(1), joined(batch, {s, e}));
  sizes(in(2), joined(batch, {s, ev}));
  if (attrs_.flag("has_mask")) {
    sizes(in(3), joined(batch, {l, s}));
    if (in(3).dtype != DType::boolean) type(in(3), in(0).dtype);
  }
  sizes(out(0), joined(batch, {l, ev}));
  type(out(0), in(0).dtype);
}

// Operands behind a contraction's own are its epilogue's.
void OpVerifier::epilogue(std::size_t own) const {
  if (!attrs_.has("epilogue")) return counts(own);
  const auto& program = *attrs_.program("epilogue");
  program.verify();
  check(!program.inputs.empty() && program.outputs.size() == 1 && program.symbols.empty(), "the epilogue does not fit");
  counts(own + program.inputs.size() - 1);
  type(out(0), program.inputs[0]);
  type(out(0), program.code.at(static_cast<std::size_t>(program.outputs[0])).type);
  for (std::size_t i = own; i < inputs(); ++i) {
    type(in(i), program.inputs[i - own + 1]);
    sizes(in(i), out(0).sizes);
  }
}

void OpVerifier::matmul() const {
  const std::size_t own = 2 + flag("has_bias");
  epilogue(own);
  rank(in(0), 2);
  rank(in(1), 2);
  const Shape batch(in(0).sizes.begin(), in(0).sizes.end() - 2);
  sizes(in(1), joined(batch, {in(0).sizes.back(), in(1).sizes.back()}));
  sizes(out(0), joined(batch, {in(0).sizes.end()[-2], in(1).sizes.back()}));
  for (std::size_t i = 0; i < own; ++i) type(in(i), out(0).dtype);
  if (own == 3) sizes(in(2), out(0).sizes);
}

void OpVerifier::conv() const {
  const std::size_t own = 2 + flag("has_bias");
  epilogue(own);
  const Shape &x = in(0).sizes, &w = in(1).sizes;
  check(x.size() >= 3 && x.size() <= 5 && w.size() == x.size(), "ranks (got {} and {})", x.size(), w.size());
  const std::size_t n = x.size() - 2;
  for (const char* key : {"stride", "padding", "dilation", "output_padding"}) check(attrs_.ints(key).size() == n, "{} wants {} values", key, n);
  const auto groups = attrs_.fixed("groups");
  const bool transposed = attrs_.flag("transposed");
  check(groups >= 1, "groups (got {})", groups);
  check(!differ(x[1], transposed ? w[0] : w[1] * groups), "channels (got {}, weight {})", x[1].str(), sym::str(w));
  Shape want = {x[0], transposed ? w[1] * groups : w[0]};
  for (std::size_t i = 0; i < n; ++i) {
    const Expr &s = attrs_.ints("stride")[i], &p = attrs_.ints("padding")[i], &d = attrs_.ints("dilation")[i], &o = attrs_.ints("output_padding")[i];
    check(!is_const(s, 0) && !is_const(d, 0), "stride and dilation must not be 0");
    want.push_back(transposed ? transposed_size(x[i + 2], w[i + 2], s, p, d, o) : window_count(x[i + 2], w[i + 2], s, p, d, false));
  }
  sizes(out(0), want);
  for (std::size_t i = 0; i < own; ++i) type(in(i), out(0).dtype);
  if (own == 3) sizes(in(2), {want[1]});
}

void OpVerifier::pool() const {
  const auto k = kind({"max", "avg", "adaptive_avg", "adaptive_max"});
  counts(1, 1, k == 0 || k == 3 ? 2 : 1);
  const Shape& x = in(0).sizes;
  check(x.size() >= 3 && x.size() <= 5 && out(0).sizes.size() == x.size(), "ranks (got {} and {})", x.size(), out(0).sizes.size());
  type(out(0), in(0).dtype);
  if (outputs() == 2) {
    sizes(out(1), out(0).sizes);
    type(out(1), DType::i64);
  }
  check(!differ(x[0], out(0).sizes[0]) && !differ(x[1], out(0).sizes[1]), "batch and channels change");
  if (k >= 2) return;
  for (const char* key : {"kernel", "stride", "padding", "dilation"}) check(attrs_.ints(key).size() + 2 == x.size(), "{} wants {} values", key, x.size() - 2);
  for (std::size_t i = 0; i + 2 < x.size(); ++i) {
    const Expr &kernel = attrs_.ints("kernel")[i], &s = attrs_.ints("stride")[i], &p = attrs_.ints("padding")[i], &d = attrs_.ints("dilation")[i];
    check(!is_const(s, 0) && !is_const(kernel, 0) && !is_const(d, 0), "kernel, stride and dilation must not be 0");
    const Expr& got = out(0).sizes[i + 2];
    check(!differ(got, window_count(x[i + 2], kernel, s, p, d, false)) || !differ(got, window_count(x[i + 2], kernel, s, p, d, true)),
          "spatial size {} (got {})", i, got.str());
  }
}

void OpVerifier::resize() const {
  counts(1);
  kind({"nearest", "nearest_exact", "linear", "cubic"});
  const Shape& x = in(0).sizes;
  check(x.size() >= 3 && out(0).sizes.size() == x.size() && attrs_.reals("scales").size() == x.size() - 2, "ranks (got {} and {})", x.size(),
        out(0).sizes.size());
  type(out(0), in(0).dtype);
  (void)attrs_.flag("align_corners");
  (void)attrs_.flag("antialias");
  check(!differ(x[0], out(0).sizes[0]) && !differ(x[1], out(0).sizes[1]), "batch and channels change");
}

void OpVerifier::pad() const {
  counts(1);
  const auto k = kind({"constant", "reflect", "replicate", "circular"});
  if (k == 0) (void)attrs_.real("value");
  const auto &before = attrs_.ints("before"), &after = attrs_.ints("after");
  Shape want = in(0).sizes;
  check(before.size() == want.size() && after.size() == want.size(), "widths (got {} and {}, want {})", before.size(), after.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) want[i] = want[i] + before[i] + after[i];
  sizes(out(0), want);
  type(out(0), in(0).dtype);
}

}  // namespace reprise::ir
