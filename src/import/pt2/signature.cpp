#include "import/pt2/signature.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "import/pt2/treespec.h"

namespace reprise::import {
namespace {

using base::JsonValue;
using ir::InputKind;
using ir::OutputKind;

bool is_literal(const ir::Arg& arg) {
  const auto* const e = std::get_if<sym::Expr>(&arg);
  return e != nullptr ? e->is_int() : !std::holds_alternative<ir::TensorName>(arg);
}

std::string value_name(const JsonValue& spec) { return std::string(spec.at("arg").at("name").as_string()); }

ir::ProgramInput weight(InputKind kind, const JsonValue& spec, std::string_view target) {
  ir::ProgramInput input;
  input.kind = kind;
  input.name = value_name(spec);
  input.target = spec.at(target).as_string();
  if (kind == InputKind::buffer) {
    const auto persistent = spec.find_non_null("persistent");
    input.persistent = !persistent || persistent->as_bool();
  }
  return input;
}

/// `arg` is the graph's input at this place.
ir::ProgramInput user_input(const JsonValue& spec, const ir::Arg& arg) {
  ir::ProgramInput input;
  if (is_literal(arg)) {
    input.kind = InputKind::constant;
    input.constant = arg;
    return input;
  }
  const JsonValue named = spec.at("arg").only_member().value;
  input.name = named.at(named.has("name") ? "name" : "as_name").as_string();
  return input;
}

ir::ProgramInput constant(const JsonValue& spec, const ir::Arg& arg) {
  ir::ProgramInput input;
  input.kind = InputKind::constant;
  input.name = spec.at("name").as_string();
  input.constant = arg;
  if (!is_literal(arg)) spec.fail("is no constant in the graph");
  return input;
}

ir::ProgramInput read_input(const JsonValue& json, const ir::Arg& arg) {
  const auto [kind, spec] = json.only_member();
  if (kind == "user_input") return user_input(spec, arg);
  if (kind == "constant_input") return constant(spec, arg);
  if (kind == "parameter") return weight(InputKind::parameter, spec, "parameter_name");
  if (kind == "buffer") return weight(InputKind::buffer, spec, "buffer_name");
  if (kind == "tensor_constant") return weight(InputKind::tensor_constant, spec, "tensor_constant_name");
  REPRISE_FAIL(UnsupportedOp, "[import/pt2] {} is an input of a kind that is not supported (got {})", json.path(), kind);
}

ir::ProgramOutput read_output(const JsonValue& json) {
  const auto [kind, spec] = json.only_member();
  if (kind == "user_output") return {OutputKind::user, {}};
  if (kind == "buffer_mutation") return {OutputKind::buffer_mutation, std::string(spec.at("buffer_name").as_string())};
  if (kind == "parameter_mutation") return {OutputKind::parameter_mutation, std::string(spec.at("parameter_name").as_string())};
  if (kind == "user_input_mutation") return {OutputKind::user_input_mutation, std::string(spec.at("user_input_name").as_string())};
  if (kind == "loss_output" || kind == "token" || kind.starts_with("gradient_")) return {OutputKind::ignored, {}};
  json.fail("is an output of an unknown kind");
}

bool has_input(const ir::Program& program, InputKind kind, const std::string& name) {
  return std::any_of(program.inputs.begin(), program.inputs.end(),
                     [&](const ir::ProgramInput& i) { return i.kind == kind && (kind == InputKind::user ? i.name : i.target) == name; });
}

void check_mutation(const JsonValue& json, const ir::ProgramOutput& output, const ir::Program& program) {
  const auto kind = output.kind == OutputKind::buffer_mutation      ? InputKind::buffer
                    : output.kind == OutputKind::parameter_mutation ? InputKind::parameter
                                                                    : InputKind::user;
  const bool constant_too = output.kind == OutputKind::buffer_mutation && has_input(program, InputKind::tensor_constant, output.target);
  if (!constant_too && !has_input(program, kind, output.target)) json.fail("changes something that is no input");
}

std::optional<TreeSpec> tree(const JsonValue& graph_module, std::string_view which) {
  const auto calls = graph_module.find_non_null("module_call_graph");
  if (!calls || calls->size() == 0) return std::nullopt;
  const auto signature = calls->items()[0].find_non_null("signature");
  const auto text = signature ? signature->find_non_null(which) : std::nullopt;
  if (!text || text->as_string().empty()) return std::nullopt;
  return parse_treespec(text->as_string(), graph_module.find_non_null("treespec_namedtuple_fields"), text->path());
}

}  // namespace

void read_signature(const JsonValue& signature, ir::Program& program) {
  const auto inputs = signature.at("input_specs").items(), outputs = signature.at("output_specs").items();
  if (inputs.size() != program.graph.inputs.size()) signature.fail("has another number of inputs than the graph");
  if (outputs.size() != program.graph.outputs.size()) signature.fail("has another number of outputs than the graph");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const ir::Arg& arg = program.graph.inputs[i];
    ir::ProgramInput input = read_input(inputs[i], arg);
    const auto* const tensor = std::get_if<ir::TensorName>(&arg);
    const bool must_be_tensor = input.kind != InputKind::user && input.kind != InputKind::constant;
    if ((must_be_tensor && tensor == nullptr) || (tensor != nullptr && tensor->name != input.name)) inputs[i].fail("is not the graph's input at its place");
    program.inputs.push_back(std::move(input));
  }
  for (const JsonValue& json : outputs) {
    ir::ProgramOutput output = read_output(json);
    if (output.kind != OutputKind::user && output.kind != OutputKind::ignored) check_mutation(json, output, program);
    program.outputs.push_back(std::move(output));
  }
}

void read_call_spec(const JsonValue& graph_module, ir::Program& program) {
  std::vector<std::string> names, results, forward_names;
  if (const auto in = tree(graph_module, "in_spec")) {
    const JsonValue signature = graph_module.at("module_call_graph").items()[0].at("signature");
    program.call.in_spec = signature.at("in_spec").as_string();
    if (const auto forward = signature.find_non_null("forward_arg_names")) forward_names = forward->as_strings();
    names = input_names(*in, forward_names);
  }
  if (const auto out = tree(graph_module, "out_spec")) {
    program.call.out_spec = graph_module.at("module_call_graph").items()[0].at("signature").at("out_spec").as_string();
    results = output_names(*out);
  }
  std::vector<ir::ProgramInput*> users;
  for (ir::ProgramInput& input : program.inputs) {
    if (input.kind == InputKind::user || input.kind == InputKind::constant) users.push_back(&input);
  }
  for (std::size_t i = 0; i < users.size(); ++i) {
    const bool from_tree = names.size() == users.size();
    program.call.input_names.push_back(from_tree ? names[i] : users[i]->name.empty() ? "input_" + std::to_string(i) : users[i]->name);
    if (users[i]->name.empty()) users[i]->name = program.call.input_names.back();
  }
  const auto count = static_cast<std::size_t>(
      std::count_if(program.outputs.begin(), program.outputs.end(), [](const ir::ProgramOutput& o) { return o.kind == OutputKind::user; }));
  for (std::size_t i = 0; i < count; ++i) program.call.output_names.push_back(results.size() == count ? results[i] : "output_" + std::to_string(i));
}

void read_sample_inputs(const TorchSave& file, const JsonValue& graph_module, ir::Program& program) {
  const auto in = tree(graph_module, "in_spec");
  auto samples = in ? flatten(*in, file) : std::nullopt;
  if (samples && samples->size() == program.call.input_names.size()) program.sample_inputs = *std::move(samples);
}

}  // namespace reprise::import
