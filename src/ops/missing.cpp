// What the driver could not convert, found before it starts.
#include <algorithm>
#include <set>

#include "ops/convert.h"

namespace reprise::ops {
namespace {

using Seen = std::set<std::string>;

template <class F>
void for_each_name(const ir::AtenNode& node, F&& f) {
  for (const auto& [name, arg] : node.args) {
    if (const auto* t = std::get_if<ir::TensorName>(&arg)) f(t->name);
    if (const auto* list = std::get_if<std::vector<std::optional<ir::TensorName>>>(&arg))
      for (const auto& item : *list)
        if (item) f(item->name);
  }
  for (const auto& out : node.outputs) {
    if (const auto* t = std::get_if<ir::TensorName>(&out)) f(t->name);
    if (const auto* list = std::get_if<std::vector<ir::TensorName>>(&out))
      for (const auto& item : *list) f(item.name);
  }
}

void collect(const ir::AtenGraph& graph, const Registry& registry, Seen& seen, std::vector<std::string>& out) {
  for (const auto& node : graph.nodes) {
    for (const auto& arg : node.args)
      if (const auto* nested = std::get_if<std::shared_ptr<const ir::AtenGraph>>(&arg.value)) collect(**nested, registry, seen, out);
    const auto match = registry.match(node, is_dynamic(node, graph));
    if (match.entry != nullptr || is_scalar_arithmetic(node)) continue;
    const auto what = node.target + (match.reason.empty() ? "" : ": " + match.reason);
    if (seen.insert(what).second) out.push_back(node.source.trace.empty() ? what : what + " (" + node.source.trace + ")");
  }
}

}  // namespace

bool is_dynamic(const ir::AtenNode& node, const ir::AtenGraph& graph) {
  bool dynamic = false;
  for_each_name(node, [&](const std::string& name) {
    const auto at = graph.tensors.find(name);
    dynamic = dynamic || (at != graph.tensors.end() && !sym::is_static(at->second.sizes));
  });
  return dynamic;
}

bool is_scalar_arithmetic(const ir::AtenNode& node) {
  const std::string_view t = node.target;
  const bool scalar_op = t.starts_with("_operator.") || t.starts_with("math.") || t.starts_with("torch.sym_") || t.starts_with("aten.sym_");
  return scalar_op && std::none_of(node.outputs.begin(), node.outputs.end(), [](const ir::Output& o) {
           return std::holds_alternative<ir::TensorName>(o) || std::holds_alternative<std::vector<ir::TensorName>>(o);
         });
}

std::vector<std::string> missing_converters(const ir::Program& program, const Registry& registry) {
  Seen seen;
  std::vector<std::string> out;
  collect(program.graph, registry, seen, out);
  return out;
}

}  // namespace reprise::ops
