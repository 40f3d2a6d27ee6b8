#include "passes/channels_last.h"

#include <algorithm>
#include <unordered_map>
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

/// Ops that walk their operands element by element or window by window: they take over their input's layout.
bool follows(Op op) {
  switch (op) {
    case Op::pointwise:
    case Op::copy:
    case Op::pool:
    case Op::resize:
    case Op::pad:
    case Op::concat:
      return true;
    default:
      return false;
  }
}

class Assigner {
 public:
  Assigner(ir::Graph& graph, bool all) : graph_(graph), all_(all), readers_(graph) {}

  void run() {
    for (auto& node : graph_.body.nodes) {
      if (is_wanted(node))
        convolve(node);
      else if (follows(node.op) && std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId x) { return is_strict(x); }))
        follow(node);
      const auto copies = std::exchange(behind_, {});
      for (const ValueId y : node.outputs) makers_[y] = node.op;
      nodes_.push_back(std::move(node));
      for (const auto& copy : copies) nodes_.push_back(copy);
    }
    graph_.body.nodes = std::move(nodes_);
  }

 private:
  bool is_wanted(const ir::Node& node) const {
    if (node.op != Op::conv || !is_in_engine(graph_, node)) return false;
    const DType dtype = graph_.at(node.outputs.front()).dtype;
    return dtype == DType::f16 || dtype == DType::bf16 || (dtype == DType::f32 && (all_ || node.attrs.flag("allow_tf32", false)));
  }

  /// Channels innermost, as far as sizes of 1 let it show.
  bool is_channels_last(ValueId id) const { return matches(id, channels_last_strides(graph_.at(id).sizes)); }
  /// … and not row-major as well.
  bool is_strict(ValueId id) const {
    const auto& sizes = graph_.at(id).sizes;
    return sizes.size() >= 3 && is_channels_last(id) && !matches(id, sym::contiguous_strides(sizes));
  }
  bool matches(ValueId id, const Shape& strides) const {
    const auto& value = graph_.at(id);
    for (std::size_t d = 0; d < value.sizes.size(); ++d) {
      if (!(value.sizes[d] == Expr(1)) && !(value.strides[d] == strides[d])) return false;
    }
    return true;
  }

  /// Lets a node write its output with the channels innermost.
  bool change(ValueId y) {
    if (y >= known() || readers_.kept(graph_, y) || graph_.at(y).kind != ir::ValueKind::node || !graph_.is_contiguous(y)) return false;
    return relayout(graph_, y, channels_last_strides(graph_.at(y).sizes));
  }
  [[nodiscard]] ValueId known() const { return count_; }

  void follow(ir::Node& node) {
    for (const ValueId y : node.outputs) {
      if (graph_.at(y).sizes.size() >= 3) (void)change(y);
    }
  }

  void convolve(ir::Node& node) {
    const bool has_bias = node.attrs.flag("has_bias");
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (i == 1)
        node.inputs[1] = weight(node, node.inputs[1]);
      else if (i != 2 || !has_bias)
        node.inputs[i] = activation(node, node.inputs[i]);
    }
    ValueId& y = node.outputs.front();
    if (is_channels_last(y) || change(y)) return;
    // Somebody needs it as it is: they get a copy.
    const ValueId wanted = y;
    y = new_root(graph_.at(wanted).name, wanted);
    behind_.push_back(node_like(node, Op::copy, {y}, {wanted}));
  }

  ValueId new_root(const std::string& name, ValueId like) {
    const Shape sizes = graph_.at(like).sizes;
    const ValueId id = graph_.add_root(ir::ValueKind::node, name + ".last", graph_.at(like).dtype, sizes);
    graph_.at(id).strides = channels_last_strides(sizes);
    return id;
  }
  ValueId activation(const ir::Node& node, ValueId x) {
    if (is_channels_last(x)) return x;
    const auto& value = graph_.at(x);
    const auto maker = makers_.find(value.root);
    // Its maker writes it so, if that is one that does not care and all of it is read.
    if (maker != makers_.end() && follows(maker->second) && value.offset == Expr(0) && sym::equal(value.sizes, graph_.root_of(x).sizes) && change(value.root) &&
        is_channels_last(x))
      return x;
    if (const auto made = copies_.find(x); made != copies_.end()) return made->second;
    const ValueId y = new_root(graph_.at(x).name, x);
    nodes_.push_back(node_like(node, Op::copy, {x}, {y}));
    copies_[x] = y;
    return y;
  }

  /// w[Co, Ci/g, *K] with its second dimension innermost or, where that is 1 and the groups are many, its first.
  ValueId weight(const ir::Node& node, ValueId w) {
    const Shape sizes = graph_.at(w).sizes;
    const bool depthwise = sizes[1] == Expr(1);
    Shape strides = channels_last_strides(sizes);
    if (depthwise) {
      strides = channels_last_strides(Shape(sizes.begin(), sizes.end()));
      Expr step = sizes[0];
      strides[0] = 1;
      for (std::size_t d = sizes.size(); d-- > 2;) {
        strides[d] = step;
        step = step * sizes[d];
      }
      strides[1] = step;
    }
    if (matches(w, strides)) return w;
    if (const auto made = copies_.find(w); made != copies_.end()) return made->second;
    ValueId y = ir::kNoValue;
    if (graph_.root_of(w).kind == ir::ValueKind::constant) {
      y = constant(w, strides);
    } else {
      y = graph_.add_root(ir::ValueKind::node, graph_.at(w).name + ".last", graph_.at(w).dtype, sizes);
      graph_.at(y).strides = strides;
      nodes_.push_back(node_like(node, Op::copy, {w}, {y}));
    }
    copies_[w] = y;
    return y;
  }

  /// A constant with the elements of `w` in the order of `strides`, seen as `w`.
  ValueId constant(ValueId w, const Shape& strides) {
    const Tensor from = constant_tensor(graph_, w);
    const Tensor to = Tensor::empty(std::vector{from.numel()}, from.dtype());
    std::vector<std::int64_t> steps;
    for (const Expr& e : strides) steps.push_back(*e.as_int());
    tensor::copy_into(to.as_strided(from.sizes(), steps), from);
    const auto& value = graph_.at(w);
    const Shape sizes = value.sizes;
    return graph_.add_view(graph_.add_constant(value.name + ".last", to), sizes, strides, 0);
  }

  ir::Graph& graph_;
  bool all_;  // f32 too
  Readers readers_;
  const ValueId count_ = static_cast<ValueId>(graph_.values.size());
  std::vector<ir::Node> nodes_, behind_;
  std::unordered_map<ValueId, Op> makers_;       // of roots: what made them
  std::unordered_map<ValueId, ValueId> copies_;  // of values: with the channels innermost
};

}  // namespace

void channels_last(ir::Graph& graph, bool all) { Assigner(graph, all).run(); }

}  // namespace reprise::passes
