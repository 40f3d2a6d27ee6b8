// Where nodes go, control flow and state.
#include "ir/builder.h"

#include <algorithm>

#include "base/check.h"
#include "ir/shapes.h"

namespace reprise::ir {

Builder::Builder(Graph& graph) : graph_(&graph), region_(&graph.body) {
  for_each_node(graph.body.nodes, [this](const Node& node) { defined_.insert(node.defines.begin(), node.defines.end()); });
}

void Builder::set_source(std::string name, std::string trace, int segment) {
  name_ = std::move(name);
  trace_ = std::move(trace);
  segment_ = segment;
}

Region Builder::region(const std::function<std::vector<Val>(std::span<const Val>)>& fill, std::vector<Val> params) {
  Region inner;
  for (const Val& p : params) inner.params.push_back(p.id());
  Region* const outer = std::exchange(region_, &inner);
  try {
    for (const Val& v : fill(params)) inner.results.push_back(v.id());
  } catch (...) {
    region_ = outer;
    throw;
  }
  region_ = outer;
  return inner;
}

Node& Builder::append(core::Op op, std::vector<ValueId> inputs, std::vector<ValueId> outputs, core::Attrs attrs) {
  Node node;
  node.op = op;
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  node.attrs = std::move(attrs);
  node.segment = segment_;
  node.name = name_;
  node.trace = trace_;
  return region_->nodes.emplace_back(std::move(node));
}

Val Builder::new_root(DType dtype, sym::Shape sizes, std::string_view hint) {
  return {graph_, graph_->add_root(ValueKind::node, std::string(hint.empty() ? std::string_view(name_) : hint), dtype, std::move(sizes))};
}

Val Builder::emit(core::Op op, std::span<const Val> operands, DType dtype, sym::Shape sizes, core::Attrs attrs) {
  const Val out = new_root(dtype, std::move(sizes));
  append(op, ids(operands), {out.id()}, std::move(attrs));
  return out;
}

std::vector<ValueId> Builder::ids(std::span<const Val> values) {
  std::vector<ValueId> out;
  for (const Val& v : values)
    if (v.defined()) out.push_back(v.id());
  return out;
}

std::vector<Val> Builder::cond(Val pred, Region then_region, Region else_region, std::span<const Val> like) {
  std::vector<Val> out;
  for (const Val& v : like) out.push_back(new_root(v.dtype(), v.sizes()));
  Node& node = append(core::Op::cond, {reshape(cast(pred, DType::boolean), {}).id()}, ids(out));
  node.regions.push_back(std::move(then_region));
  node.regions.push_back(std::move(else_region));
  return out;
}

std::vector<Val> Builder::while_loop(std::span<const Val> init, Region condition, Region body) {
  std::vector<Val> out;
  for (const Val& v : init) out.push_back(new_root(v.dtype(), v.sizes()));
  Node& node = append(core::Op::while_loop, ids(init), ids(out));
  node.regions.push_back(std::move(condition));
  node.regions.push_back(std::move(body));
  return out;
}

void Builder::check(Val condition, std::string message) {
  append(core::Op::check, {reshape(cast(condition, DType::boolean), {}).id()}, {}, {{"message", std::move(message)}});
}

void Builder::write(Val dst, Val src) {
  const Val value = broadcast_to(cast(src, dst.dtype()), dst.sizes());
  append(core::Op::write, {dst.id(), value.id()}, {});
}

bool Builder::knows(const sym::Expr& e) const {
  std::vector<std::string> names;
  sym::collect_symbols(e, names);
  return std::all_of(names.begin(), names.end(), [this](const std::string& name) {
    const int at = graph_->symbols.find(name);
    return defined_.contains(name) || (at >= 0 && !graph_->symbols.at(at).unbacked);
  });
}

sym::Expr Builder::define_symbol(const sym::Expr& wanted) {
  auto& symbols = graph_->symbols;
  if (wanted.is_symbol()) {
    const int at = symbols.find(wanted.symbol_name());
    const bool from_data = at < 0 || symbols.at(at).unbacked;
    if (from_data && defined_.insert(wanted.symbol_name()).second) {
      if (at < 0) symbols.add({wanted.symbol_name(), {}, true, {}});
      return wanted;
    }
  }
  // The exporter gave the count another name already (an equality that it proved), so the node defines one of our own.
  std::string fresh;
  for (int i = 0; symbols.find(fresh = fmt::format("d{}", i)) >= 0;) ++i;
  symbols.add({fresh, sym::bounds(wanted, symbols), true, {}});
  defined_.insert(fresh);
  return sym::Expr::symbol(fresh);
}

}  // namespace reprise::ir
