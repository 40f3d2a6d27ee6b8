// The driver, on small programs written by hand and a registry of four rows.
#include "ops/convert.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "reprise/error.h"

namespace reprise::ops {
namespace {

using core::Op;
using core::ScalarOp;
using ir::AtenNode;
using ir::TensorName;
using sym::Expr;
using sym::Shape;

Registry registry() {
  Registry r;
  r.add(
      {.schema = "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
       .convert = [](Context& c) { c.set(0, c.build().binary(ScalarOp::add, c.tensor("self"), c.build().cast(c.tensor("other"), c.tensor("self").dtype()))); },
       .validate = {}});
  r.add({.schema = "aten::exp(Tensor self) -> Tensor",
         .convert = [](Context& c) { c.set(0, c.build().unary(ScalarOp::exp, c.tensor("self"))); },
         .validate = {}});
  r.add({.schema = "aten::select.int(Tensor(a) self, int dim, SymInt index) -> Tensor(a)",
         .convert = [](Context& c) { c.set(0, c.build().select(c.tensor("self"), static_cast<int>(c.fixed("dim")), c.integer("index"))); },
         .validate = {}});
  r.add({.schema = "higher_order::wrap(bool flag, body)",
         .convert =
             [](Context& c) {
               std::vector<ir::Val> operands;
               for (std::size_t i = 2; i < c.node().args.size(); ++i) operands.push_back(c.tensor(std::to_string(i)));
               c.set_all(c.inline_graph(*std::get<std::shared_ptr<const ir::AtenGraph>>(c.arg("body")), operands));
             },
         .validate = {}});
  return r;
}

class Programs : public testing::Test {
 protected:
  void tensor(const std::string& name, Shape sizes, DType dtype = DType::f32) { p_.graph.tensors[name] = {dtype, std::move(sizes), {}, 0}; }
  void user(const std::string& name, Shape sizes, DType dtype = DType::f32) {
    tensor(name, std::move(sizes), dtype);
    p_.inputs.push_back({ir::InputKind::user, name, {}, true, {}});
    p_.graph.inputs.push_back(TensorName{name});
  }
  void buffer(const std::string& name, Tensor data) {
    tensor(name, {data.sizes().begin(), data.sizes().end()}, data.dtype());
    p_.inputs.push_back({ir::InputKind::buffer, name, "m." + name, true, {}});
    p_.graph.inputs.push_back(TensorName{name});
    p_.tensors["m." + name] = {"m." + name, std::move(data)};
  }
  AtenNode& node(std::string target, std::vector<ir::NamedArg> args, const std::string& out, Shape sizes = {2}) {
    if (!p_.graph.tensors.contains(out)) tensor(out, std::move(sizes));
    p_.graph.nodes.push_back({std::move(target), std::move(args), {TensorName{out}}, {out, "model.py:7, in forward"}});
    return p_.graph.nodes.back();
  }
  void result(const std::string& name, ir::OutputKind kind = ir::OutputKind::user, std::string target = {}) {
    p_.outputs.push_back({kind, std::move(target)});
    p_.graph.outputs.push_back(TensorName{name});
  }
  ir::Graph converted(const Assignment& assignment = {}) const {
    ir::Graph g = convert(p_, registry(), assignment);
    ir::verify(g);
    return g;
  }
  template <class Kind>
  std::string message() const {
    try {
      (void)convert(p_, registry(), {});
    } catch (const Kind& e) {
      return e.what();
    }
    return "nothing was thrown";
  }
  static Tensor ramp(std::int64_t n) {
    Tensor t = Tensor::empty(std::span(&n, 1), DType::f32);
    for (std::int64_t i = 0; i < n; ++i) t.data_as<float>()[i] = static_cast<float>(i);
    return t;
  }

  ir::Program p_;
};

TEST_F(Programs, NodesBecomeCoreNodesWithTheirSource) {
  user("x", {2});
  node("aten.add.Tensor", {{"self", TensorName{"x"}}, {"other", Expr(3)}}, "y");
  result("y");
  p_.outputs.push_back({ir::OutputKind::user, {}});
  p_.graph.outputs.emplace_back(Expr::symbol("s0") * 2);
  p_.symbols.add({"s0", {}, false, {}});
  const auto g = converted({.segment = {1}, .segments = {{}, {false, "asked for"}}});
  const auto& last = g.body.nodes.back();
  EXPECT_EQ(last.op, Op::pointwise);
  EXPECT_EQ(last.name, "y");
  EXPECT_EQ(last.trace, "model.py:7, in forward");
  EXPECT_EQ(last.segment, 1);
  ASSERT_EQ(g.results.size(), 2u);
  EXPECT_EQ(g.at(g.results[0].value).name, "y");
  EXPECT_EQ(g.results[1].kind, ir::Result::Kind::integer);
  EXPECT_EQ(g.results[1].scalar.str(), "2*s0");
}

TEST_F(Programs, TheExportersSizesAreAdopted) {
  p_.symbols.add({"s0", {}, false, {}});
  p_.symbols.add({"s1", {}, false, {}});
  user("x", {Expr::symbol("s0")});
  node("aten.exp.default", {{"self", TensorName{"x"}}}, "y", {Expr::symbol("s1") * 2});
  result("y");
  const auto g = converted();
  EXPECT_EQ(g.at(g.results[0].value).kind, ir::ValueKind::node) << "a new root takes the sizes itself";
  EXPECT_EQ(sym::str(g.at(g.results[0].value).sizes), "[2*s1]");
}

TEST_F(Programs, DisagreementWithTheExporterIsAnError) {
  user("x", {2});
  node("aten.exp.default", {{"self", TensorName{"x"}}}, "y", {3});
  result("y");
  EXPECT_EQ(message<ShapeError>(), "[ops/aten.exp.default] result 'y' has the wrong sizes (got [2], want [3]), node 'y' at model.py:7, in forward");
  tensor("y", {2}, DType::f64);
  EXPECT_EQ(message<InvalidArgument>(), "[ops/aten.exp.default] result 'y' has the wrong dtype (got f32, want f64), node 'y' at model.py:7, in forward");
}

TEST_F(Programs, BadArgumentsAreNamed) {
  user("x", {2});
  auto& n = node("aten.exp.default", {{"self", TensorName{"x"}}, {"spin", Expr(1)}}, "y");
  result("y");
  EXPECT_NE(message<InvalidArgument>().find("unknown argument 'spin'"), std::string::npos);
  n.args = {};
  EXPECT_NE(message<InvalidArgument>().find("argument 'self' is missing"), std::string::npos);
  n.args = {{"self", std::string("x")}};
  EXPECT_NE(message<InvalidArgument>().find("argument 'self' is not a number"), std::string::npos);
  n.args = {{"", TensorName{"x"}}};
  EXPECT_EQ(converted().body.nodes.size(), 1u) << "positional arguments go by order";
  n.args = {{"", TensorName{"z"}}};
  EXPECT_NE(message<InvalidArgument>().find("'z' is read, but nothing produces it"), std::string::npos);
}

TEST_F(Programs, MissingConvertersAreListedAtOnce) {
  user("x", {2});
  for (const char* target : {"aten.foo.default", "aten.bar.default", "aten.foo.default"}) node(target, {{"self", TensorName{"x"}}}, "y");
  auto nested = std::make_shared<ir::AtenGraph>();
  nested->nodes.push_back({"aten.baz.default", {}, {}, {"n", ""}});
  node("higher_order.wrap", {{"", true}, {"", std::shared_ptr<const ir::AtenGraph>(nested)}}, "z");
  p_.graph.nodes.push_back({"_operator.mul", {}, {ir::SymOutput{"m", Expr(6)}}, {"m", ""}});
  EXPECT_EQ(missing_converters(p_, registry()),
            (std::vector<std::string>{"aten.foo.default (model.py:7, in forward)", "aten.bar.default (model.py:7, in forward)", "aten.baz.default"}));
  EXPECT_EQ(message<UnsupportedOp>(),
            "[ops/convert] no converter takes aten.foo.default (model.py:7, in forward); aten.bar.default (model.py:7, in forward); aten.baz.default");
}

TEST_F(Programs, InPlaceOpsWriteToTheirRoot) {
  buffer("b", ramp(4));
  user("x", {});
  node("aten.select.int", {{"self", TensorName{"b"}}, {"dim", Expr(0)}, {"index", Expr(1)}}, "s", {});
  node("aten.add_.Tensor", {{"self", TensorName{"s"}}, {"other", TensorName{"x"}}}, "t", {});
  result("t");
  const auto g = converted();
  EXPECT_EQ(g.body.nodes.back().op, Op::write);
  ASSERT_EQ(g.states.size(), 1u);
  EXPECT_EQ(g.states[0].name, "m.b");
  EXPECT_EQ(g.states[0].final, ir::kNoValue);
  EXPECT_TRUE(g.constants.empty());
  EXPECT_EQ(g.root_of(g.results[0].value).kind, ir::ValueKind::state);
  EXPECT_EQ(g.at(g.results[0].value).offset, Expr(1));
}

TEST_F(Programs, StoredResultsMustBeCastable) {
  user("i", {2}, DType::i64);
  user("x", {2});
  tensor("y", {2}, DType::i64);
  node("aten.exp.out", {{"self", TensorName{"x"}}, {"out", TensorName{"i"}}}, "y");
  result("y");
  EXPECT_NE(message<InvalidArgument>().find("a result of f32 cannot be stored in i64"), std::string::npos);
}

TEST_F(Programs, MutatedInputsAreStatesWithAnInput) {
  user("n", {2});
  user("x", {2});
  node("aten.exp_.default", {{"self", TensorName{"x"}}}, "y");
  result("y");
  const auto g = converted();
  ASSERT_EQ(g.states.size(), 1u);
  EXPECT_EQ(g.states[0].input, 1);
  EXPECT_EQ(g.states[0].value, g.inputs[1]);
  EXPECT_EQ(g.results[0].value, g.inputs[1]);
}

TEST_F(Programs, OutFormsWriteToOut) {
  user("x", {2});
  user("o", {2});
  user("e", {0});
  node("aten.exp.out", {{"self", TensorName{"x"}}, {"out", TensorName{"o"}}}, "y");
  node("aten.exp.out", {{"self", TensorName{"x"}}, {"out", TensorName{"e"}}}, "z");
  result("y");
  result("z");
  const auto g = converted();
  EXPECT_EQ(g.results[0].value, g.inputs[1]);
  EXPECT_EQ(g.at(g.results[1].value).kind, ir::ValueKind::node) << "an empty out is resized: new memory";
}

TEST_F(Programs, DeclaredMutationsAreFinalValues) {
  buffer("b", ramp(2));
  user("x", {2});
  node("aten.exp.default", {{"self", TensorName{"x"}}}, "y");
  result("y", ir::OutputKind::buffer_mutation, "m.b");
  result("y", ir::OutputKind::user_input_mutation, "x");
  result("y");
  const auto g = converted();
  ASSERT_EQ(g.states.size(), 2u);
  for (const auto& s : g.states) EXPECT_EQ(s.final, g.results[0].value);
}

TEST_F(Programs, TiedWeightsAreOneConstant) {
  const Tensor shared = ramp(4);
  buffer("a", shared);
  buffer("b", shared);
  const std::int64_t sizes[] = {2, 2}, strides[] = {1, 2};
  buffer("t", shared.as_strided(sizes, strides));
  node("aten.exp.default", {{"self", TensorName{"b"}}}, "y", {4});
  node("aten.exp.default", {{"self", TensorName{"t"}}}, "z", {2, 2});
  result("y");
  result("z");
  const auto g = converted();
  EXPECT_EQ(g.constants.size(), 1u);
  EXPECT_EQ(g.at(g.body.nodes[1].inputs[0]).strides, (Shape{1, 2}));
}

TEST_F(Programs, WeightsThatShareMutatedMemoryAreViewsOfOneState) {
  const Tensor shared = ramp(6);
  const std::int64_t four[] = {4}, three[] = {3}, one[] = {1};
  buffer("a", shared.as_strided(four, one, 0));
  buffer("b", shared.as_strided(three, one, 3));
  buffer("c", ramp(4));
  node("aten.exp_.default", {{"self", TensorName{"a"}}}, "y", {4});
  node("aten.exp.default", {{"self", TensorName{"b"}}}, "z", {3});
  node("aten.exp.default", {{"self", TensorName{"c"}}}, "w", {4});
  result("z");
  result("w");
  const auto g = converted();
  ASSERT_EQ(g.states.size(), 1u);
  EXPECT_EQ(g.states[0].initial.numel(), 6);
  ASSERT_EQ(g.constants.size(), 1u);
  EXPECT_EQ(g.constants[0].name, "m.c");
  const auto& b = g.at(g.body.nodes[2].inputs[0]);
  EXPECT_EQ(b.root, g.states[0].value);
  EXPECT_EQ(b.offset, Expr(3));
}

TEST_F(Programs, DeclaredMutationsOfSharedMemoryAreWrites) {
  const Tensor shared = ramp(6);
  const std::int64_t two[] = {2}, three[] = {3}, one[] = {1};
  buffer("a", shared.as_strided(two, one, 0));
  buffer("b", shared.as_strided(three, one, 1));
  user("x", {2});
  result("x", ir::OutputKind::buffer_mutation, "m.a");
  result("b");
  const auto g = converted();
  ASSERT_EQ(g.states.size(), 1u);
  EXPECT_EQ(g.states[0].final, ir::kNoValue);
  EXPECT_EQ(g.body.nodes.back().op, Op::write);
}

TEST_F(Programs, NestedGraphsSeeOnlyTheirNames) {
  user("x", {2});
  auto body = std::make_shared<ir::AtenGraph>();
  body->inputs = {TensorName{"a"}};
  body->tensors["a"] = body->tensors["y"] = {DType::f32, {2}, {}, 0};
  body->nodes.push_back({"aten.exp.default", {{"self", TensorName{"a"}}}, {TensorName{"y"}}, {"inner", ""}});
  body->outputs = {TensorName{"y"}};
  node("higher_order.wrap", {{"", true}, {"", std::shared_ptr<const ir::AtenGraph>(body)}, {"", TensorName{"x"}}}, "y");
  result("y");
  const auto g = converted();
  EXPECT_EQ(g.body.nodes.back().name, "inner");
  body->nodes[0].args = {{"self", TensorName{"x"}}};
  EXPECT_NE(message<InvalidArgument>().find("'x' is read"), std::string::npos);
}

}  // namespace
}  // namespace reprise::ops
