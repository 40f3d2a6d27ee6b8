// Ops that move, order and make elements, and the choice of the rule.
#include "ir/verify_ops.h"
#include "ir/op_verifier.h"

namespace reprise::ir {

using core::Op;
using sym::Expr;
using sym::Shape;

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

void verify_op(const Graph& graph, const Node& node) { OpVerifier(graph, node).run(); }

}  // namespace reprise::ir
