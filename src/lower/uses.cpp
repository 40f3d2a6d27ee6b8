#include "lower/uses.h"

#include <algorithm>

namespace reprise::lower {

namespace {

// Every region nested in `node`, itself not included.
void nested_regions(const ir::Node& node, std::vector<const ir::Region*>& out) {
  for (const auto& region : node.regions) {
    out.push_back(&region);
    for (const auto& inner : region.nodes) nested_regions(inner, out);
  }
}

}  // namespace

Uses::Uses(const ir::Graph& graph)
    : graph_(graph), last_use_(graph.values.size(), -1), use_count_(graph.values.size(), 0), home_(graph.values.size(), nullptr) {
  walk(graph.body);
  end_ = next_;
  for (const auto& result : graph.results) {
    if (result.kind == ir::Result::Kind::tensor) use(result.value, end_);
  }
  for (const auto& state : graph.states) use(state.final == ir::kNoValue ? state.value : state.final, end_);
}

void Uses::walk(const ir::Region& region) {
  for (const auto param : region.params) home_[static_cast<std::size_t>(param)] = &region;
  for (const auto& node : region.nodes) {
    const int order = next_++;
    places_[&node] = {order, order, &region};
    for (const auto output : node.outputs) home_[static_cast<std::size_t>(output)] = &region;
    for (const auto input : node.inputs) use(input, order);
    for (const auto& inner : node.regions) {
      walk(inner);
      for (const auto result : inner.results) use(result, next_ - 1);
    }
    places_[&node].last_inner = next_ - 1;
    if (node.op == core::Op::while_loop) prolong(node);
  }
}

void Uses::prolong(const ir::Node& loop) {
  std::vector<const ir::Region*> inside;
  nested_regions(loop, inside);
  const auto& place = places_.at(&loop);
  for (std::size_t v = 0; v < last_use_.size(); ++v) {
    if (last_use_[v] <= place.order || std::find(inside.begin(), inside.end(), home_[v]) != inside.end()) continue;
    last_use_[v] = std::max(last_use_[v], place.last_inner);
  }
}

void Uses::use(ir::ValueId value, int order) {
  const auto root = static_cast<std::size_t>(graph_.at(value).root);
  last_use_[root] = std::max(last_use_[root], order);
  ++use_count_[root];
}

}  // namespace reprise::lower
