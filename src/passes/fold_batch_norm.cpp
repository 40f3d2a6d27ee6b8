#include "passes/fold_batch_norm.h"

#include <cmath>
#include <optional>
#include <unordered_map>
#include <vector>

namespace reprise::passes {

namespace {

using core::Op;
using ir::ValueId;
using ir::ValueKind;

class BatchNormFolder {
 public:
  explicit BatchNormFolder(ir::Graph& graph) : graph_(graph) {
    ir::for_each_node(graph.body.nodes, [&](const ir::Node& node) {
      for (const auto x : node.inputs) ++uses_[graph.at(x).root];
      for (const auto& region : node.regions) {
        for (const auto r : region.results) ++uses_[graph.at(r).root];
      }
    });
    for (const auto& result : graph.results) {
      if (result.kind == ir::Result::Kind::tensor) ++uses_[graph.at(result.value).root];
    }
    for (const auto& state : graph.states) {
      if (state.final != ir::kNoValue) ++uses_[graph.at(state.final).root];
    }
  }

  void run(ir::Region& region) {
    std::unordered_map<ValueId, std::size_t> convs;
    std::vector<ir::Node> kept;
    for (auto& node : region.nodes) {
      for (auto& inner : node.regions) run(inner);
      if (node.op == Op::norm && node.attrs.text("kind") == "batch" && fold(node, convs, kept)) continue;
      if (node.op == Op::conv) convs[node.outputs.front()] = kept.size();
      kept.push_back(std::move(node));
    }
    region.nodes = std::move(kept);
  }

 private:
  // A whole constant's elements as f64; nullopt for anything else.
  std::optional<std::vector<double>> constant(ValueId id) const {
    if (graph_.root_of(id).kind != ValueKind::constant || !graph_.is_whole(id)) return std::nullopt;
    const auto data = graph_.constants.at(static_cast<std::size_t>(graph_.root_of(id).index)).data.to(DType::f64);
    return std::vector<double>(data.data_as<double>(), data.data_as<double>() + data.numel());
  }

  ValueId store(const std::string& name, const std::vector<double>& values, const sym::Shape& sizes, DType dtype) {
    std::vector<std::int64_t> fixed;
    for (const auto& s : sizes) fixed.push_back(*s.as_int());
    auto wide = Tensor::empty(fixed, DType::f64);
    std::copy(values.begin(), values.end(), wide.data_as<double>());
    return graph_.add_constant(name, wide.to(dtype));
  }

  // Per channel: y = x * scale + shift.
  struct Affine {
    std::vector<double> scale, shift;
  };
  std::optional<Affine> affine(const ir::Node& norm) const {
    std::size_t next = 3;
    const auto mean = constant(norm.inputs.at(1)), var = constant(norm.inputs.at(2));
    if (!mean || !var) return std::nullopt;
    Affine a{std::vector<double>(mean->size(), 1.0), std::vector<double>(mean->size(), 0.0)};
    if (norm.attrs.flag("has_weight")) {
      const auto w = constant(norm.inputs.at(next++));
      if (!w) return std::nullopt;
      a.scale = *w;
    }
    if (norm.attrs.flag("has_bias")) {
      const auto b = constant(norm.inputs.at(next));
      if (!b) return std::nullopt;
      a.shift = *b;
    }
    const double eps = norm.attrs.real("eps");
    for (std::size_t c = 0; c < mean->size(); ++c) {
      a.scale[c] /= std::sqrt((*var)[c] + eps);
      a.shift[c] -= (*mean)[c] * a.scale[c];
    }
    return a;
  }

  bool fold(const ir::Node& norm, const std::unordered_map<ValueId, std::size_t>& convs, std::vector<ir::Node>& kept) {
    const auto x = norm.inputs.front();
    const auto it = convs.find(graph_.at(x).root);
    if (it == convs.end() || !graph_.is_whole(x) || uses_[graph_.at(x).root] != 1 || norm.outputs.size() != 1) return false;
    auto& conv = kept[it->second];
    if (conv.segment != norm.segment || !graph_.segments.at(static_cast<std::size_t>(conv.segment)).engine) return false;
    auto w = constant(conv.inputs.at(1));
    const auto a = affine(norm);
    const bool has_bias = conv.attrs.flag("has_bias");
    auto b = has_bias ? constant(conv.inputs.at(2)) : std::optional(std::vector<double>(a ? a->scale.size() : 0, 0.0));
    if (!w || !a || !b || b->size() != a->scale.size()) return false;

    const auto weight = graph_.at(conv.inputs[1]);
    scale_weights(*w, weight.sizes, conv, a->scale);
    for (std::size_t c = 0; c < b->size(); ++c) (*b)[c] = (*b)[c] * a->scale[c] + a->shift[c];
    const auto channels = static_cast<std::int64_t>(b->size());
    conv.inputs.resize(1);
    conv.inputs.push_back(store(weight.name + ".folded", *w, weight.sizes, weight.dtype));
    conv.inputs.push_back(store(norm.name + ".bias", *b, {channels}, weight.dtype));
    conv.attrs.set("has_bias", true);
    conv.outputs = norm.outputs;
    return true;
  }

  // Output channel c of w[Co, Ci/g, *K], or of w[Ci, Co/g, *K] when transposed.
  static void scale_weights(std::vector<double>& w, const sym::Shape& sizes, const ir::Node& conv, const std::vector<double>& scale) {
    const bool transposed = conv.attrs.flag("transposed");
    const auto groups = static_cast<std::size_t>(conv.attrs.fixed("groups"));
    const auto d0 = static_cast<std::size_t>(*sizes[0].as_int()), d1 = static_cast<std::size_t>(*sizes[1].as_int());
    const std::size_t kernel = d0 * d1 == 0 ? 0 : w.size() / (d0 * d1);
    for (std::size_t i = 0; i < d0; ++i) {
      for (std::size_t j = 0; j < d1; ++j) {
        const double s = scale[transposed ? i / (d0 / groups) * d1 + j : i];
        for (std::size_t k = 0; k < kernel; ++k) w[(i * d1 + j) * kernel + k] *= s;
      }
    }
  }

  ir::Graph& graph_;
  std::unordered_map<ValueId, int> uses_;
};

}  // namespace

void fold_batch_norm(ir::Graph& graph) { BatchNormFolder(graph).run(graph.body); }

}  // namespace reprise::passes
