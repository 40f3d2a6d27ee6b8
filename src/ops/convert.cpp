#include "ops/convert.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/check.h"
#include "ops/node_context.h"
#include "ops/states.h"

namespace reprise::ops {
namespace {

using ir::Val;

/// Rethrows what is being handled with the node's name and line added, once.
[[noreturn]] void rethrow_at(const ir::Source& source) {
  const auto add = [&](const auto& e) {
    using Kind = std::decay_t<decltype(e)>;
    const std::string text = e.what();
    if (text.find(", node '") != std::string::npos) throw;
    throw Kind(fmt::format("{}, node '{}'{}{}", text, source.name, source.trace.empty() ? "" : " at ", source.trace));
  };
  try {
    throw;
  } catch (const ShapeError& e) {
    add(e);
  } catch (const InvalidArgument& e) {
    add(e);
  } catch (const UnsupportedOp& e) {
    add(e);
  } catch (const FormatError& e) {
    add(e);
  }
  throw;
}

ir::Result result_of(const ir::Arg& output, const Scope& scope) {
  using Kind = ir::Result::Kind;
  if (const auto* t = std::get_if<ir::TensorName>(&output)) return {Kind::tensor, scope.at(t->name).id(), {}, {}};
  if (const auto* b = std::get_if<bool>(&output)) return {Kind::boolean, ir::kNoValue, *b ? 1 : 0, {}};
  if (const auto* d = std::get_if<double>(&output)) return {Kind::real, ir::kNoValue, sym::Expr::real(*d), {}};
  if (const auto* s = std::get_if<std::string>(&output)) return {Kind::text, ir::kNoValue, {}, *s};
  if (const auto* e = std::get_if<sym::Expr>(&output))
    return {is_relation(*e) ? Kind::boolean : e->is_real() ? Kind::real : Kind::integer, ir::kNoValue, *e, {}};
  REPRISE_CHECK(std::holds_alternative<ir::None>(output), UnsupportedOp, "[ops/convert] an output of the program is neither a tensor nor a number nor text");
  return {Kind::none, ir::kNoValue, {}, {}};
}

class Driver {
 public:
  Driver(const ir::Program& program, const Registry& registry, const Assignment& assignment)
      : program_(&program), registry_(&registry), assignment_(&assignment), graph_(start(program, assignment)), builder_(graph_) {}

  ir::Graph run() {
    Scope scope{&program_->graph, {}};
    add_inputs(scope);
    const auto& nodes = program_->graph.nodes;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      segment_ = i < assignment_->segment.size() ? assignment_->segment[i] : 0;
      convert_node(nodes[i], scope);
    }
    builder_.set_source("outputs", {}, segment_);
    add_results(scope);
    return std::move(graph_);
  }

 private:
  static ir::Graph start(const ir::Program& program, const Assignment& assignment) {
    ir::Graph graph;
    graph.symbols = program.symbols;
    graph.segments = assignment.segments;
    if (graph.segments.empty()) graph.segments.emplace_back();
    return graph;
  }

  void add_inputs(Scope& scope) {
    const auto& inputs = program_->inputs;
    REPRISE_CHECK(inputs.size() == program_->graph.inputs.size(), InvalidArgument,
                  "[ops/convert] the signature does not fit the graph (got {} inputs, want {})", inputs.size(), program_->graph.inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const auto* t = std::get_if<ir::TensorName>(&program_->graph.inputs[i]);
      if (t == nullptr) continue;  // a symbolic or constant scalar
      scope.tensors[t->name] = inputs[i].kind == ir::InputKind::user ? add_user_input(t->name) : add_weight(inputs[i]);
    }
  }

  Val add_user_input(const std::string& name) {
    const auto& meta = program_->graph.tensors.at(name);
    graph_.inputs.push_back(graph_.add_root(ir::ValueKind::input, name, meta.dtype, meta.sizes, static_cast<int>(graph_.inputs.size())));
    return {&graph_, graph_.inputs.back()};
  }

  Val add_weight(const ir::ProgramInput& input) {
    const auto at = program_->tensors.find(input.target);
    REPRISE_CHECK(at != program_->tensors.end(), FormatError, "[ops/convert] the file has no tensor '{}'", input.target);
    const Tensor& data = at->second.data;
    if (data.is_contiguous()) return constant(input.target, data);
    // The memory under a strided weight is the constant, the weight a view of it: so weights that share memory still do.
    std::int64_t extent = 1;
    for (std::size_t i = 0; i < data.sizes().size(); ++i) extent += (data.sizes()[i] - 1) * data.strides()[i];
    const std::int64_t one = 1;
    const Val flat = constant(input.target, data.as_strided(std::span(&extent, 1), std::span(&one, 1)));
    return builder_.as_strided(flat, {data.sizes().begin(), data.sizes().end()}, {data.strides().begin(), data.strides().end()}, 0);
  }

  /// Tied weights are one constant.
  Val constant(const std::string& name, const Tensor& data) {
    const auto key = std::tuple(static_cast<const void*>(data.data()), data.sizes(), data.dtype());
    if (data.numel() == 0) return {&graph_, graph_.add_constant(name, data)};
    const auto [at, fresh] = constants_.try_emplace(key, ir::kNoValue);
    if (fresh) at->second = graph_.add_constant(name, data);
    return {&graph_, at->second};
  }

  void convert_node(const ir::AtenNode& node, Scope& scope) {
    builder_.set_source(node.source.name, node.source.trace, segment_);
    const auto match = registry_->match(node, is_dynamic(node, *scope.graph));
    if (match.entry == nullptr) {
      REPRISE_CHECK(is_scalar_arithmetic(node), UnsupportedOp, "[ops/convert] no converter takes {}", node.target);
      return;
    }
    const auto nested = [&](const ir::AtenGraph& graph, std::span<const Val> inputs) {
      auto out = inline_graph(graph, inputs);
      builder_.set_source(node.source.name, node.source.trace, segment_);
      return out;
    };
    try {
      NodeContext context(builder_, node, *match.entry, scope, nested);
      match.entry->converter->convert(context);
      context.finish();
    } catch (const Error&) {
      rethrow_at(node.source);
    }
  }

  std::vector<Val> inline_graph(const ir::AtenGraph& graph, std::span<const Val> inputs) {
    Scope scope{&graph, {}};
    bind_nested(graph, inputs, scope);
    for (const auto& node : graph.nodes) convert_node(node, scope);
    std::vector<Val> out;
    for (const auto& arg : graph.outputs) out.push_back(nested_output(arg, scope));
    return out;
  }

  static void bind_nested(const ir::AtenGraph& graph, std::span<const Val> inputs, Scope& scope) {
    const bool all = inputs.size() == graph.inputs.size();
    std::size_t next = 0;
    for (const auto& input : graph.inputs) {
      const auto* t = std::get_if<ir::TensorName>(&input);
      if (t == nullptr && !all) continue;
      REPRISE_CHECK(next < inputs.size(), InvalidArgument, "[ops/convert] a nested graph wants more than {} inputs", inputs.size());
      const Val value = inputs[next++];
      if (t != nullptr) scope.tensors[t->name] = value;
    }
    REPRISE_CHECK(next == inputs.size(), InvalidArgument, "[ops/convert] a nested graph takes {} inputs (got {})", next, inputs.size());
  }

  Val nested_output(const ir::Arg& arg, const Scope& scope) {
    if (const auto* t = std::get_if<ir::TensorName>(&arg)) return scope.at(t->name);
    if (const auto* e = std::get_if<sym::Expr>(&arg)) return builder_.scalar(*e, e->is_real() ? DType::f32 : DType::i64);
    if (const auto* d = std::get_if<double>(&arg)) return builder_.scalar(*d, DType::f32);
    if (const auto* b = std::get_if<bool>(&arg)) return builder_.fill({}, *b, DType::boolean);
    return {};
  }

  void add_results(const Scope& scope) {
    const auto& outputs = program_->outputs;
    REPRISE_CHECK(outputs.size() == program_->graph.outputs.size(), InvalidArgument,
                  "[ops/convert] the signature does not fit the graph (got {} outputs, want {})", outputs.size(), program_->graph.outputs.size());
    std::vector<Mutation> mutations;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const auto& value = program_->graph.outputs[i];
      if (outputs[i].kind == ir::OutputKind::user) {
        graph_.results.push_back(result_of(value, scope));
      } else if (const auto* t = std::get_if<ir::TensorName>(&value); t != nullptr && outputs[i].kind != ir::OutputKind::ignored) {
        mutations.push_back({mutated(outputs[i], scope), scope.at(t->name)});
      }
    }
    make_states(builder_, mutations);
  }

  /// The value at the start of the call that a declared mutation replaces.
  Val mutated(const ir::ProgramOutput& output, const Scope& scope) const {
    if (output.kind == ir::OutputKind::user_input_mutation) return scope.at(output.target);
    const auto at = std::find_if(program_->inputs.begin(), program_->inputs.end(), [&](const auto& in) { return in.target == output.target; });
    REPRISE_CHECK(at != program_->inputs.end(), FormatError, "[ops/convert] the program mutates '{}', which it does not have", output.target);
    return scope.at(at->name);
  }

  const ir::Program* program_;
  const Registry* registry_;
  const Assignment* assignment_;
  ir::Graph graph_;
  ir::Builder builder_;
  int segment_ = 0;
  std::map<std::tuple<const void*, std::vector<std::int64_t>, DType>, ir::ValueId> constants_;
};

}  // namespace

ir::Graph convert(const ir::Program& program, const Registry& registry, const Assignment& assignment) {
  const auto missing = missing_converters(program, registry);
  REPRISE_CHECK(missing.empty(), UnsupportedOp, "[ops/convert] no converter takes {}", fmt::join(missing, "; "));
  return Driver(program, registry, assignment).run();
}

}  // namespace reprise::ops
