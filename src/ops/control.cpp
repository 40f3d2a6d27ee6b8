// Higher-order ops, assertions, and the families of random ops.
#include <string>

#include "base/check.h"
#include "ops/autocast.h"
#include "ops/loops.h"
#include "ops/random.h"

namespace reprise::ops {
namespace {

const ir::AtenGraph& graph_of(Context& c, std::string_view name) {
  const auto* g = std::get_if<std::shared_ptr<const ir::AtenGraph>>(&c.arg(name));
  REPRISE_CHECK(g != nullptr && *g != nullptr, InvalidArgument, "[ops/{}] argument '{}' is not a graph", c.node().target, name);
  return **g;
}

std::vector<Val> joined(std::span<const Val> a, std::span<const Val> b) {
  std::vector<Val> out(a.begin(), a.end());
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

/// Tensor operands from a position on.
std::vector<Val> operands_from(Context& c, std::size_t first) {
  std::vector<Val> out;
  for (std::size_t i = first; i < c.node().args.size(); ++i)
    if (c.is_tensor(std::to_string(i))) out.push_back(c.tensor(std::to_string(i)));
  return out;
}

void convert_cond(Context& c) {
  Builder& b = c.build();
  const std::vector<Val> operands = c.tensors("operands");
  std::vector<Val> like;
  const auto branch = [&](std::string_view name) {
    return b.region([&](std::span<const Val>) {
      like = c.inline_graph(graph_of(c, name), operands);
      return like;
    });
  };
  auto then_region = branch("true_fn"), else_region = branch("false_fn");
  c.set_all(b.cond(c.tensor("pred"), std::move(then_region), std::move(else_region), like));
}

void convert_while_loop(Context& c) {
  Builder& b = c.build();
  const std::vector<Val> init = c.tensors("carried_inputs"), extra = c.tensors("additional_inputs");
  const auto region = [&](std::string_view name) {
    std::vector<Val> params;
    for (const Val& v : init) params.push_back(b.new_root(v.dtype(), v.sizes()));
    return b.region([&](std::span<const Val> state) { return c.inline_graph(graph_of(c, name), joined(state, extra)); }, params);
  };
  auto condition = region("cond_fn"), body = region("body_fn");
  c.set_all(b.while_loop(init, std::move(condition), std::move(body)));
}

/// The combining graph takes what is carried, a slice of each x, and the rest; it gives what is carried on and a slice of each result.
void convert_scan(Context& c) {
  const std::vector<Val> init = c.tensors("init"), xs = c.tensors("xs"), extra = c.tensors("additional_inputs");
  REPRISE_CHECK(!xs.empty(), InvalidArgument, "[ops/scan] nothing to scan");
  const auto& graph = graph_of(c, "combine_fn");
  Loop loop{.steps = xs[0].size(0), .carry = init, .slices = {}};
  for (std::size_t i = init.size(); i < graph.outputs.size(); ++i) loop.slices.push_back(graph.tensors.at(std::get<ir::TensorName>(graph.outputs[i]).name));
  const auto result = run_loop(c.build(), loop, [&](const Row& row, std::span<const Val> carry) {
    std::vector<Val> inputs(carry.begin(), carry.end());
    for (const Val& x : xs) inputs.push_back(row(x));
    const std::vector<Val> out = c.inline_graph(graph, joined(inputs, extra));
    const auto slices = out.begin() + static_cast<std::ptrdiff_t>(init.size());
    return Step{{out.begin(), slices}, {slices, out.end()}};
  });
  c.set_all(joined(result.carry, result.stacks));
}

/// A scan that carries nothing.
void convert_map(Context& c) {
  const std::vector<Val> xs = c.tensors("xs"), extra = c.tensors("pos_args");
  REPRISE_CHECK(!xs.empty(), InvalidArgument, "[ops/map] nothing to map");
  const auto& graph = graph_of(c, "f");
  Loop loop{.steps = xs[0].size(0), .carry = {}, .slices = {}};
  for (const auto& output : graph.outputs) loop.slices.push_back(graph.tensors.at(std::get<ir::TensorName>(output).name));
  const auto result = run_loop(c.build(), loop, [&](const Row& row, std::span<const Val>) {
    std::vector<Val> inputs;
    for (const Val& x : xs) inputs.push_back(row(x));
    return Step{{}, c.inline_graph(graph, joined(inputs, extra))};
  });
  c.set_all(result.stacks);
}

void convert_autocast(Context& c) {
  const auto& graph = graph_of(c, "graph");
  c.set_all(c.flag("enabled") ? c.inline_graph(with_casts(graph), operands_from(c, 5)) : c.inline_graph(graph, operands_from(c, 5)));
}

void add_higher_order(Registry& r) {
  add_rows(r, convert_cond, {"higher_order::cond(Tensor pred, Graph true_fn, Graph false_fn, Tensor[] operands)"});
  add_rows(r, convert_while_loop, {"higher_order::while_loop(Graph cond_fn, Graph body_fn, Tensor[] carried_inputs, Tensor[] additional_inputs=[])"});
  add_rows(r, convert_scan, {"higher_order::scan(Graph combine_fn, Tensor[] init, Tensor[] xs, Tensor[] additional_inputs=[])"});
  add_rows(r, convert_map, {"higher_order::map_impl(Graph f, Tensor[] xs, Tensor[] pos_args=[])"});
  add_rows(r, [](Context& c) { c.set_all(c.inline_graph(graph_of(c, "graph"), operands_from(c, 2))); },
           {"higher_order::wrap_with_set_grad_enabled(bool enabled, Graph graph)"});
  add_rows(r, [](Context& c) { c.set_all(c.inline_graph(graph_of(c, "graph"), operands_from(c, 2))); },
           {"higher_order::invoke_subgraph(Graph graph, str identifier)"});
  add_rows(r, convert_autocast, {"higher_order::wrap_with_autocast(str device_type, ScalarType? dtype, bool enabled, bool? cache_enabled, Graph graph)"});
}

void add_assertions(Registry& r) {
  add_rows(r,
           [](Context& c) {
             const auto claim = c.scalar("self").value;
             if (c.build().knows(claim)) check_expression(c, claim, c.text("assert_msg"));
           },
           {"aten::_assert_scalar(Scalar self, str assert_msg) -> ()"});
  add_rows(r, [](Context& c) { c.build().check(c.build().reshape(c.tensor("self"), {}), c.text("assert_msg")); },
           {"aten::_assert_async.msg(Tensor self, str assert_msg) -> ()"});
  add_rows(r, [](Context& c) { c.build().check(c.build().reshape(c.tensor("self"), {}), "Expected Tensor with single nonzero value, but got zero"); },
           {"aten::_assert_async(Tensor self) -> ()"});
  // The ranges stand in the program.
  add_rows(r, [](Context&) {},
           {"aten::sym_constrain_range(Scalar size, *, int? min=None, int? max=None) -> ()",
            "aten::sym_constrain_range_for_size(Scalar size, *, int? min=None, int? max=None) -> ()"});
}

}  // namespace

void add_control(Registry& r) {
  add_higher_order(r);
  add_assertions(r);
  add_dropout(r);
  add_random(r);
}

}  // namespace reprise::ops
