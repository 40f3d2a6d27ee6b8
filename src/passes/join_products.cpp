#include "passes/join_products.h"

#include <algorithm>
#include <set>
#include <vector>

#include "passes/readers.h"
#include "passes/relayout.h"
#include "passes/rewrite.h"
#include "tensor/strided_copy.h"

namespace reprise::passes {
namespace {

using core::Op;
using ir::ValueId;
using sym::Expr;
using sym::Shape;

class Joiner {
 public:
  explicit Joiner(ir::Graph& graph) : graph_(graph), readers_(graph) {
    ir::for_each_node(graph.body.nodes, [&](const ir::Node& node) {
      if (node.op != Op::pointwise) return;
      for (const ValueId x : node.inputs) fusible_.insert(graph_.at(x).root);
    });
  }

  void run(ir::Region& region) {
    for (auto& node : region.nodes) {
      for (auto& inner : node.regions) run(inner);
    }
    for (std::size_t i = 0; i < region.nodes.size(); ++i) {
      if (!has_free_columns(region.nodes[i])) continue;
      std::vector<std::size_t> group{i};
      for (std::size_t j = i + 1; j < region.nodes.size() && !fuses(region.nodes[i]); ++j) {
        if (has_free_columns(region.nodes[j]) && !fuses(region.nodes[j]) && agree(region.nodes[i], region.nodes[j])) group.push_back(j);
      }
      if (group.size() > 1 || padded(columns_of(region.nodes[i]), region.nodes[i]) != columns_of(region.nodes[i])) join(region, group);
    }
  }

 private:
  /// A product of matrices whose weight and bias are constants, and whose result may become some columns of another.
  bool has_free_columns(const ir::Node& node) const {
    if (node.op != Op::matmul || node.attrs.has("epilogue") || !is_in_engine(graph_, node)) return false;
    const ValueId w = node.inputs[1], y = node.outputs.front();
    const auto& sizes = graph_.at(w).sizes;
    if (sizes.size() != 2 || !sym::is_static(sizes) || !is_constant(w)) return false;
    if (has_bias(node) && !(is_constant(node.inputs[2]) && graph_.at(node.inputs[2]).strides[0] == Expr(0))) return false;
    return !readers_.kept(graph_, y) && graph_.is_contiguous(y) && can_relayout(graph_, y, {sizes[1] * Expr(2), 1});
  }
  /// What a pointwise node reads is better fused with it.
  bool fuses(const ir::Node& node) const { return fusible_.count(node.outputs.front()) > 0; }

  /// Elements in the 16 bytes that kernels load at once.
  std::int64_t vector_items(const ir::Node& node) const { return 16 / static_cast<std::int64_t>(item_size(graph_.at(node.outputs.front()).dtype)); }
  /// Many columns that are no whole number of vectors (a language model's head) become a few more.
  std::int64_t padded(std::int64_t columns, const ir::Node& node) const {
    constexpr std::int64_t kMany = 1024;
    const std::int64_t items = vector_items(node);
    if (!is_floating(graph_.at(node.outputs.front()).dtype) || columns < kMany) return columns;
    return (columns + items - 1) / items * items;
  }
  static bool has_bias(const ir::Node& node) { return node.attrs.flag("has_bias"); }
  bool is_constant(ValueId id) const { return graph_.root_of(id).kind == ir::ValueKind::constant && graph_.at(id).offset.as_int().has_value(); }

  bool agree(const ir::Node& a, const ir::Node& b) const {
    const auto &x = graph_.at(a.inputs[0]), &z = graph_.at(b.inputs[0]);
    return a.segment == b.segment && a.attrs == b.attrs && graph_.at(a.outputs.front()).dtype == graph_.at(b.outputs.front()).dtype && x.root == z.root &&
           x.offset == z.offset && sym::equal(x.sizes, z.sizes) && sym::equal(x.strides, z.strides);
  }

  void join(ir::Region& region, const std::vector<std::size_t>& group) {
    std::int64_t columns = 0;
    for (const std::size_t i : group) columns += columns_of(region.nodes[i]);
    ir::Node& first = region.nodes[group[0]];
    columns = padded(columns, first);
    const ValueId y = graph_.add_root(ir::ValueKind::node, graph_.at(first.outputs.front()).name + ".joined", graph_.at(first.outputs.front()).dtype,
                                      {graph_.at(first.outputs.front()).sizes[0], columns});
    const std::int64_t depth = *graph_.at(first.inputs[1]).sizes[0].as_int();
    const DType dtype = graph_.at(y).dtype;
    const Tensor weight = Tensor::zeros(std::vector{columns, depth}, dtype), bias = Tensor::zeros(std::vector{columns}, dtype);
    std::int64_t at = 0;
    for (const std::size_t i : group) {
      const ir::Node& node = region.nodes[i];
      const std::int64_t n = columns_of(node);
      tensor::copy_into(weight.as_strided(std::vector{depth, n}, std::vector<std::int64_t>{1, depth}, at * depth), constant_tensor(graph_, node.inputs[1]));
      if (has_bias(node)) tensor::copy_into(bias.as_strided(std::vector{n}, std::vector<std::int64_t>{1}, at), bias_row(node.inputs[2]));
      move(node.outputs.front(), y, columns, at);
      at += n;
    }
    const std::string name = graph_.at(graph_.at(first.inputs[1]).root).name + ".joined";
    const Shape rows = {graph_.at(y).sizes[0], columns};
    first.inputs[1] = graph_.add_view(graph_.add_constant(name, weight), {depth, columns}, {1, depth}, 0);
    if (has_bias(first)) first.inputs[2] = graph_.add_view(graph_.add_constant(name + ".bias", bias), rows, {0, 1}, 0);
    first.outputs.front() = y;
    for (std::size_t k = group.size(); k-- > 1;) region.nodes.erase(region.nodes.begin() + static_cast<std::ptrdiff_t>(group[k]));
  }

  std::int64_t columns_of(const ir::Node& node) const { return *graph_.at(node.inputs[1]).sizes[1].as_int(); }

  /// `part` becomes columns `at` … of `y`.
  void move(ValueId part, ValueId y, std::int64_t columns, std::int64_t at) {
    (void)relayout(graph_, part, {columns, 1});
    replace_root(graph_, part, y, at);
  }

  /// One row of a bias, whose rows are all the same memory, however many.
  Tensor bias_row(ValueId id) {
    const auto value = graph_.at(id);
    return constant_tensor(graph_, graph_.add_view(id, {value.sizes[1]}, {value.strides[1]}, value.offset));
  }

  ir::Graph& graph_;
  Readers readers_;
  std::set<ValueId> fusible_;  // roots that pointwise nodes read
};

}  // namespace

void join_products(ir::Graph& graph) { Joiner(graph).run(graph.body); }

}  // namespace reprise::passes
