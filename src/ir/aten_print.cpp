#include "ir/aten_print.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

namespace reprise::ir {
namespace {

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;  // clang before 17 deduces none for aggregates

template <class T, class F>
std::string list(const std::vector<T>& items, F f) {
  std::string text = "[";
  for (const T& item : items) text += (text.size() > 1 ? ", " : "") + f(item);
  return text + "]";
}

std::string shape(const sym::Shape& sizes) { return sym::str(std::span(sizes)); }

std::string typed(const std::string& name, const AtenGraph& graph) {
  const auto meta = graph.tensors.find(name);
  return name + ": " + (meta == graph.tensors.end() ? "?" : str(meta->second));
}

std::string typed_list(const std::vector<TensorName>& names, const AtenGraph& graph) {
  return list(names, [&](const TensorName& n) { return typed(n.name, graph); });
}

std::string str(const Output& output, const AtenGraph& graph) {
  return std::visit(Overload{[](None) { return std::string("None"); }, [&](const TensorName& n) { return typed(n.name, graph); },
                             [&](const std::vector<TensorName>& names) { return typed_list(names, graph); },
                             [](const SymOutput& s) { return fmt::format("{} = {}", s.name, s.value.str()); }},
                    output);
}

std::string print_node(const AtenNode& node, const AtenGraph& graph, const std::string& margin) {
  std::string results, args, inner;
  for (const Output& output : node.outputs) results += (results.empty() ? "" : ", ") + str(output, graph);
  for (const NamedArg& arg : node.args) {
    args += (args.empty() ? "" : ", ") + (arg.name.empty() ? "" : arg.name + "=") + str(arg.value);
    if (const auto* sub = std::get_if<std::shared_ptr<const AtenGraph>>(&arg.value))
      inner += margin + "  {\n" + print(**sub, static_cast<int>(margin.size()) + 4) + margin + "  }\n";
  }
  const std::string trace = node.source.trace.empty() ? "" : "    # " + node.source.trace;
  return margin + (results.empty() ? "" : results + " = ") + node.target + "(" + args + ")" + trace + "\n" + inner;
}

std::string_view name(InputKind kind) {
  constexpr std::string_view kNames[] = {"user", "parameter", "buffer", "tensor_constant", "constant"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name(OutputKind kind) {
  constexpr std::string_view kNames[] = {"user", "buffer_mutation", "user_input_mutation", "parameter_mutation", "ignored"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string print_symbol(const sym::SymbolInfo& info) {
  const std::string low = info.range.min == std::numeric_limits<std::int64_t>::min() ? "-inf" : std::to_string(info.range.min);
  const std::string high = info.range.max == sym::kUnbounded ? "inf" : std::to_string(info.range.max);
  return fmt::format("  {} in [{}, {}]{}{}\n", info.name, low, high, info.unbacked ? " from data" : "",
                     info.hint ? fmt::format(", {} at export", *info.hint) : "");
}

std::string print_input(const ProgramInput& input, const Arg& arg, const AtenGraph& graph) {
  const auto* const tensor = std::get_if<TensorName>(&arg);
  const std::string what = tensor != nullptr ? typed(tensor->name, graph) : input.name + " = " + str(arg);
  return fmt::format("  {} {}{}{}\n", name(input.kind), what, input.target.empty() ? "" : " '" + input.target + "'",
                     input.persistent ? "" : ", not persistent");
}

}  // namespace

std::string str(const TensorMeta& meta) { return std::string(reprise::name(meta.dtype)) + shape(meta.sizes); }

std::string str(const Arg& arg) {
  const auto truth = [](bool b) { return std::string(b ? "True" : "False"); };
  return std::visit(
      Overload{[](None) { return std::string("None"); }, [](const TensorName& n) { return n.name; },
               [](const std::vector<std::optional<TensorName>>& v) { return list(v, [](const auto& n) { return n ? n->name : std::string("None"); }); }, truth,
               [](const sym::Expr& e) { return e.str(); }, [](double d) { return fmt::format("{}", d); },
               [](const std::string& s) { return fmt::format("{:?}", std::string_view(s)); }, [](const std::vector<sym::Expr>& v) { return shape(v); },
               [](const std::vector<double>& v) { return list(v, [](double d) { return fmt::format("{}", d); }); },
               [&](const std::vector<bool>& v) { return list(v, truth); },
               [](const std::vector<std::string>& v) { return list(v, [](const std::string& s) { return "\"" + s + "\""; }); },
               [](const std::vector<std::vector<sym::Expr>>& v) { return list(v, shape); },
               [](const ScalarTypeArg& t) { return std::string(reprise::name(t.value)); }, [](Layout l) { return fmt::format("layout {}", l.value); },
               [](MemoryFormat f) { return fmt::format("memory format {}", f.value); }, [](Device d) { return d.str(); },
               [](ComplexArg c) { return fmt::format("{}+{}j", c.real, c.imag); },
               [](const std::shared_ptr<const AtenGraph>& g) { return fmt::format("graph of {} nodes", g->nodes.size()); }},
      arg);
}

std::string print(const AtenGraph& graph, int indent) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  std::string inputs, outputs, text;
  for (const Arg& input : graph.inputs) {
    const auto* const tensor = std::get_if<TensorName>(&input);
    inputs += (inputs.empty() ? "" : ", ") + (tensor != nullptr ? typed(tensor->name, graph) : str(input));
  }
  for (const Arg& output : graph.outputs) outputs += (outputs.empty() ? "" : ", ") + str(output);
  for (const AtenNode& node : graph.nodes) text += print_node(node, graph, margin);
  return margin + "(" + inputs + ")\n" + text + margin + "return " + outputs + "\n";
}

std::string print(const Program& program) {
  std::string text = fmt::format("program of torch {}, schema {}.{}, {}\ninputs\n", program.torch_version, program.schema_major, program.schema_minor,
                                 program.functional ? "decomposed" : "as exported");
  for (std::size_t i = 0; i < program.inputs.size(); ++i) text += print_input(program.inputs[i], program.graph.inputs[i], program.graph);
  text += "outputs\n";
  for (std::size_t i = 0; i < program.outputs.size(); ++i) {
    const ProgramOutput& output = program.outputs[i];
    text += fmt::format("  {} {}{}\n", name(output.kind), str(program.graph.outputs[i]), output.target.empty() ? "" : " '" + output.target + "'");
  }
  if (program.symbols.size() > 0) text += "symbols\n";
  for (const sym::SymbolInfo& info : program.symbols.all()) text += print_symbol(info);
  return text + "graph\n" + print(program.graph, 2);
}

}  // namespace reprise::ir
