#include "passes/unfold_patches.h"

#include <algorithm>
#include <vector>

#include "passes/readers.h"
#include "passes/relayout.h"
#include "passes/rewrite.h"

namespace reprise::passes {
namespace {

using core::Op;
using ir::ValueId;
using sym::Expr;
using sym::Shape;

class Unfolder {
 public:
  explicit Unfolder(ir::Graph& graph) : graph_(graph), readers_(graph) {}

  void run(ir::Region& region) {
    std::vector<ir::Node> nodes;
    for (auto& node : region.nodes) {
      for (auto& inner : node.regions) run(inner);
      if (node.op == Op::conv && tiles(node)) nodes.push_back(unfold(node));
      nodes.push_back(std::move(node));
    }
    region.nodes = std::move(nodes);
  }

 private:
  bool tiles(const ir::Node& node) const {
    const auto &x = graph_.at(node.inputs[0]), &w = graph_.at(node.inputs[1]), &y = graph_.at(node.outputs.front());
    const auto all = [&](const char* key, const Expr& value) {
      const auto& values = node.attrs.ints(key);
      return std::all_of(values.begin(), values.end(), [&](const Expr& e) { return e == value; });
    };
    if (node.attrs.has("epilogue") || node.attrs.flag("transposed") || !(node.attrs.integer("groups") == Expr(1)) || !all("padding", 0) || !all("dilation", 1))
      return false;
    if (!is_in_engine(graph_, node) || !sym::is_static(w.sizes) || !graph_.is_contiguous(node.inputs[1])) return false;
    Expr window = 1;
    for (std::size_t d = 2; d < w.sizes.size(); ++d) {
      window = window * w.sizes[d];
      if (!(node.attrs.ints("stride").at(d - 2) == w.sizes[d]) || !(x.sizes[d] == y.sizes[d] * w.sizes[d])) return false;
    }
    const ValueId result = node.outputs.front();
    return !(window == Expr(1)) && !readers_.kept(graph_, result) && graph_.is_contiguous(result) &&
           can_relayout(graph_, result, channels_last_strides(y.sizes));
  }

  /// Makes `conv` a product and gives the copy that belongs before it.
  ir::Node unfold(ir::Node& conv) {
    const auto x = graph_.at(conv.inputs[0]), w = graph_.at(conv.inputs[1]);
    const ValueId y = conv.outputs.front();
    const Shape out = graph_.at(y).sizes;
    // Where the windows are, and what is in each.
    Shape sizes{out[0]}, strides{x.strides[0]};
    Expr rows = out[0];
    for (std::size_t d = 2; d < out.size(); ++d) {
      sizes.push_back(out[d]);
      strides.push_back(x.strides[d] * w.sizes[d]);
      rows = rows * out[d];
    }
    for (std::size_t d = 1; d < out.size(); ++d) {
      sizes.push_back(w.sizes[d]);
      strides.push_back(x.strides[d]);
    }
    const Expr depth = sym::product(Shape(w.sizes.begin() + 1, w.sizes.end())), columns = w.sizes[0];
    const ValueId windows = graph_.add_view(conv.inputs[0], sizes, strides, x.offset),
                  patches = graph_.add_root(ir::ValueKind::node, x.name + ".patches", x.dtype, sizes);
    ir::Node copy = node_like(conv, Op::copy, {windows}, {patches});
    std::vector<ValueId> inputs{graph_.add_view(patches, {rows, depth}, {depth, 1}, 0),
                                graph_.add_view(conv.inputs[1], {depth, columns}, {1, depth}, w.offset)};
    const bool has_bias = conv.attrs.flag("has_bias");
    if (has_bias) {
      const auto bias = graph_.at(conv.inputs[2]);
      inputs.push_back(graph_.add_view(conv.inputs[2], {rows, columns}, {0, bias.strides[0]}, bias.offset));
    }
    const ValueId product = graph_.add_root(ir::ValueKind::node, graph_.at(y).name + ".rows", graph_.at(y).dtype, {rows, columns});
    move(y, product);
    ir::Node matmul = node_like(conv, Op::matmul, std::move(inputs), {product});
    matmul.attrs.set("has_bias", has_bias);
    if (conv.attrs.flag("allow_tf32", false)) matmul.attrs.set("allow_tf32", true);
    conv = std::move(matmul);
    return copy;
  }

  /// `y` becomes what `product` holds, with the channels innermost.
  void move(ValueId y, ValueId product) {
    (void)relayout(graph_, y, channels_last_strides(graph_.at(y).sizes));
    replace_root(graph_, y, product);
  }

  ir::Graph& graph_;
  Readers readers_;
};

}  // namespace

void unfold_patches(ir::Graph& graph) { Unfolder(graph).run(graph.body); }

}  // namespace reprise::passes
