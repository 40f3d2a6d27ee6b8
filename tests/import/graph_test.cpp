// Graphs written by hand: what is resolved, inlined, dropped and refused.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "import/archives.h"
#include "import/pt2/graph_reader.h"
#include "import/pt2/symbolic_node.h"
#include "ir/aten_print.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise {
namespace {

using Expr = reprise::sym::Expr;
using testing_support::load;
using testing_support::make_pt2;

std::string tensor(std::string_view name) { return fmt::format(R"({{"as_tensor": {{"name": "{}"}}}})", name); }
std::string sym_int(std::string_view name) { return fmt::format(R"({{"as_sym_int": {{"as_name": "{}"}}}})", name); }
std::string sym_bool(std::string_view name) { return fmt::format(R"({{"as_sym_bool": {{"as_name": "{}"}}}})", name); }
std::string sym_float(std::string_view name) { return fmt::format(R"({{"as_sym_float": {{"as_name": "{}"}}}})", name); }
std::string arg(std::string_view name, std::string_view value) { return fmt::format(R"({{"name": "{}", "arg": {}, "kind": 1}})", name, value); }

std::string list(std::initializer_list<std::string> items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return "[" + out + "]";
}

std::string node(std::string_view target, std::initializer_list<std::string> args, std::initializer_list<std::string> outputs) {
  return fmt::format(R"({{"target": "{}", "inputs": {}, "outputs": {}, "metadata": {{}}}})", target, list(args), list(outputs));
}

/// f32 with these sizes, JSON each.
std::string meta(std::initializer_list<std::string> sizes, int dtype = 7) {
  std::string strides;
  for (std::size_t i = 0; i < sizes.size(); ++i) strides += std::string(i == 0 ? "" : ", ") + R"({"as_int": 1})";
  return fmt::format(
      R"({{"dtype": {}, "sizes": {}, "requires_grad": false, "device": {{"type": "cpu", "index": null}}, "strides": [{}], "storage_offset": {{"as_int": 0}}, "layout": 7}})",
      dtype, list(sizes), strides);
}

std::string expression(std::string_view text, std::string_view hint = "null") {
  return fmt::format(R"({{"as_expr": {{"expr_str": "{}", "hint": {}}}}})", text, hint);
}

const std::string kS0 = expression("Symbol('s0', positive=True, integer=True)", R"({"as_int": 4})");
const std::string kU0 = expression("Symbol('u0', integer=True)");
const std::string kThree = R"({"as_int": 3})";

struct GraphText {
  std::string inputs = list({tensor("x")}), outputs = "[]", nodes = "[]";
  std::string tensors;  // "name": meta, …
  std::string ints, floats, bools;
  [[nodiscard]] std::string str() const {
    return fmt::format(
        R"({{"inputs": {}, "outputs": {}, "nodes": {}, "tensor_values": {{{}}}, "sym_int_values": {{{}}}, "sym_float_values": {{{}}}, "sym_bool_values": {{{}}}}})",
        inputs, outputs, nodes, tensors, ints, floats, bools);
  }
};

std::string named(std::initializer_list<std::pair<std::string, std::string>> entries) {
  std::string out;
  for (const auto& [name, value] : entries) out += (out.empty() ? "" : ", ") + fmt::format(R"("{}": {})", name, value);
  return out;
}

/// With one user input per graph input that is a tensor, and `outputs` user outputs.
std::string file(const GraphText& graph, int outputs = 0, std::string_view ranges = "{}") {
  std::string specs;
  for (int i = 0; i < outputs; ++i) specs += std::string(i == 0 ? "" : ", ") + R"({"user_output": {"arg": {"as_none": true}}})";
  return make_pt2(graph.str(), list({fmt::format(R"({{"user_input": {{"arg": {}}}}})", tensor("x"))}), "[" + specs + "]", ranges);
}

std::string refusal(const GraphText& graph) { return testing_support::refusal(file(graph)); }

GraphText unary(const std::string& nodes) {
  GraphText g;
  g.nodes = "[" + nodes + "]";
  g.tensors = named({{"x", meta({kS0, kThree})}, {"y", meta({kS0, kThree})}, {"z", meta({kS0, kThree})}});
  return g;
}

// ---- symbolic scalars

TEST(Graph, ScalarNodesVanishIntoExpressions) {
  GraphText g = unary(node("torch.ops.aten.sym_size.int", {arg("self", tensor("x")), arg("dim", R"({"as_int": 0})")}, {sym_int("n")}) + "," +
                      node("_operator.mul", {arg("a", sym_int("n")), arg("b", R"({"as_int": 2})")}, {sym_int("m")}) + "," +
                      node("torch.ops.aten.full.default",
                           {arg("size", R"({"as_sym_ints": [{"as_name": "m"}, {"as_int": 5}]})"), arg("fill_value", R"({"as_float": 1.5})")}, {tensor("y")}));
  g.ints = named({{"n", kS0}, {"m", expression("Mul(Integer(2), Symbol('s0'))", R"({"as_int": 8})")}});
  const auto program = load(file(g));
  ASSERT_EQ(program.graph.nodes.size(), 1u);
  EXPECT_EQ(program.graph.nodes[0].target, "aten.full.default");
  EXPECT_EQ(std::get<sym::Shape>(program.graph.nodes[0].args[0].value), (sym::Shape{2 * Expr::symbol("s0"), 5}));
  EXPECT_EQ(std::get<double>(program.graph.nodes[0].args[1].value), 1.5);
  EXPECT_EQ(program.symbols.at(0).hint, 4);
}

/// The file may leave a value without an expression: the node tells it.
TEST(Graph, ScalarNodesWithoutExpressionAreComputed) {
  GraphText g = unary(node("torch.ops.aten.sym_size.int", {arg("self", tensor("x")), arg("dim", R"({"as_int": -2})")}, {sym_int("n")}) + "," +
                      node("torch.sym_float", {arg("a", sym_int("n"))}, {sym_float("f")}) + "," +
                      node("_operator.ge", {arg("a", sym_int("n")), arg("b", R"({"as_int": 2})")}, {sym_bool("ok")}) + "," +
                      node("torch.ops.aten._assert_scalar.default", {arg("self", sym_bool("ok")), arg("assert_msg", R"({"as_string": "m"})")}, {}) + "," +
                      node("torch.ops.aten.mul.Scalar", {arg("self", tensor("x")), arg("other", sym_float("f"))}, {tensor("y")}));
  const auto program = load(file(g));
  ASSERT_EQ(program.graph.nodes.size(), 2u);
  EXPECT_EQ(std::get<Expr>(program.graph.nodes[0].args[0].value), sym::compare(sym::Op::ge, Expr::symbol("s0"), 2));
  EXPECT_TRUE(std::get<Expr>(program.graph.nodes[1].args[1].value).is_real());
}

TEST(Graph, ChecksThatHoldAreDropped) {
  GraphText g = unary(node("torch.ops.aten._assert_scalar.default", {arg("self", sym_bool("yes")), arg("assert_msg", R"({"as_string": "m"})")}, {}) + "," +
                      node("torch.ops.aten._assert_scalar.default", {arg("self", sym_bool("no")), arg("assert_msg", R"({"as_string": "m"})")}, {}));
  g.bools = named({{"yes", R"({"as_bool": true})"}, {"no", R"({"as_bool": false})"}});
  const auto program = load(file(g));
  ASSERT_EQ(program.graph.nodes.size(), 1u);
  EXPECT_FALSE(std::get<bool>(program.graph.nodes[0].args[0].value));
}

TEST(Graph, ItemKeepsItsNodeAndItsSymbol) {
  const std::string eq = expression("Equality(Symbol('u0', integer=True), Integer(1))");
  const std::string ne = expression("Unequality(Symbol('u1', integer=True), Integer(0))");
  GraphText g = unary(node("torch.ops.aten.item.default", {arg("self", tensor("x"))}, {sym_bool("flag")}) + "," +
                      node("torch.ops.aten._local_scalar_dense.default", {arg("self", tensor("x"))}, {sym_bool("other")}) + "," +
                      node("torch.ops.aten.item.default", {arg("self", tensor("x"))}, {sym_int("bare")}));
  g.bools = named({{"flag", eq}, {"other", ne}});
  const auto program = load(file(g, 0, R"({"u0": {"min_val": 0, "max_val": 1}})"));
  ASSERT_EQ(program.graph.nodes.size(), 3u);
  const auto value = [&](std::size_t i) { return std::get<ir::SymOutput>(program.graph.nodes[i].outputs.at(0)).value; };
  EXPECT_EQ(value(0), Expr::symbol("u0"));
  EXPECT_EQ(value(1), Expr::symbol("u1"));
  ASSERT_TRUE(value(2).is_symbol());
  const auto& u0 = program.symbols.at(program.symbols.find("u0"));
  EXPECT_TRUE(u0.unbacked);
  EXPECT_EQ(u0.range.max, 1);
  EXPECT_TRUE(program.symbols.at(program.symbols.find(value(2).symbol_name())).unbacked);
}

TEST(Graph, RangeHintsTightenSymbols) {
  GraphText g = unary(node("torch.ops.aten.item.default", {arg("self", tensor("x"))}, {sym_int("n")}) + "," +
                      node("torch.ops.aten.sym_constrain_range_for_size.default",
                           {arg("size", sym_int("n")), arg("min", R"({"as_int": 2})"), arg("max", R"({"as_int": 9})")}, {}));
  g.ints = named({{"n", kU0}});
  const auto program = load(file(g, 0, R"({"u0": {"min_val": -5, "max_val": 7}, "4*s0": {"min_val": 1, "max_val": 2}})"));
  EXPECT_EQ(program.graph.nodes.size(), 1u);
  const auto& u0 = program.symbols.at(program.symbols.find("u0"));
  EXPECT_EQ(u0.range.min, 2);
  EXPECT_EQ(u0.range.max, 7);
}

TEST(Graph, RangesOfSymbols) {
  const auto range = [](std::string_view text) {
    const auto program = load(file(unary(""), 0, text));
    return program.symbols.at(0).range;
  };
  EXPECT_EQ(range("{}").min, 0);
  EXPECT_EQ(range("{}").max, sym::kUnbounded);
  EXPECT_EQ(range(R"({"s0": {"min_val": 3, "max_val": 10}})").min, 3);
  EXPECT_EQ(range(R"({"s0": {"min_val": 2, "max_val": 10}})").min, 0);  // what tracing assumes
  EXPECT_EQ(range(R"({"s0": {"min_val": null, "max_val": 9223372036854775806}})").max, sym::kUnbounded);
  EXPECT_EQ(range(R"({"s0": {"min_val": 0, "max_val": 18446744073709551615}})").max, sym::kUnbounded);
  EXPECT_NE(testing_support::refusal(file(unary(""), 0, R"({"s0": {"min_val": 5, "max_val": 4}})")).find("the range of s0 is empty"), std::string::npos);
}

TEST(Graph, HintsComeFromLinearSizesToo) {
  GraphText g = unary("");
  g.tensors = named({{"x", meta({expression("Add(Mul(Integer(4), Symbol('s5')), Integer(2))", R"({"as_int": 22})")})}});
  EXPECT_EQ(load(file(g)).symbols.at(0).hint, 5);
}

TEST(SymbolicNode, EveryRuleHasPythonsValue) {
  const Expr seven = 7, two = 2;
  struct Row {
    const char* target;
    std::vector<ir::Arg> args;
    double want;
  };
  const Row rows[] = {{"_operator.add", {seven, two}, 9},
                      {"_operator.sub", {seven, two}, 5},
                      {"_operator.mul", {seven, two}, 14},
                      {"_operator.floordiv", {Expr(-7), two}, -4},
                      {"_operator.truediv", {seven, two}, 3.5},
                      {"_operator.mod", {Expr(-7), two}, 1},
                      {"_operator.pow", {seven, two}, 49},
                      {"_operator.neg", {seven}, -7},
                      {"_operator.pos", {seven}, 7},
                      {"_operator.abs", {Expr(-7)}, 7},
                      {"_operator.eq", {seven, two}, 0},
                      {"_operator.ne", {seven, two}, 1},
                      {"_operator.lt", {seven, two}, 0},
                      {"_operator.le", {two, two}, 1},
                      {"_operator.gt", {seven, two}, 1},
                      {"_operator.ge", {two, seven}, 0},
                      {"_operator.and_", {true, false}, 0},
                      {"_operator.or_", {true, false}, 1},
                      {"torch.sym_not", {true}, 0},
                      {"torch.sym_max", {seven, two}, 7},
                      {"torch.sym_min", {seven, two}, 2},
                      {"torch.sym_int", {2.75}, 2},
                      {"torch.sym_float", {seven}, 7},
                      {"torch.sym_ite", {false, seven, two}, 2},
                      {"torch._sym_sqrt", {Expr(49)}, 7},
                      {"math.sqrt", {Expr(49)}, 7},
                      {"math.trunc", {-2.75}, -2},
                      {"math.floor", {-2.75}, -3},
                      {"math.ceil", {-2.75}, -2},
                      {"builtins.round", {2.5}, 2}};
  for (const Row& row : rows) {
    std::vector<ir::NamedArg> args;
    for (const ir::Arg& a : row.args) args.push_back({"a", a});
    EXPECT_TRUE(import::is_symbolic(row.target)) << row.target;
    const auto value = import::evaluate_symbolic(row.target, args, {});
    ASSERT_TRUE(value.has_value()) << row.target;
    EXPECT_EQ(sym::evaluate(*value, [](const std::string&) { return std::nullopt; })->as_real(), row.want) << row.target;
  }
  EXPECT_FALSE(import::evaluate_symbolic("_operator.matmul", std::vector<ir::NamedArg>{{"a", seven}, {"b", two}}, {}).has_value());
  EXPECT_FALSE(import::evaluate_symbolic("_operator.add", std::vector<ir::NamedArg>{{"a", seven}, {"b", ir::None{}}}, {}).has_value());
  EXPECT_FALSE(import::is_symbolic("aten.add.Tensor"));
}

TEST(SymbolicNode, PropertiesOfTensors) {
  const std::unordered_map<std::string, ir::TensorMeta> tensors = {{"x", {DType::f32, {4, 6}, {6, 1}, 3}}};
  const auto of = [&](const char* target, std::vector<ir::NamedArg> args) { return import::evaluate_symbolic(target, args, tensors); };
  const ir::NamedArg x{"self", ir::TensorName{"x"}};
  EXPECT_EQ(of("aten.sym_size.int", {x, {"dim", Expr(-1)}}), Expr(6));
  EXPECT_EQ(of("aten.sym_stride.int", {x, {"dim", Expr(0)}}), Expr(6));
  EXPECT_EQ(of("aten.sym_numel.default", {x}), Expr(24));
  EXPECT_EQ(of("aten.sym_storage_offset.default", {x}), Expr(3));
  EXPECT_FALSE(of("aten.sym_size.int", {x, {"dim", Expr(2)}}).has_value());
  EXPECT_FALSE(of("aten.sym_size.int", {{"self", ir::TensorName{"y"}}, {"dim", Expr(0)}}).has_value());
}

// ---- higher-order ops

std::string graph_arg(const GraphText& graph) { return arg("", fmt::format(R"({{"as_graph": {{"name": "g", "graph": {}}}}})", graph.str())); }

std::string relu(std::string_view from, std::string_view to) { return node("torch.ops.aten.relu.default", {arg("self", tensor(from))}, {tensor(to)}); }

/// Names inside clash with those outside; one result is an input, one is given twice.
TEST(Graph, GradientWrappersAreInlined) {
  GraphText inner;
  inner.inputs = list({tensor("a"), sym_int("k")});
  inner.nodes = list({relu("a", "y"), relu("y", "z")});
  inner.outputs = list({tensor("z"), tensor("a"), tensor("z"), sym_int("k")});
  inner.tensors = named({{"a", meta({kS0, kThree})}, {"y", meta({kS0, kThree})}, {"z", meta({kS0, kThree})}});
  GraphText g = unary(relu("x", "y") + "," +
                      node("torch.ops.higher_order.wrap_with_set_grad_enabled",
                           {arg("", R"({"as_bool": false})"), graph_arg(inner), arg("", tensor("y")), arg("", R"({"as_int": 3})")},
                           {tensor("p"), tensor("q"), tensor("r"), sym_int("n")}) +
                      "," + relu("q", "z"));
  g.tensors += "," + named({{"p", meta({kS0, kThree})}, {"q", meta({kS0, kThree})}, {"r", meta({kS0, kThree})}});
  g.ints = named({{"n", kThree}});
  g.outputs = list({tensor("p"), tensor("q"), tensor("r"), tensor("z")});
  const auto program = load(file(g, 4));
  ASSERT_EQ(program.graph.nodes.size(), 4u) << ir::print(program.graph);
  const auto in = [&](std::size_t i) { return std::get<ir::TensorName>(program.graph.nodes[i].args[0].value).name; };
  const auto out = [&](std::size_t i) { return std::get<ir::TensorName>(program.graph.nodes[i].outputs[0]).name; };
  EXPECT_EQ(in(1), "y");
  EXPECT_NE(out(1), "y");
  EXPECT_EQ(in(2), out(1));
  EXPECT_EQ(out(2), "p");
  EXPECT_EQ(in(3), "y");  // q is the wrapper's operand
  EXPECT_EQ(out(3), "z");
  EXPECT_EQ(std::get<ir::TensorName>(program.graph.outputs[1]).name, "y");
  EXPECT_EQ(std::get<ir::TensorName>(program.graph.outputs[2]).name, "p");
  for (const auto& n : program.graph.nodes) EXPECT_TRUE(program.graph.tensors.contains(std::get<ir::TensorName>(n.outputs[0]).name));
}

std::string autocast(std::string_view device, bool enabled) {
  GraphText inner;
  inner.inputs = list({tensor("a")});
  inner.nodes = list({relu("a", "b")});
  inner.outputs = list({tensor("b")});
  inner.tensors = named({{"a", meta({kS0, kThree})}, {"b", meta({kS0, kThree})}});
  const GraphText g = unary(
      node("torch.ops.higher_order.wrap_with_autocast",
           {arg("", fmt::format(R"({{"as_string": "{}"}})", device)), arg("", R"({"as_scalar_type": 13})"),
            arg("", enabled ? R"({"as_bool": true})" : R"({"as_bool": false})"), arg("", R"({"as_bool": false})"), graph_arg(inner), arg("", tensor("x"))},
           {tensor("y")}));
  return load(file(g)).graph.nodes.at(0).target;
}

TEST(Graph, AutocastIsInlinedWhereItDoesNothing) {
  EXPECT_EQ(autocast("cpu", false), "aten.relu.default");
  EXPECT_EQ(autocast("cuda", true), "aten.relu.default");
  EXPECT_EQ(autocast("cpu", true), "higher_order.wrap_with_autocast");
}

GraphText branch(std::string_view size_name, const std::string& size) {
  GraphText inner;
  inner.inputs = list({sym_int(size_name), tensor("a")});
  inner.nodes = list({node("torch.ops.aten.add.Tensor", {arg("self", tensor("a")), arg("other", sym_int(size_name))}, {tensor("b")})});
  inner.outputs = list({tensor("b")});
  inner.tensors = named({{"a", meta({kS0, kThree})}, {"b", meta({kS0, kThree})}});
  inner.ints = named({{std::string(size_name), size}});
  return inner;
}

GraphText conditional(const GraphText& yes, const GraphText& no) {
  GraphText g = unary(node("torch.ops.aten.sym_size.int", {arg("self", tensor("x")), arg("dim", R"({"as_int": 0})")}, {sym_int("n")}) + "," +
                      node("torch.ops.higher_order.cond",
                           {arg("", tensor("x")), graph_arg(yes), graph_arg(no), arg("", R"({"as_tensors": [{"name": "n"}, {"name": "x"}]})")}, {tensor("y")}));
  g.ints = named({{"n", kS0}});
  return g;
}

TEST(Graph, ScalarOperandsOfCondAreTheSameInside) {
  const auto program = load(file(conditional(branch("n", kS0), branch("m", kS0))));
  ASSERT_EQ(program.graph.nodes.size(), 1u);
  const auto& args = program.graph.nodes[0].args;
  EXPECT_EQ(std::get<std::vector<std::optional<ir::TensorName>>>(args[3].value).size(), 1u);
  for (const std::size_t i : {1u, 2u}) {
    const auto& graph = *std::get<std::shared_ptr<const ir::AtenGraph>>(args[i].value);
    ASSERT_EQ(graph.inputs.size(), 1u);
    EXPECT_EQ(std::get<ir::TensorName>(graph.inputs[0]).name, "a");
    EXPECT_EQ(std::get<Expr>(graph.nodes.at(0).args[1].value), Expr::symbol("s0"));
  }
  EXPECT_NE(refusal(conditional(branch("n", kS0), branch("m", kU0))).find("carries a symbolic number"), std::string::npos);
}

// ---- arguments

TEST(Graph, ArgumentsOfEveryKind) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"as_none": true})", "None"},
      {R"({"as_int": 9223372036854775807})", "9223372036854775807"},
      {R"({"as_ints": [1, -2]})", "[1, -2]"},
      {R"({"as_float": 0.5})", "0.5"},
      {R"({"as_float": "-Infinity"})", "-inf"},
      {R"({"as_floats": [1.5, 2]})", "[1.5, 2]"},
      {R"({"as_bool": true})", "True"},
      {R"({"as_bools": [true, false]})", "[True, False]"},
      {R"({"as_string": "sum"})", "\"sum\""},
      {R"({"as_strings": ["a", "b"]})", "[\"a\", \"b\"]"},
      {R"({"as_int_lists": [[1], [2, 3]]})", "[[1], [2, 3]]"},
      {R"({"as_scalar_type": 13})", "bf16"},
      {R"({"as_memory_format": 2})", "memory format 2"},
      {R"({"as_layout": 7})", "layout 7"},
      {R"({"as_device": {"type": "cuda", "index": 1}})", "cuda:1"},
      {R"({"as_device": {"type": "mps", "index": null}})", "cpu:0"},
      {R"({"as_complex": {"real": 1.5, "imag": 2}})", "1.5+2j"},
      {R"({"as_tensor": {"name": "x"}})", "x"},
      {R"({"as_tensors": [{"name": "x"}, {"name": "x"}]})", "[x, x]"},
      {R"({"as_optional_tensors": [{"as_tensor": {"name": "x"}}, {"as_none": true}]})", "[x, None]"},
      {R"({"as_optional_tensor": {"as_none": true}})", "None"},
      {R"({"as_sym_int": {"as_int": 4}})", "4"},
      {R"({"as_sym_int": {"as_name": "n"}})", "s0"},
      {R"({"as_sym_float": {"as_float": 2.5}})", "2.5"},
      {R"({"as_sym_floats": [{"as_float": 2.5}, {"as_float": 3.5}]})", "[2.5, 3.5]"},
      {R"({"as_sym_bool": {"as_bool": false}})", "False"},
      {R"({"as_sym_bools": [{"as_bool": false}]})", "[False]"},
      {R"({"as_sym_ints": [{"as_name": "n"}, {"as_int": 2}]})", "[s0, 2]"},
      {R"({"as_operator": "aten.add"})", "\"aten.add\""},
  };
  for (const auto& [json, want] : rows) {
    GraphText g = unary(node("torch.ops.aten.f.default", {arg("a", json)}, {tensor("y")}));
    g.ints = named({{"n", kS0}});
    EXPECT_EQ(ir::str(load(file(g)).graph.nodes.at(0).args.at(0).value), want) << json;
  }
}

TEST(Graph, ResultsOfEveryKind) {
  const auto print = [](std::initializer_list<std::string> outputs) {
    GraphText g = unary(node("torch.ops.aten.f.default", {arg("a", tensor("x"))}, outputs));
    const std::string text = ir::print(load(file(g)).graph);
    return text.substr(text.find('\n') + 1);
  };
  EXPECT_EQ(print({tensor("y")}), "y: f32[s0, 3] = aten.f.default(a=x)\nreturn \n");
  EXPECT_EQ(print({R"({"as_tensors": [{"name": "y"}, {"name": "z"}]})"}), "[y: f32[s0, 3], z: f32[s0, 3]] = aten.f.default(a=x)\nreturn \n");
  EXPECT_EQ(print({tensor("y"), R"({"as_none": true})"}), "y: f32[s0, 3], None = aten.f.default(a=x)\nreturn \n");
  EXPECT_EQ(print({R"({"as_optional_tensor": {"as_tensor": {"name": "y"}}})"}), "y: f32[s0, 3] = aten.f.default(a=x)\nreturn \n");
  EXPECT_EQ(print({tensor("f_unused_1")}), "None = aten.f.default(a=x)\nreturn \n");
}

TEST(Graph, RefusesWhatItCannotHold) {
  EXPECT_NE(refusal(unary(node("torch.ops.aten.f.default", {arg("a", R"({"as_custom_obj": {"name": "o", "class_fqn": "c"}})")}, {})))
                .find("not supported (got as_custom_obj)"),
            std::string::npos);
  EXPECT_NE(refusal(unary(node("torch.ops.aten.f.default", {arg("a", R"({"as_scalar_type": 10})")}, {}))).find("the dtype complex64"), std::string::npos);
  EXPECT_NE(refusal(unary(node("torch.ops.aten.f.default", {}, {R"({"as_custom_obj": {"name": "o", "class_fqn": "c"}})"})))
                .find("a result of a kind that is not supported"),
            std::string::npos);
  GraphText g = unary("");
  g.tensors = named({{"x", meta({}, 29)}});
  EXPECT_NE(refusal(g).find("the tensor 'x' is of float8_e4m3fn"), std::string::npos);
}

TEST(Graph, RefusesWhatIsInconsistent) {
  const auto f = [](std::initializer_list<std::string> args, std::initializer_list<std::string> outputs) {
    return refusal(unary(node("torch.ops.aten.f.default", args, outputs)));
  };
  EXPECT_NE(f({arg("a", tensor("y"))}, {}).find("is used before it is defined"), std::string::npos);
  EXPECT_NE(f({arg("a", tensor("nothing"))}, {}).find("is used before it is defined"), std::string::npos);
  EXPECT_NE(f({}, {tensor("y"), tensor("y")}).find("is defined twice"), std::string::npos);
  EXPECT_NE(f({}, {tensor("x")}).find("is defined twice"), std::string::npos);
  EXPECT_NE(f({arg("a", sym_int("n"))}, {}).find("names no symbolic value"), std::string::npos);
  EXPECT_NE(f({arg("a", R"({"as_int": 1, "as_bool": true})")}, {}).find("graph_module.graph.nodes[0].inputs[0].arg"), std::string::npos);
  EXPECT_NE(f({arg("a", R"({"as_int": "1"})")}, {}).find("graph_module.graph.nodes[0].inputs[0].arg.as_int"), std::string::npos);
  GraphText g = unary("");
  g.inputs = list({tensor("w")});
  EXPECT_NE(refusal(g).find("has no entry in tensor_values"), std::string::npos);
  g = unary("");
  g.tensors = named({{"x", R"({"dtype": 7, "sizes": [{"as_int": 1}], "strides": []})"}});
  EXPECT_NE(refusal(g).find("another number of strides"), std::string::npos);
  g = unary(node("torch.ops.higher_order.wrap_with_set_grad_enabled", {arg("", R"({"as_bool": false})")}, {}));
  EXPECT_NE(refusal(g).find("has no graph"), std::string::npos);
}

TEST(Graph, SubgraphsNestOnlySoDeep) {
  std::string text = unary(relu("x", "y")).str();
  for (int i = 0; i < 20; ++i) {
    GraphText g = unary(node("torch.ops.higher_order.cond", {arg("", fmt::format(R"({{"as_graph": {{"name": "g", "graph": {}}}}})", text))}, {}));
    text = g.str();
  }
  const auto specs = list({fmt::format(R"({{"user_input": {{"arg": {}}}}})", tensor("x"))});
  EXPECT_EQ(load(make_pt2(text, specs, "[]")).graph.nodes.size(), 1u);
  import::Limits limits;
  limits.max_nesting = 10;
  EXPECT_NE(testing_support::refusal(make_pt2(text, specs, "[]"), limits).find("nests too deeply"), std::string::npos);
  limits = {};
  limits.max_nodes = 10;
  EXPECT_NE(testing_support::refusal(make_pt2(text, specs, "[]"), limits).find("more nodes than are read"), std::string::npos);
}

TEST(SourceLine, IsTheInnermostOutsidePyTorch) {
  EXPECT_EQ(
      import::source_line(
          "File \"a/model.py\", line 61, in forward\n    h = f(x)\n  File \"lib/torch/nn/modules/sparse.py\", line 189, in forward\n    return F.embedding("),
      "model.py:61, in forward: h = f(x)");
  EXPECT_EQ(import::source_line("  File \"a/outer.py\", line 1, in f\n    g()\n  File \"a/inner.py\", line 2, in g\n    x.sum()\n"),
            "inner.py:2, in g: x.sum()");
  EXPECT_EQ(import::source_line("File \"lib/torch/nn/linear.py\", line 9, in forward\n    return y"), "linear.py:9, in forward: return y");
  EXPECT_EQ(import::source_line("File \"m.py\", line 7, in f\n  File \"<eval_with_key>.2\", line 1, in g\n    x"), "m.py:7, in f");
  EXPECT_EQ(import::source_line(""), "");
  EXPECT_EQ(import::source_line("File \"never closed"), "");
}

}  // namespace
}  // namespace reprise
