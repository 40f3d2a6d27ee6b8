#include "ops/states.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"

namespace reprise::ops {
namespace {

using ir::Graph;
using ir::ValueId;
using ir::ValueKind;

std::set<ValueId> written_roots(const Graph& graph) {
  std::set<ValueId> out;
  ir::for_each_node(graph.body.nodes, [&](const ir::Node& n) {
    if (n.op == core::Op::write) out.insert(graph.at(n.inputs.at(0)).root);
  });
  return out;
}

/// The bytes of a constant.
struct Extent {
  ValueId value;
  const std::byte *begin, *end;
};

std::vector<Extent> extents(const Graph& graph) {
  std::vector<Extent> out;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const ir::Value& v = graph.values[i];
    if (v.kind != ValueKind::constant) continue;
    const Tensor& data = graph.constants.at(static_cast<std::size_t>(v.index)).data;
    const auto* begin = data.data_as<const std::byte>();
    out.push_back({static_cast<ValueId>(i), begin, begin + data.nbytes()});
  }
  std::sort(out.begin(), out.end(), [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  return out;
}

/// Constants in groups that share memory, directly or through others; one without elements shares with nothing.
std::vector<std::vector<Extent>> groups(const Graph& graph) {
  std::vector<std::vector<Extent>> out, empty;
  const std::byte* reach = nullptr;
  for (const Extent& e : extents(graph)) {
    if (e.begin == e.end) {
      empty.push_back({e});
      continue;
    }
    if (out.empty() || e.begin >= reach) out.emplace_back();
    out.back().push_back(e);
    reach = out.back().size() == 1 ? e.end : std::max(reach, e.end);
  }
  out.insert(out.end(), empty.begin(), empty.end());
  return out;
}

const ir::Constant& constant_of(const Graph& graph, ValueId id) { return graph.constants.at(static_cast<std::size_t>(graph.at(id).index)); }

void promote(Graph& graph, ValueId id) {
  const ir::Constant& c = constant_of(graph, id);
  graph.states.push_back({c.name, c.data, -1, id, ir::kNoValue});
  ir::Value& v = graph.at(id);
  v.kind = ValueKind::state;
  v.index = static_cast<int>(graph.states.size()) - 1;
}

/// One flat state for all memory of the group; its members become views.
void promote_group(Graph& graph, const std::vector<Extent>& group) {
  const ir::Constant first = constant_of(graph, group.front().value);
  const auto item = static_cast<std::ptrdiff_t>(item_size(first.data.dtype()));
  const std::byte* const begin = group.front().begin;
  const auto* const end = std::max_element(group.begin(), group.end(), [](const Extent& a, const Extent& b) { return a.end < b.end; })->end;
  const std::int64_t n = (end - begin) / item, one = 1;
  const ValueId root = graph.add_root(ValueKind::state, first.name, first.data.dtype(), {n}, static_cast<int>(graph.states.size()));
  graph.states.push_back({first.name, first.data.as_strided(std::span(&n, 1), std::span(&one, 1)), -1, root, ir::kNoValue});
  for (const Extent& member : group) {
    REPRISE_CHECK(graph.at(member.value).dtype == first.data.dtype() && (member.begin - begin) % item == 0, InvalidArgument,
                  "[ops/state] '{}' and '{}' share mutated memory with different dtypes", first.name, graph.at(member.value).name);
    const sym::Expr shift = static_cast<std::int64_t>((member.begin - begin) / item);
    for (ir::Value& v : graph.values) {
      if (v.root != member.value) continue;
      v.kind = ValueKind::view;
      v.root = root;
      v.offset = v.offset + shift;
    }
  }
}

void drop_unused_constants(Graph& graph) {
  std::vector<ir::Constant> kept;
  for (ir::Value& v : graph.values) {
    if (v.kind != ValueKind::constant) continue;
    kept.push_back(std::move(graph.constants.at(static_cast<std::size_t>(v.index))));
    v.index = static_cast<int>(kept.size()) - 1;
  }
  graph.constants = std::move(kept);
}

/// A declared mutation of a whole root that nothing else writes is the state's final value; any other is a write at the end.
std::map<ValueId, ValueId> write_the_rest(ir::Builder& builder, const std::vector<Mutation>& declared) {
  const Graph& graph = builder.graph();
  auto busy = written_roots(graph);
  for (const auto& group : groups(graph))
    if (group.size() > 1)
      for (const Extent& e : group) busy.insert(e.value);
  std::map<ValueId, ValueId> finals;
  for (const auto& [target, source] : declared) {
    if (target.id() == source.id()) continue;
    if (target.value().root == target.id() && busy.insert(target.id()).second)
      finals[target.id()] = builder.cast(source, target.dtype()).id();
    else
      builder.write(target, source);
  }
  return finals;
}

}  // namespace

void make_states(ir::Builder& builder, const std::vector<Mutation>& declared) {
  Graph& graph = builder.graph();
  const auto finals = write_the_rest(builder, declared);
  auto mutated = written_roots(graph);
  for (const auto& [target, source] : finals) mutated.insert(target);

  for (const auto& group : groups(graph)) {
    if (std::none_of(group.begin(), group.end(), [&](const Extent& e) { return mutated.contains(e.value); })) continue;
    if (group.size() == 1)
      promote(graph, group.front().value);
    else
      promote_group(graph, group);
  }
  for (ValueId id : mutated)
    if (graph.at(id).kind == ValueKind::input) graph.states.push_back({graph.at(id).name, {}, graph.at(id).index, id, ir::kNoValue});
  for (ir::State& s : graph.states)
    if (const auto at = finals.find(s.value); at != finals.end()) s.final = at->second;
  drop_unused_constants(graph);
}

}  // namespace reprise::ops
