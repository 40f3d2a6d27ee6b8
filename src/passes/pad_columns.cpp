#include "passes/pad_columns.h"

#include <cstring>
#include <vector>

#include "passes/readers.h"
#include "passes/rewrite.h"

namespace reprise::passes {
namespace {

using core::Op;
using ir::ValueId;
using sym::Expr;

class Padder {
 public:
  explicit Padder(ir::Graph& graph) : graph_(graph), readers_(graph) {}

  void run() {
    std::vector<ir::Node> nodes;
    for (auto& node : graph_.body.nodes) {
      const bool padded = node.op == Op::matmul && is_wanted(node);
      nodes.push_back(std::move(node));
      if (padded) nodes.push_back(pad(nodes.back()));
    }
    graph_.body.nodes = std::move(nodes);
  }

 private:
  bool is_wanted(const ir::Node& node) const {
    constexpr std::int64_t kMany = 4096;
    if (node.attrs.has("epilogue") || node.attrs.flag("has_bias") || !is_in_engine(graph_, node)) return false;
    const auto &w = graph_.at(node.inputs[1]), &y = graph_.at(node.outputs.front());
    if (y.sizes.size() != 2 || !is_floating(y.dtype) || y.sizes[0] == Expr(1) || !sym::is_static(w.sizes)) return false;
    const auto columns = *w.sizes[1].as_int();
    // Rows of the weights are columns of the product, and nothing is between or behind them.
    const bool whole = graph_.root_of(node.inputs[1]).kind == ir::ValueKind::constant && w.offset == Expr(0) && w.strides[0] == Expr(1) &&
                       w.strides[1] == w.sizes[0] && sym::product(graph_.root_of(node.inputs[1]).sizes) == sym::product(w.sizes) &&
                       graph_.is_contiguous(w.root);
    return whole && columns >= kMany && columns % items(y.dtype) != 0 && readers_.kept(graph_, node.outputs.front()) &&
           graph_.is_contiguous(node.outputs.front());
  }
  /// Elements in 16 bytes.
  static std::int64_t items(DType dtype) { return 16 / static_cast<std::int64_t>(item_size(dtype)); }

  /// Gives the copy that follows `product`.
  ir::Node pad(ir::Node& product) {
    const auto w = graph_.at(product.inputs[1]);
    const ValueId y = product.outputs.front();
    const std::int64_t depth = *w.sizes[0].as_int(), columns = *w.sizes[1].as_int(), step = items(w.dtype), padded = (columns + step - 1) / step * step;
    const auto rows = graph_.at(y).sizes[0];
    product.inputs[1] = graph_.add_view(lengthen(w.root, padded, depth), {depth, padded}, {1, depth}, 0);
    const ValueId wide = graph_.add_root(ir::ValueKind::node, graph_.at(y).name + ".padded", graph_.at(y).dtype, {rows, padded});
    product.outputs.front() = wide;
    return node_like(product, Op::copy, {graph_.add_view(wide, graph_.at(y).sizes, {padded, 1}, 0)}, {y});
  }

  /// A constant of `rows` · `width` elements that begins with those of `root`, which becomes a view of it.
  ValueId lengthen(ValueId root, std::int64_t rows, std::int64_t width) {
    const Tensor data = graph_.constants.at(static_cast<std::size_t>(graph_.at(root).index)).data.contiguous();
    const Tensor longer = Tensor::zeros(std::vector{rows, width}, data.dtype());
    std::memcpy(longer.data(), data.data(), data.nbytes());
    const ValueId made = graph_.add_constant(graph_.at(root).name + ".padded", longer);
    replace_root(graph_, root, made);
    return made;
  }

  ir::Graph& graph_;
  Readers readers_;
};

}  // namespace

void pad_columns(ir::Graph& graph) { Padder(graph).run(); }

}  // namespace reprise::passes
