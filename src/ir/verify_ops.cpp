#include "ir/verify_ops.h"

#include <algorithm>

#include "base/check.h"
#include "ir/shapes.h"

namespace reprise::ir {
namespace {

using core::Op;
using sym::Expr;
using sym::Shape;

class OpVerifier {
 public:
  OpVerifier(const Graph& graph, const Node& node) : graph_(graph), node_(node), attrs_(node.attrs) {}
  void run();

 private:
  template <class... Args>
  void check(bool condition, fmt::format_string<Args...> text, Args&&... args) const {
    if (!condition) throw Error(fmt::format("[ir/verify] {} '{}': {}", core::name(node_.op), node_.name, fmt::format(text, std::forward<Args>(args)...)));
  }
  [[nodiscard]] const Value& in(std::size_t i) const { return graph_.at(node_.inputs[i]); }
  [[nodiscard]] const Value& out(std::size_t i) const { return graph_.at(node_.outputs[i]); }
  [[nodiscard]] std::size_t inputs() const { return node_.inputs.size(); }
  [[nodiscard]] std::size_t outputs() const { return node_.outputs.size(); }

  void counts(std::size_t want_in, std::size_t min_out, std::size_t max_out) const {
    check(inputs() == want_in, "operands (got {}, want {})", inputs(), want_in);
    check(outputs() >= min_out && outputs() <= max_out, "outputs (got {}, want {} to {})", outputs(), min_out, max_out);
  }
  void counts(std::size_t want_in, std::size_t want_out = 1) const { counts(want_in, want_out, want_out); }
  void type(const Value& v, DType want) const { check(v.dtype == want, "dtype of '{}' (got {}, want {})", v.name, name(v.dtype), name(want)); }
  void sizes(const Value& v, const Shape& want) const {
    check(!differ(v.sizes, want), "sizes of '{}' (got {}, want {})", v.name, sym::str(v.sizes), sym::str(want));
  }
  void like(const Value& v, const Value& want) const {
    type(v, want.dtype);
    sizes(v, want.sizes);
  }
  void rank(const Value& v, std::size_t least) const {
    check(v.sizes.size() >= least, "rank of '{}' (got {}, want {} or more)", v.name, v.sizes.size(), least);
  }
  [[nodiscard]] std::size_t axis_of(const Value& v) const {
    const auto axis = attrs_.fixed("axis");
    check(axis >= 0 && axis < std::ssize(v.sizes), "axis {} is outside rank {}", axis, v.sizes.size());
    return static_cast<std::size_t>(axis);
  }
  [[nodiscard]] std::size_t flag(const char* key) const { return attrs_.flag(key) ? 1 : 0; }
  /// `kind` as index into `allowed`.
  std::size_t kind(std::initializer_list<std::string_view> allowed) const {
    const auto& text = attrs_.text("kind");
    const auto* const at = std::find(allowed.begin(), allowed.end(), text);
    check(at != allowed.end(), "unknown kind '{}'", text);
    return static_cast<std::size_t>(at - allowed.begin());
  }
  static Shape replaced(Shape sizes, std::size_t axis, const Expr& size) {
    sizes.at(axis) = size;
    return sizes;
  }
  static Shape joined(Shape a, const Shape& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  void pointwise() const;
  void copy() const;
  void reduce() const;
  void scan() const;
  void norm() const;
  void batch_norm() const;
  void attention() const;
  void matmul() const;
  void conv() const;
  void pool() const;
  void resize() const;
  void pad() const;
  void concat() const;
  void gather() const;
  void scatter() const;
  void index() const;
  void index_put() const;
  void write_view() const;
  void sort() const;
  void topk() const;
  void search_sorted() const;
  void made() const;
  void data_dependent() const;
  void control() const;
  [[nodiscard]] Shape indexed(std::size_t first_index) const;

  const Graph& graph_;
  const Node& node_;
  const core::Attrs& attrs_;
};

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

void OpVerifier::matmul() const {
  counts(2 + flag("has_bias"));
  rank(in(0), 2);
  rank(in(1), 2);
  const Shape batch(in(0).sizes.begin(), in(0).sizes.end() - 2);
  sizes(in(1), joined(batch, {in(0).sizes.back(), in(1).sizes.back()}));
  sizes(out(0), joined(batch, {in(0).sizes.end()[-2], in(1).sizes.back()}));
  for (std::size_t i = 0; i < inputs(); ++i) type(in(i), out(0).dtype);
  if (inputs() == 3) sizes(in(2), out(0).sizes);
}

void OpVerifier::conv() const {
  counts(2 + flag("has_bias"));
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
  for (std::size_t i = 0; i < inputs(); ++i) type(in(i), out(0).dtype);
  if (inputs() == 3) sizes(in(2), {want[1]});
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

void OpVerifier::concat() const {
  check(inputs() >= 1 && outputs() == 1, "operands (got {})", inputs());
  const auto axis = axis_of(out(0));
  Expr total = 0;
  for (std::size_t i = 0; i < inputs(); ++i) {
    check(in(i).sizes.size() == out(0).sizes.size(), "rank of operand {}", i);
    type(in(i), out(0).dtype);
    sizes(in(i), replaced(out(0).sizes, axis, in(i).sizes[axis]));
    total = total + in(i).sizes[axis];
  }
  sizes(out(0), replaced(out(0).sizes, axis, total));
}

void OpVerifier::gather() const {
  counts(2);
  (void)axis_of(in(0));
  check(in(0).sizes.size() == in(1).sizes.size(), "ranks (got {} and {})", in(0).sizes.size(), in(1).sizes.size());
  type(in(1), DType::i64);
  type(out(0), in(0).dtype);
  sizes(out(0), in(1).sizes);
}

void OpVerifier::scatter() const {
  counts(3);
  (void)axis_of(in(0));
  const auto& reduce = attrs_.text("reduce");
  constexpr std::string_view kKinds[] = {"none", "sum", "prod", "mean", "max", "min"};
  check(std::find(std::begin(kKinds), std::end(kKinds), reduce) != std::end(kKinds), "unknown reduction '{}'", reduce);
  (void)attrs_.flag("include_self");
  check(in(0).sizes.size() == in(1).sizes.size(), "ranks (got {} and {})", in(0).sizes.size(), in(1).sizes.size());
  type(in(1), DType::i64);
  type(in(2), in(0).dtype);
  sizes(in(2), in(1).sizes);
  like(out(0), in(0));
}

/// x's kept dimensions with the index dimensions at `position`, for indices from operand `first_index` on.
Shape OpVerifier::indexed(std::size_t first_index) const {
  const auto axes = attrs_.fixed_ints("axes");
  check(!axes.empty() && inputs() == first_index + axes.size(), "operands (got {}, want {})", inputs(), first_index + axes.size());
  Shape out;
  for (std::int64_t i = 0, next = 0; i < std::ssize(in(0).sizes); ++i) {
    if (next < std::ssize(axes) && axes[static_cast<std::size_t>(next)] == i)
      ++next;
    else
      out.push_back(in(0).sizes[static_cast<std::size_t>(i)]);
  }
  check(out.size() + axes.size() == in(0).sizes.size(), "axes must rise within the rank");
  const auto position = attrs_.fixed("position");
  check(position >= 0 && position <= std::ssize(out), "position (got {})", position);
  for (std::size_t i = first_index; i < inputs(); ++i) {
    type(in(i), DType::i64);
    sizes(in(i), in(first_index).sizes);
  }
  const Shape& index = in(first_index).sizes;
  out.insert(out.begin() + position, index.begin(), index.end());
  return out;
}

void OpVerifier::index() const {
  check(outputs() == 1 && inputs() >= 2, "operands (got {})", inputs());
  sizes(out(0), indexed(1));
  type(out(0), in(0).dtype);
}

void OpVerifier::index_put() const {
  check(outputs() == 1 && inputs() >= 3, "operands (got {})", inputs());
  (void)attrs_.flag("accumulate");
  sizes(in(1), indexed(2));
  type(in(1), in(0).dtype);
  like(out(0), in(0));
}

void OpVerifier::write_view() const {
  counts(2);
  const auto &view = attrs_.ints("sizes"), &strides = attrs_.ints("strides");
  (void)attrs_.integer("offset");
  check(view.size() == strides.size(), "strides (got {}, want {})", strides.size(), view.size());
  sizes(in(1), view);
  type(in(1), in(0).dtype);
  like(out(0), in(0));
}

void OpVerifier::sort() const {
  counts(1, 2);
  (void)axis_of(in(0));
  (void)attrs_.flag("descending");
  like(out(0), in(0));
  sizes(out(1), in(0).sizes);
  type(out(1), DType::i64);
}

void OpVerifier::topk() const {
  counts(1, 2);
  const auto axis = axis_of(in(0));
  check(out(0).sizes.size() == in(0).sizes.size(), "rank (got {})", out(0).sizes.size());
  sizes(out(0), replaced(in(0).sizes, axis, out(0).sizes[axis]));
  sizes(out(1), out(0).sizes);
  type(out(0), in(0).dtype);
  type(out(1), DType::i64);
}

void OpVerifier::search_sorted() const {
  counts(2);
  rank(in(0), 1);
  type(in(1), in(0).dtype);
  sizes(in(1), in(1).sizes.empty() ? Shape{1} : replaced(in(0).sizes, in(0).sizes.size() - 1, in(1).sizes.back()));
  sizes(out(0), in(1).sizes);
  check(out(0).dtype == DType::i64 || out(0).dtype == DType::i32, "positions are i64 or i32 (got {})", name(out(0).dtype));
}

void OpVerifier::made() const {
  counts(0);
  const auto is_number = [&](const char* key) {
    const auto* a = attrs_.find(key);
    return a != nullptr && (std::holds_alternative<Expr>(*a) || std::holds_alternative<double>(*a) || std::holds_alternative<bool>(*a));
  };
  if (node_.op == Op::fill) return check(is_number("value"), "value is not a number");
  if (node_.op == Op::iota) {
    check(is_number("start") && is_number("step"), "start or step is not a number");
    return check(out(0).sizes.size() == 1, "rank (got {})", out(0).sizes.size());
  }
  kind({"uniform", "normal", "integers"});
  (void)attrs_.real("low");
  (void)attrs_.real("high");
  (void)attrs_.fixed("seed_slot");
}

void OpVerifier::data_dependent() const {
  check(node_.defines.size() == 1, "symbols defined (got {}, want 1)", node_.defines.size());
  if (node_.op == Op::item) {
    counts(1, 0);
    return sizes(in(0), {});
  }
  const bool unique = node_.op == Op::unique;
  counts(node_.op == Op::nms ? 2 : 1, unique ? 4 : 2);
  type(out(outputs() - 1), DType::i64);
  sizes(out(outputs() - 1), {1});
  if (!unique) type(out(0), DType::i64);
  const Expr count = Expr::symbol(node_.defines.front());
  if (node_.op == Op::nonzero) return sizes(out(0), {count, std::ssize(in(0).sizes)});
  if (!unique) return check(out(0).sizes.size() == 1, "rank (got {})", out(0).sizes.size());
  const auto axis = attrs_.fixed("axis");
  check(axis >= -1 && axis < std::ssize(in(0).sizes), "axis (got {})", axis);
  type(out(0), in(0).dtype);
  sizes(out(0), axis < 0 ? Shape{count} : replaced(in(0).sizes, static_cast<std::size_t>(axis), count));
  sizes(out(1), axis < 0 ? in(0).sizes : Shape{in(0).sizes[static_cast<std::size_t>(axis)]});
  check(out(2).sizes.size() == 1, "rank of the counts (got {})", out(2).sizes.size());
}

void OpVerifier::control() const {
  const bool cond = node_.op == Op::cond;
  check(node_.regions.size() == (cond || node_.op == Op::while_loop ? 2 : 0), "regions (got {})", node_.regions.size());
  if (cond || node_.op == Op::check) {
    check(inputs() == 1, "operands (got {}, want 1)", inputs());
    type(in(0), DType::boolean);
    sizes(in(0), {});
  }
  if (node_.op == Op::check) {
    check(outputs() == 0, "outputs (got {})", outputs());
    (void)attrs_.text("message");
  } else if (node_.op == Op::write) {
    counts(2, 0);
    like(in(1), in(0));
  } else if (node_.op == Op::foreign) {
    (void)attrs_.text("name");
  }
}

void OpVerifier::run() {
  check(node_.regions.empty() || node_.op == Op::cond || node_.op == Op::while_loop, "regions (got {})", node_.regions.size());
  check(node_.defines.empty() || core::is_data_dependent(node_.op) || node_.op == Op::foreign, "defines symbols");
  switch (node_.op) {
    case Op::pointwise:
      return pointwise();
    case Op::copy:
      return copy();
    case Op::reduce:
      return reduce();
    case Op::scan:
      return scan();
    case Op::softmax: {
      counts(1);
      (void)axis_of(in(0));
      (void)attrs_.flag("log");
      return like(out(0), in(0));
    }
    case Op::norm:
      return norm();
    case Op::attention:
      return attention();
    case Op::matmul:
      return matmul();
    case Op::conv:
      return conv();
    case Op::pool:
      return pool();
    case Op::resize:
      return resize();
    case Op::pad:
      return pad();
    case Op::concat:
      return concat();
    case Op::gather:
      return gather();
    case Op::scatter:
      return scatter();
    case Op::index:
      return index();
    case Op::index_put:
      return index_put();
    case Op::write_view:
      return write_view();
    case Op::sort:
      return sort();
    case Op::topk:
      return topk();
    case Op::search_sorted:
      return search_sorted();
    case Op::iota:
    case Op::fill:
    case Op::random:
      return made();
    case Op::nonzero:
    case Op::unique:
    case Op::nms:
    case Op::repeat_interleave:
    case Op::item:
      return data_dependent();
    case Op::cond:
    case Op::while_loop:
    case Op::check:
    case Op::write:
    case Op::foreign:
      return control();
  }
  check(false, "unknown op {}", static_cast<int>(node_.op));
}

}  // namespace

void verify_op(const Graph& graph, const Node& node) { OpVerifier(graph, node).run(); }

}  // namespace reprise::ir
