#include "passes/pad_channels.h"

#include <unordered_map>
#include <vector>

#include "passes/rewrite.h"
#include "tensor/strided_copy.h"

namespace reprise::passes {
namespace {

using core::Op;
using ir::ValueId;
using sym::Expr;
using sym::Shape;

class ChannelPadder {
 public:
  explicit ChannelPadder(ir::Graph& graph) : graph_(graph) {}

  void run() {
    std::vector<ir::Node> nodes;
    for (auto& node : graph_.body.nodes) {
      if (const std::int64_t channels = wanted_channels(node); channels > 0) {
        node.inputs[0] = image(node, channels, nodes);
        node.inputs[1] = weight(node.inputs[1], channels);
      }
      nodes.push_back(std::move(node));
    }
    graph_.body.nodes = std::move(nodes);
  }

 private:
  /// 0: the convolution stays as it is.
  std::int64_t wanted_channels(const ir::Node& node) const {
    constexpr std::int64_t kHalfVector = 4, kVector = 8;
    if (node.op != Op::conv || node.attrs.flag("transposed") || !(node.attrs.integer("groups") == Expr(1)) || !is_in_engine(graph_, node)) return 0;
    const DType dtype = graph_.at(node.outputs.front()).dtype;
    if ((dtype != DType::f16 && dtype != DType::bf16) || !is_static_constant(graph_, node.inputs[1])) return 0;
    const std::int64_t channels = *graph_.at(node.inputs[1]).sizes[1].as_int();
    if (channels < 3 || channels >= kVector || channels == kHalfVector) return 0;
    return channels < kHalfVector ? kHalfVector : kVector;
  }

  ValueId image(const ir::Node& conv, std::int64_t channels, std::vector<ir::Node>& nodes) {
    const ValueId x = conv.inputs[0];
    if (const auto made = images_.find(x); made != images_.end()) return made->second;
    Shape sizes = graph_.at(x).sizes, before(sizes.size(), 0), after(sizes.size(), 0);
    after[1] = Expr(channels) - sizes[1];
    sizes[1] = channels;
    const ValueId y = graph_.add_root(ir::ValueKind::node, graph_.at(x).name + ".padded", graph_.at(x).dtype, sizes);
    nodes.push_back(node_like(conv, Op::pad, {x}, {y}));
    auto& attrs = nodes.back().attrs;
    attrs.set("kind", std::string("constant"));
    attrs.set("before", before);
    attrs.set("after", after);
    attrs.set("value", 0.0);
    return images_[x] = y;
  }

  ValueId weight(ValueId w, std::int64_t channels) {
    if (const auto made = weights_.find(w); made != weights_.end()) return made->second;
    const Tensor from = constant_tensor(graph_, w);
    auto sizes = from.sizes();
    const std::vector<std::int64_t> narrow = sizes;
    sizes[1] = channels;
    const Tensor to = Tensor::zeros(sizes, from.dtype());
    tensor::copy_into(to.as_strided(narrow, to.strides()), from);
    return weights_[w] = graph_.add_constant(graph_.at(w).name + ".padded", to);
  }

  ir::Graph& graph_;
  std::unordered_map<ValueId, ValueId> images_, weights_;
};

}  // namespace

void pad_channels(ir::Graph& graph) { ChannelPadder(graph).run(); }

}  // namespace reprise::passes
