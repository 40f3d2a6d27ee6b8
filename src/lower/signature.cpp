#include "lower/signature.h"

#include "base/check.h"

namespace reprise::lower {

namespace {

// Integer samples are kept up to this many elements: enough for valid token ids, never a burden for the file.
constexpr std::int64_t kMaxSampleElements = 1 << 16;

plan::ConstantValue constant_value(const ir::ProgramInput& input) {
  if (const auto* b = std::get_if<bool>(&input.constant)) return *b;
  if (const auto* e = std::get_if<sym::Expr>(&input.constant)) return e->as_int().value_or(0);
  if (const auto* d = std::get_if<double>(&input.constant)) return *d;
  if (const auto* s = std::get_if<std::string>(&input.constant)) return *s;
  return std::monostate{};
}

bool is_mutated_input(const ir::Graph& graph, int tensor_input) {
  for (const auto& state : graph.states) {
    if (state.input == tensor_input) return true;
  }
  return false;
}

void describe_tensor(plan::InputSpec& spec, const ir::Program& program, const ir::Graph& graph, int tensor_input, std::size_t flat) {
  const auto& value = graph.at(graph.inputs.at(static_cast<std::size_t>(tensor_input)));
  spec.dtype = value.dtype;
  spec.sizes = value.sizes;
  spec.mutated = is_mutated_input(graph, tensor_input);
  if (flat >= program.sample_inputs.size()) return;
  const auto& sample = program.sample_inputs[flat];
  if (sample.defined() && !is_floating(sample.dtype()) && sample.numel() <= kMaxSampleElements) spec.sample = sample.contiguous();
}

}  // namespace

std::vector<plan::InputSpec> input_specs(const ir::Program& program, const ir::Graph& graph, std::vector<int>& input_entry) {
  std::vector<plan::InputSpec> specs;
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const auto& input = program.inputs[i];
    if (input.kind != ir::InputKind::user && input.kind != ir::InputKind::constant) continue;
    const auto flat = specs.size();
    plan::InputSpec spec;
    spec.name = flat < program.call.input_names.size() ? program.call.input_names[flat] : input.name;
    const auto& arg = program.graph.inputs.at(i);
    if (input.kind == ir::InputKind::constant) {
      spec.kind = plan::InputSpec::Kind::constant;
      spec.constant = constant_value(input);
    } else if (const auto* e = std::get_if<sym::Expr>(&arg)) {
      spec.kind = plan::InputSpec::Kind::integer;
      spec.dtype = DType::i64;
      spec.value = *e;
    } else {
      describe_tensor(spec, program, graph, static_cast<int>(input_entry.size()), flat);
      input_entry.push_back(static_cast<int>(flat));
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::vector<plan::OutputSpec> output_specs(const ir::Program& program, const ir::Graph& graph) {
  std::vector<plan::OutputSpec> specs;
  for (const auto& result : graph.results) {
    plan::OutputSpec spec;
    spec.name = specs.size() < program.call.output_names.size() ? program.call.output_names[specs.size()] : fmt::format("output_{}", specs.size());
    using Kind = ir::Result::Kind;
    switch (result.kind) {
      case Kind::tensor:
        spec.dtype = graph.at(result.value).dtype;
        spec.sizes = graph.at(result.value).sizes;
        break;
      case Kind::integer:
        spec.kind = plan::OutputSpec::Kind::integer;
        break;
      case Kind::real:
        spec.kind = plan::OutputSpec::Kind::real;
        break;
      case Kind::boolean:
        spec.kind = plan::OutputSpec::Kind::boolean;
        break;
      case Kind::text:
        spec.kind = plan::OutputSpec::Kind::text;
        break;
      case Kind::none:
        spec.kind = plan::OutputSpec::Kind::none;
        break;
    }
    spec.value = result.scalar;
    spec.text = result.text;
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace reprise::lower
