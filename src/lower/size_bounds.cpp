#include "lower/size_bounds.h"

#include <algorithm>

namespace reprise::lower {

namespace {

using sym::Expr;
using sym::Op;

// Non-decreasing in each of its symbols (all of which are >= 0).
bool grows(const Expr& e) {
  const auto operands = e.operands();
  const auto each = [&] { return std::all_of(operands.begin(), operands.end(), grows); };
  switch (e.op()) {
    case Op::integer:
      return e.as_int().value_or(-1) >= 0;
    case Op::symbol:
      return true;
    case Op::add:
    case Op::mul:
    case Op::min:
    case Op::max:
      return each();
    case Op::floor_div:
      return grows(operands[0]) && operands[1].is_int();
    default:
      return false;
  }
}

}  // namespace

SizeBounds::SizeBounds(const ir::Graph& graph) : graph_(graph) {
  for (const auto& info : graph.symbols.all()) {
    if (info.unbacked && info.range.max < (std::int64_t{1} << 31)) bounds_.emplace(info.name, Expr(info.range.max));
  }
  learn(graph.body);
}

void SizeBounds::learn(const ir::Region& region) {
  for (const auto& node : region.nodes) {
    learn(node);
    for (const auto& inner : node.regions) learn(inner);
  }
}

void SizeBounds::learn(const ir::Node& node) {
  if (node.defines.empty() || node.inputs.empty()) return;
  const auto& x = graph_.at(node.inputs.front());
  std::optional<Expr> most;
  if (node.op == core::Op::nonzero) most = sym::product(x.sizes);
  if (node.op == core::Op::nms) most = x.sizes.at(0);
  if (node.op == core::Op::unique) {
    const auto axis = node.attrs.fixed("axis");
    most = axis < 0 ? sym::product(x.sizes) : x.sizes.at(static_cast<std::size_t>(axis));
  }
  if (!most) return;
  if (const auto known = bound(*most)) {
    bounds_.insert_or_assign(node.defines.front(), *known);
  } else {
    bounds_.erase(node.defines.front());  // the exported range is checked after the step has written all that it found
  }
}

std::optional<Expr> SizeBounds::bound(const Expr& e) const {
  std::vector<std::string> names;
  sym::collect_symbols(e, names);
  const auto unbacked = [&](const std::string& name) {
    const int i = graph_.symbols.find(name);
    return i >= 0 && graph_.symbols.at(i).unbacked;
  };
  if (std::none_of(names.begin(), names.end(), unbacked)) return e;
  const bool known = std::all_of(names.begin(), names.end(), [&](const auto& name) { return !unbacked(name) || bounds_.contains(name); });
  if (!known || !grows(e)) return std::nullopt;
  return sym::substitute(e, [&](const std::string& name) -> std::optional<Expr> {
    const auto it = bounds_.find(name);
    return it == bounds_.end() || !unbacked(name) ? std::nullopt : std::optional(it->second);
  });
}

}  // namespace reprise::lower
