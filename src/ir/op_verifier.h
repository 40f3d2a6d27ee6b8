// One node against the rules of core/op.h: the methods of verify_op, in two files.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "ir/graph.h"
#include "ir/shapes.h"

namespace reprise::ir {

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
  void sizes(const Value& v, const sym::Shape& want) const {
    if (differ(v.sizes, want)) check(false, "sizes of '{}' (got {}, want {})", v.name, sym::str(v.sizes), sym::str(want));
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
  static sym::Shape replaced(sym::Shape sizes, std::size_t axis, const sym::Expr& size) {
    sizes.at(axis) = size;
    return sizes;
  }
  static sym::Shape joined(sym::Shape a, const sym::Shape& b) {
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
  void epilogue(std::size_t own) const;
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
  [[nodiscard]] sym::Shape indexed(std::size_t first_index) const;

  const Graph& graph_;
  const Node& node_;
  const core::Attrs& attrs_;
};

}  // namespace reprise::ir
