#include "lower/placement.h"

#include <algorithm>

#include "sym/layout.h"

namespace reprise::lower {

namespace {

using ir::ValueId;
using ir::ValueKind;

bool is_scatter_like(core::Op op) { return op == core::Op::index_put || op == core::Op::scatter || op == core::Op::write_view; }

}  // namespace

std::ptrdiff_t mutated_input(const ir::Node& node, ValueId y) {
  if (!node.attrs.has("mutates")) return -1;
  const auto inputs = node.attrs.fixed_ints("mutates");
  const auto at = std::find(node.outputs.begin(), node.outputs.end(), y) - node.outputs.end() + std::ssize(inputs);
  return at < 0 || at == std::ssize(inputs) ? -1 : static_cast<std::ptrdiff_t>(inputs[static_cast<std::size_t>(at)]);
}

Placement::Placement(const ir::Graph& graph, const Uses& uses)
    : graph_(graph),
      uses_(uses),
      parent_(graph.values.size()),
      anchors_(graph.values.size()),
      first_def_(graph.values.size(), -1),
      on_state_path_(graph.values.size(), false) {
  for (std::size_t v = 0; v < parent_.size(); ++v) parent_[v] = static_cast<ValueId>(v);
  for (std::size_t v = 0; v < parent_.size(); ++v) {
    const auto kind = graph.values[v].kind;
    if (kind == ValueKind::input || kind == ValueKind::constant) anchors_[v] = {Anchor::Kind::source, -1};
  }
  for (std::size_t s = 0; s < graph.states.size(); ++s) {
    anchors_[static_cast<std::size_t>(graph.at(graph.states[s].value).root)] = {Anchor::Kind::state, static_cast<int>(s)};
  }
  index_nodes(graph.body);
  mark_state_paths();
  link_in_place(graph.body);
  anchor_states();
  anchor_outputs();
}

ValueId Placement::group(ValueId root) const {
  while (parent_[static_cast<std::size_t>(root)] != root) root = parent_[static_cast<std::size_t>(root)];
  return root;
}

void Placement::index_nodes(const ir::Region& region) {
  for (const auto& node : region.nodes) {
    for (const auto y : node.outputs) {
      producers_[y] = &node;
      first_def_[static_cast<std::size_t>(y)] = uses_.place(node).order;
    }
    for (const auto& inner : node.regions) index_nodes(inner);
  }
}

const ir::Node* Placement::producer(ValueId root) const {
  const auto it = producers_.find(root);
  return it == producers_.end() ? nullptr : it->second;
}

// Element by element in the same places.
static bool lies_alike(const ir::Value& a, const ir::Value& b) { return sym::same_layout(a.sizes, a.strides, b.sizes, b.strides); }

ValueId Placement::candidate(const ir::Node& node, ValueId y, std::size_t operand) const {
  const auto x = node.inputs[operand];
  const auto& out = graph_.at(y);
  const auto& in = graph_.at(x);
  if (in.dtype != out.dtype || !graph_.is_whole(x) || !lies_alike(in, out)) return ir::kNoValue;
  if (node.op == core::Op::foreign && mutated_input(node, y) == static_cast<std::ptrdiff_t>(operand)) return in.root;
  if (is_scatter_like(node.op) && operand == 0) return in.root;
  return node.op == core::Op::pointwise ? in.root : ir::kNoValue;
}

// From each state's final value back to its first through ops that can work in place: only values on such a path may overwrite the state early.
void Placement::mark_state_paths() {
  for (const auto& state : graph_.states) {
    if (state.final == ir::kNoValue || !graph_.is_whole(state.final)) continue;
    std::vector<ValueId> path{graph_.at(state.final).root};
    const auto start = graph_.at(state.value).root;
    while (path.back() != start) {
      const auto* node = producer(path.back());
      ValueId next = ir::kNoValue;
      for (std::size_t i = 0; node != nullptr && i < node->inputs.size() && next == ir::kNoValue; ++i) next = candidate(*node, path.back(), i);
      if (next == ir::kNoValue) break;
      path.push_back(next);
    }
    if (path.back() != start) continue;
    for (const auto v : path) on_state_path_[static_cast<std::size_t>(v)] = true;
  }
}

bool Placement::others_apart(const ir::Node& node, ValueId x) const {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
    const auto root = graph_.at(input).root;
    if (group(root) != group(x)) return true;
    // Elementwise steps read an element before they write it; anything else must read `x` as the base operand alone.
    const bool identical = graph_.is_whole(input) && lies_alike(graph_.at(input), graph_.at(node.outputs.front()));
    if (node.op == core::Op::foreign) return input == x;
    return node.op == core::Op::pointwise ? identical : input == node.inputs.front();
  });
}

bool Placement::may_overwrite(const ir::Node& node, ValueId y, ValueId x) const {
  const auto place = uses_.place(node);
  if (uses_.last_use(x) != place.order) return false;
  const auto kind = graph_.at(x).kind;
  const auto* home = uses_.home(x);
  if ((home == nullptr ? &graph_.body : home) != place.region) return false;
  const auto anchor = anchors_[static_cast<std::size_t>(group(x))].kind;
  if (kind != ValueKind::node && anchor != Anchor::Kind::state) return false;
  if (kind == ValueKind::node && producer(x) == nullptr) return false;  // a loop's parameter: its condition reads it again
  if (anchor == Anchor::Kind::state && !(on_state_path_[static_cast<std::size_t>(x)] && on_state_path_[static_cast<std::size_t>(y)])) return false;
  const auto reads_x = std::count_if(node.inputs.begin(), node.inputs.end(), [&](ValueId v) { return graph_.at(v).root == x; });
  return (node.op == core::Op::pointwise || reads_x == 1) && others_apart(node, x);
}

void Placement::join(ValueId into, ValueId root) {
  const auto a = group(into), b = group(root);
  if (a == b) return;
  auto& first = first_def_[static_cast<std::size_t>(a)];
  const int other = first_def_[static_cast<std::size_t>(b)];
  first = first < 0 ? first : std::min(first, other);
  parent_[static_cast<std::size_t>(b)] = a;
}

void Placement::link_in_place(const ir::Region& region) {
  for (const auto& node : region.nodes) {
    link_node(node);
    for (const auto& inner : node.regions) link_in_place(inner);
    if (node.op == core::Op::cond) link_branches(node);
  }
}

void Placement::link_node(const ir::Node& node) {
  std::vector<ValueId> taken;
  for (const auto y : node.outputs) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const auto x = candidate(node, y, i);
      if (x == ir::kNoValue || std::find(taken.begin(), taken.end(), group(x)) != taken.end() || !may_overwrite(node, y, x)) continue;
      join(x, y);
      taken.push_back(group(x));
      break;
    }
  }
}

// A branch computes its results in the memory of the cond's outputs where it makes them itself.
void Placement::link_branches(const ir::Node& node) {
  for (const auto& region : node.regions) {
    for (std::size_t i = 0; i < region.results.size(); ++i) {
      const auto value = region.results[i];
      const auto root = graph_.at(value).root;
      const bool repeated = std::count_if(region.results.begin(), region.results.end(), [&](ValueId v) { return group(graph_.at(v).root) == group(root); }) > 1;
      if (repeated || uses_.home(root) != &region || !graph_.is_whole(value) || producer(root) == nullptr) continue;
      if (anchors_[static_cast<std::size_t>(group(root))].kind != Anchor::Kind::none) continue;
      join(node.outputs[i], root);
    }
  }
}

int Placement::first_definition(ValueId g) const { return first_def_[static_cast<std::size_t>(g)]; }

void Placement::anchor_states() {
  for (std::size_t s = 0; s < graph_.states.size(); ++s) {
    const auto& state = graph_.states[s];
    if (state.final == ir::kNoValue || !graph_.is_whole(state.final)) continue;
    const auto root = graph_.at(state.final).root, start = graph_.at(state.value).root;
    auto& anchor = anchors_[static_cast<std::size_t>(group(root))];
    const bool free = anchor.kind == Anchor::Kind::none && uses_.home(root) == &graph_.body && graph_.at(root).kind == ValueKind::node;
    if (free && uses_.last_use(start) < first_definition(group(root))) anchor = {Anchor::Kind::state, static_cast<int>(s)};
  }
}

void Placement::anchor_outputs() {
  for (std::size_t r = 0; r < graph_.results.size(); ++r) {
    const auto& result = graph_.results[r];
    if (result.kind != ir::Result::Kind::tensor || !graph_.is_whole(result.value)) continue;
    const auto root = graph_.at(result.value).root;
    auto& anchor = anchors_[static_cast<std::size_t>(group(root))];
    if (anchor.kind == Anchor::Kind::none && uses_.home(root) == &graph_.body && graph_.at(root).kind == ValueKind::node)
      anchor = {Anchor::Kind::output, static_cast<int>(r)};
  }
}

}  // namespace reprise::lower
