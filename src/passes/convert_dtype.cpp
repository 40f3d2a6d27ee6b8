#include "passes/convert_dtype.h"

#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace reprise::passes {

namespace {

using core::Op;
using core::ScalarOp;
using core::ScalarProgram;
using ir::ValueId;
using ir::ValueKind;

// Positions counted in a narrow dtype lose whole numbers, statistics belong to the accumulation, and users' kernels compute what they do: all stay f32.
bool keeps_f32(const ir::Node& node, std::size_t output) { return node.op == Op::iota || node.op == Op::foreign || (node.op == Op::norm && output > 0); }

class Converter {
 public:
  Converter(ir::Graph& graph, DType dtype) : graph_(graph), dtype_(dtype) {}

  void run() {
    narrow_roots(graph_.body);
    for (auto& value : graph_.values) {
      if (is_narrowed(value.root) && is_f32(value.dtype)) value.dtype = dtype_;
    }
    convert(graph_.body);
    std::vector<ir::Node> tail;
    for (auto& result : graph_.results) {
      if (result.kind == ir::Result::Kind::tensor) result.value = widened(result.value, tail);
    }
    for (auto& state : graph_.states) {
      if (state.final != ir::kNoValue && is_f32(graph_.root_of(state.value).dtype)) state.final = widened(state.final, tail);
    }
    auto& nodes = graph_.body.nodes;
    nodes.insert(nodes.end(), std::make_move_iterator(tail.begin()), std::make_move_iterator(tail.end()));
  }

 private:
  static bool is_f32(DType t) { return t == DType::f32; }

  void narrow_roots(ir::Region& region) {
    for (const auto p : region.params) narrow(p);
    for (auto& node : region.nodes) {
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        if (!keeps_f32(node, i)) narrow(node.outputs[i]);
      }
      for (auto& inner : node.regions) narrow_roots(inner);
    }
  }
  void narrow(ValueId id) {
    if (graph_.at(id).kind == ValueKind::node && is_f32(graph_.at(id).dtype)) narrowed_.insert(id);
  }
  bool is_narrowed(ValueId root) const { return narrowed_.contains(root); }

  void convert(ir::Region& region) {
    std::vector<ir::Node> nodes;
    for (auto& node : region.nodes) {
      for (auto& inner : node.regions) convert(inner);
      if (node.op == Op::pointwise) {
        pointwise(node);
      } else if (node.op == Op::foreign) {
        for (auto& x : node.inputs) x = widened(x, nodes);  // users' kernels know the exported dtypes
      } else {
        for (auto& x : node.inputs) x = operand(x, nodes);
      }
      nodes.push_back(std::move(node));
    }
    for (auto& result : region.results) result = operand(result, nodes);
    region.nodes = std::move(nodes);
  }

  // The narrow form of an operand; casts of inputs and states are made once a use, constants once.
  ValueId operand(ValueId id, std::vector<ir::Node>& nodes) {
    const auto value = graph_.at(id);
    if (!is_f32(value.dtype)) return id;
    const auto root = value.root;
    if (graph_.at(root).kind == ValueKind::constant) return graph_.add_view(narrow_constant(root), value.sizes, value.strides, value.offset);
    return cast(id, dtype_, nodes);
  }
  ValueId narrow_constant(ValueId root) {
    const auto it = constants_.find(root);
    if (it != constants_.end()) return it->second;
    const auto constant = graph_.constants.at(static_cast<std::size_t>(graph_.at(root).index));
    const auto made = graph_.add_constant(constant.name, constant.data.to(dtype_));
    constants_.emplace(root, made);
    return made;
  }

  ValueId cast(ValueId id, DType to, std::vector<ir::Node>& nodes) {
    const auto value = graph_.at(id);
    auto program = std::make_shared<ScalarProgram>();
    program->inputs = {value.dtype};
    program->code = {{.op = ScalarOp::input, .type = value.dtype}, {.op = ScalarOp::cast, .type = to, .a = 0}};
    program->outputs = {1};
    ir::Node node;
    node.op = Op::pointwise;
    node.name = value.name + "." + std::string(name(to));
    node.inputs = {id};
    node.outputs = {graph_.add_root(ValueKind::node, node.name, to, value.sizes)};
    node.attrs = core::Attrs{{"program", core::ScalarProgramPtr(program)}};
    nodes.push_back(std::move(node));
    return nodes.back().outputs.front();
  }

  ValueId widened(ValueId id, std::vector<ir::Node>& tail) {
    if (!is_narrowed(graph_.at(id).root)) return id;
    return cast(id, DType::f32, tail);
  }

  // Arithmetic stays f32 inside a program: narrow values are widened where they come in and rounded where they leave.
  void pointwise(ir::Node& node) {
    const auto& program = *node.attrs.program("program");
    auto out = std::make_shared<ScalarProgram>();
    out->symbols = program.symbols;
    out->inputs = program.inputs;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      auto& x = node.inputs[i];
      if (program.inputs[i] != DType::f32) continue;
      const auto& root = graph_.root_of(x);
      if (root.kind == ValueKind::constant)
        x = graph_.add_view(narrow_constant(graph_.at(x).root), graph_.at(x).sizes, graph_.at(x).strides, graph_.at(x).offset);
      out->inputs[i] = graph_.at(x).dtype;
    }
    std::vector<int> place;
    for (auto instr : program.code) {
      for (int* operand : {&instr.a, &instr.b, &instr.c}) {
        if (*operand >= 0) *operand = place[static_cast<std::size_t>(*operand)];
      }
      const bool narrow_input = instr.op == ScalarOp::input && out->inputs[static_cast<std::size_t>(instr.imm_int)] != instr.type;
      if (narrow_input) instr.type = dtype_;
      out->code.push_back(instr);
      if (narrow_input) out->code.push_back({.op = ScalarOp::cast, .type = DType::f32, .a = static_cast<int>(out->code.size()) - 1});
      place.push_back(static_cast<int>(out->code.size()) - 1);
    }
    for (std::size_t i = 0; i < program.outputs.size(); ++i) {
      int at = place[static_cast<std::size_t>(program.outputs[i])];
      if (is_narrowed(node.outputs[i])) {
        out->code.push_back({.op = ScalarOp::cast, .type = dtype_, .a = at});
        at = static_cast<int>(out->code.size()) - 1;
      }
      out->outputs.push_back(at);
    }
    node.attrs.set("program", core::ScalarProgramPtr(out));
  }

  ir::Graph& graph_;
  DType dtype_;
  std::unordered_set<ValueId> narrowed_;
  std::unordered_map<ValueId, ValueId> constants_;
};

}  // namespace

void convert_dtype(ir::Graph& graph, DType dtype) { Converter(graph, dtype).run(); }

}  // namespace reprise::passes
