#include "ops/autocast.h"

#include <optional>
#include <set>

namespace reprise::ops {
namespace {

using ir::TensorMeta;
using ir::TensorName;

/// The floating dtype of the first output; nullopt for anything else.
std::optional<DType> result_type_of(const ir::AtenNode& node, const ir::AtenGraph& graph) {
  if (node.outputs.empty()) return std::nullopt;
  const auto* name = std::get_if<TensorName>(&node.outputs[0]);
  if (const auto* list = std::get_if<std::vector<TensorName>>(&node.outputs[0]); list != nullptr && !list->empty()) name = list->data();
  if (name == nullptr) return std::nullopt;
  const DType t = graph.tensors.at(name->name).dtype;
  return is_floating(t) ? std::optional(t) : std::nullopt;
}

/// Norms take wider parameters than their input as they are; nested graphs and in-place ops have their own rules.
bool keeps_operands(const ir::AtenNode& node) {
  const auto op = node.target.substr(0, node.target.rfind('.'));
  return node.target.find("norm") != std::string::npos || node.target.starts_with("higher_order.") || op.ends_with('_');
}

class Caster {
 public:
  explicit Caster(const ir::AtenGraph& graph) : out_(graph) {}

  ir::AtenGraph run() {
    std::vector<ir::AtenNode> nodes;
    nodes.swap(out_.nodes);
    for (auto& node : nodes) {
      const auto type = result_type_of(node, out_);
      if (type && !keeps_operands(node))
        for (auto& arg : node.args) cast_operands(arg.value, *type, node.source);
      out_.nodes.push_back(std::move(node));
    }
    return std::move(out_);
  }

 private:
  void cast_operands(ir::Arg& arg, DType type, const ir::Source& source) {
    if (auto* name = std::get_if<TensorName>(&arg)) cast(*name, type, source);
    if (auto* list = std::get_if<std::vector<std::optional<TensorName>>>(&arg))
      for (auto& name : *list)
        if (name) cast(*name, type, source);
  }

  /// Each value is cast once to each dtype.
  void cast(TensorName& name, DType type, const ir::Source& source) {
    TensorMeta meta = out_.tensors.at(name.name);
    if (!is_floating(meta.dtype) || meta.dtype == type) return;
    const std::string wanted = name.name + "." + std::string(reprise::name(type));
    if (made_.insert(wanted).second) {
      meta.dtype = type;
      out_.tensors[wanted] = meta;
      ir::AtenNode node;
      node.target = "aten.to.dtype";
      node.args = {{"self", name}, {"dtype", ir::ScalarTypeArg{type}}};
      node.outputs = {TensorName{wanted}};
      node.source = source;
      out_.nodes.push_back(std::move(node));
    }
    name.name = wanted;
  }

  ir::AtenGraph out_;
  std::set<std::string> made_;
};

}  // namespace

ir::AtenGraph with_casts(const ir::AtenGraph& graph) { return Caster(graph).run(); }

}  // namespace reprise::ops
