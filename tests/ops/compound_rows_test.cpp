// Rows that make more than one node: what they are made of, and what they must not copy. Their values are compared with PyTorch's in tests/models.
#include <algorithm>
#include <string>
#include <vector>

#include "ops/one_node.h"
#include "reprise/error.h"

namespace reprise::ops {
namespace {

using core::Op;
using sym::Expr;
using enum DType;

Expr s0() { return Expr::symbol("s0"); }
Expr u0() { return Expr::symbol("u0"); }

/// The ops of a region's nodes, nested ones in parentheses: "fill while_loop(pointwise | index pointwise)".
std::string ops_of(const ir::Region& region) {
  std::string out;
  for (const auto& node : region.nodes) {
    if (!out.empty()) out += ' ';
    out += core::name(node.op);
    for (std::size_t i = 0; i < node.regions.size(); ++i) out += (i == 0 ? "(" : " | ") + ops_of(node.regions[i]) + (i + 1 == node.regions.size() ? ")" : "");
  }
  return out;
}

std::size_t count(const ir::Graph& graph, Op op) {
  std::size_t n = 0;
  ir::for_each_node(graph.body.nodes, [&](const ir::Node& node) { n += node.op == op; });
  return n;
}

const ir::Node& only(const ir::Graph& graph, Op op) {
  const auto& nodes = graph.body.nodes;
  const auto at = std::find_if(nodes.begin(), nodes.end(), [&](const ir::Node& n) { return n.op == op; });
  EXPECT_NE(at, nodes.end()) << core::name(op);
  return *at;
}

// ---- einsum ----

struct Einsum {
  std::string equation;
  std::vector<sym::Shape> operands;
  sym::Shape result;
  std::string ops;
};

class Einsums : public testing::TestWithParam<Einsum> {};

TEST_P(Einsums, UseTheFewestNodes) {
  const Einsum& p = GetParam();
  std::vector<std::pair<DType, sym::Shape>> tensors;
  for (const auto& sizes : p.operands) tensors.emplace_back(f32, sizes);
  const auto graph = OneNode("aten.einsum.default").arg("equation", p.equation).tensors("tensors", tensors).output(f32, p.result).convert();
  EXPECT_NO_THROW(ir::verify(graph));
  EXPECT_EQ(ops_of(graph.body), p.ops);
}

INSTANTIATE_TEST_SUITE_P(Equations, Einsums,
                         testing::Values(Einsum{"ij,jk->ik", {{2, 3}, {3, 4}}, {2, 4}, "matmul"}, Einsum{"ij,jk", {{2, 3}, {3, 4}}, {2, 4}, "matmul"},
                                         Einsum{"bij, bjk -> bik", {{s0(), 2, 3}, {s0(), 3, 4}}, {s0(), 2, 4}, "matmul"},
                                         // 6 joins the columns, since the first operand lacks it: one copy, then products that are six times as large.
                                         Einsum{"...ij,...kj->...ik", {{5, 2, 3}, {6, 5, 4, 3}}, {6, 5, 2, 4}, "copy matmul"},
                                         Einsum{"ij->ji", {{2, 3}}, {3, 2}, ""}, Einsum{"ii->i", {{3, 3}}, {3}, ""},
                                         Einsum{"bii->b", {{2, 3, 3}}, {2}, "reduce"}, Einsum{"i,j->ij", {{2}, {3}}, {2, 3}, "pointwise"},
                                         Einsum{"ij,ij->i", {{2, 3}, {2, 3}}, {2}, "matmul"},
                                         Einsum{"ab,cd->bd", {{2, 3}, {4, 5}}, {3, 5}, "reduce reduce pointwise"},
                                         Einsum{"ij,jk,kl->il", {{2, 3}, {3, 4}, {4, 5}}, {2, 5}, "matmul matmul"}));

// A file that says another dtype than the row gives is refused: these convert with PyTorch's.
TEST(Einsum, SumsOneIntegerOperandToI64) {
  const auto convert = [](const char* equation, const std::vector<sym::Shape>& operands, DType result, const sym::Shape& sizes) {
    std::vector<std::pair<DType, sym::Shape>> tensors;
    for (const auto& s : operands) tensors.emplace_back(i32, s);
    return OneNode("aten.einsum.default").arg("equation", std::string(equation)).tensors("tensors", tensors).output(result, sizes).convert();
  };
  EXPECT_NO_THROW(convert("ij->i", {{2, 3}}, i64, {2}));
  EXPECT_NO_THROW(convert("ij,k->ik", {{2, 3}, {4}}, i64, {2, 4}));
  EXPECT_NO_THROW(convert("ij,jk->ik", {{2, 3}, {3, 4}}, i32, {2, 4}));
  EXPECT_NO_THROW(convert("i,j->ij", {{2}, {3}}, i32, {2, 3}));
}

TEST(Tensordot, KeepsItsDType) {
  const auto node = [](const sym::Shape& other) {
    const std::vector<Expr> last{1}, first{0};
    return OneNode("aten.tensordot.default")
        .tensor("self", i32, {2, 3})
        .tensor("other", i32, other)
        .arg("dims_self", last)
        .arg("dims_other", first)
        .output(i32, {2, 4});
  };
  EXPECT_NO_THROW(node({3, 4}).convert());
  EXPECT_NO_THROW(node({1, 4}).convert());  // 3 against 1: the first operand is summed by itself
}

TEST(Einsum, RefusesOperandsOfAnotherRank) {
  auto node = OneNode("aten.einsum.default").arg("equation", std::string("ij,jk->ik")).tensors("tensors", {{f32, {2, 3}}, {f32, {3}}}).output(f32, {2, 4});
  EXPECT_THROW(node.convert(), ShapeError);
}

TEST(Linear, MultipliesAllRowsAtOnce) {
  const auto graph = OneNode("aten.linear.default")
                         .tensor("input", f32, {s0(), 7, 5})
                         .tensor("weight", f32, {4, 5})
                         .tensor("bias", f32, {4})
                         .output(f32, {s0(), 7, 4})
                         .convert();
  ASSERT_EQ(ops_of(graph.body), "matmul");
  EXPECT_EQ(sym::str(graph.at(graph.body.nodes[0].outputs[0]).sizes), "[7*s0, 4]");
}

TEST(Addmm, IsOneProductWithoutFactors) {
  const auto make = [](double beta) {
    return OneNode("aten.addmm.default")
        .tensor("self", f32, {4})
        .tensor("mat1", f32, {2, 3})
        .tensor("mat2", f32, {3, 4})
        .arg("beta", beta)
        .output(f32, {2, 4})
        .convert();
  };
  EXPECT_EQ(ops_of(make(1).body), "matmul");
  EXPECT_EQ(ops_of(make(0.5).body), "matmul pointwise");
  EXPECT_EQ(ops_of(make(0).body), "matmul");  // self is not read, whatever it holds
}

// ---- attention ----

TEST(Attention, SharesKeyHeadsWithoutCopies) {
  const auto graph = OneNode("aten.scaled_dot_product_attention.default")
                         .tensor("query", f32, {2, 6, s0(), 8})
                         .tensor("key", f32, {2, 3, s0(), 8})
                         .tensor("value", f32, {2, 3, s0(), 8})
                         .tensor("attn_mask", boolean, {2, 1, s0(), s0()})
                         .arg("enable_gqa", true)
                         .output(f32, {2, 6, s0(), 8})
                         .convert();
  ASSERT_EQ(ops_of(graph.body), "attention");
  EXPECT_EQ(sym::str(graph.at(graph.body.nodes[0].outputs[0]).sizes), "[2, 3, 2, s0, 8]");
}

// ---- index ----

struct Indexed {
  std::vector<std::optional<sym::Shape>> indices;  // nullopt: a whole dimension
  sym::Shape result;
  std::int64_t position;
};

class Indices : public testing::TestWithParam<Indexed> {};

TEST_P(Indices, StandWherePyTorchPutsThem) {
  const Indexed& p = GetParam();
  std::vector<std::optional<std::pair<DType, sym::Shape>>> list;
  for (const auto& i : p.indices) list.push_back(i ? std::optional(std::pair(i64, *i)) : std::nullopt);
  const auto graph = OneNode("aten.index.Tensor").tensor("self", f32, {4, 5, 6}).tensors_or_none("indices", list).output(f32, p.result).convert();
  EXPECT_EQ(only(graph, Op::index).attrs.fixed("position"), p.position);
}

INSTANTIATE_TEST_SUITE_P(Lists, Indices,
                         testing::Values(Indexed{{{{2, 3}}}, {2, 3, 5, 6}, 0}, Indexed{{std::nullopt, {{2}}, {{2}}}, {4, 2}, 1},
                                         Indexed{{{{2}}, std::nullopt, {{2}}}, {2, 5}, 0}, Indexed{{std::nullopt, std::nullopt, {{7}}}, {4, 5, 7}, 2}));

TEST(IndexPut, NeedsNoCountForAMask) {
  for (const sym::Shape& values : {sym::Shape{}, sym::Shape{6}, sym::Shape{u0(), 6}}) {
    const auto graph = OneNode("aten.index_put.default")
                           .tensor("self", f32, {4, 5, 6})
                           .tensors("indices", {{boolean, {4, 5}}})
                           .tensor("values", f32, values)
                           .output(f32, {4, 5, 6})
                           .convert();
    EXPECT_EQ(count(graph, Op::nonzero), 0u) << sym::str(values);
  }
}

TEST(Index, TakesTheCountOfAMaskFromTheFile) {
  const auto graph = OneNode("aten.index.Tensor").tensor("self", f32, {4, 5, 6}).tensors("indices", {{boolean, {4, 5}}}).output(f32, {u0(), 6}).convert();
  EXPECT_EQ(only(graph, Op::nonzero).defines, std::vector<std::string>{"u0"});
}

// ---- loops ----

ir::Graph gru(const Expr& steps) {
  return OneNode("aten.gru.input")
      .tensor("input", f32, {steps, 2, 3})
      .tensor("hx", f32, {1, 2, 4})
      .tensors("params", {{f32, {12, 3}}, {f32, {12, 4}}, {f32, {12}}, {f32, {12}}})
      .arg("has_biases", true)
      .arg("num_layers", Expr(1))
      .arg("dropout", 0.0)
      .arg("train", false)
      .arg("bidirectional", false)
      .arg("batch_first", false)
      .output(f32, {steps, 2, 4})
      .output(f32, {1, 2, 4})
      .convert();
}

TEST(Recurrent, ShortLoopsAreUnrolled) { EXPECT_EQ(ops_of(gru(2).body), "matmul matmul pointwise matmul pointwise concat copy"); }

TEST(Recurrent, OthersAreWhileNodes) {
  for (const Expr& steps : {Expr(1000), s0()}) {
    const auto graph = gru(steps);
    EXPECT_NO_THROW(ir::verify(graph));
    ASSERT_EQ(count(graph, Op::while_loop), 1u);
    EXPECT_EQ(only(graph, Op::while_loop).regions.size(), 2u);
    EXPECT_EQ(count(graph, Op::matmul), 2u);  // the input's share outside, the hidden one inside
  }
}

// ---- state ----

TEST(BatchNorm, WritesItsStatisticsInTraining) {
  const auto make = [](bool training) {
    return OneNode("aten.batch_norm.default")
        .tensor("input", f32, {s0(), 3, 5, 5})
        .tensor("weight", f32, {3})
        .tensor("bias", f32, {3})
        .tensor("running_mean", f32, {3})
        .tensor("running_var", f32, {3})
        .arg("training", training)
        .arg("momentum", 0.1)
        .arg("eps", 1e-5)
        .arg("cudnn_enabled", true)
        .output(f32, {s0(), 3, 5, 5})
        .convert();
  };
  EXPECT_EQ(ops_of(make(false).body), "norm");
  EXPECT_EQ(count(make(true), Op::write), 2u);
}

TEST(Dropout, IsNothingInEvaluation) {
  const auto make = [](const char* target, const char* operand, bool train) {
    return ops_of(OneNode(target).tensor(operand, f32, {4}).arg("p", 0.5).arg("train", train).output(f32, {4}).convert().body);
  };
  EXPECT_EQ(make("aten.dropout.default", "input", false), "");
  EXPECT_EQ(make("aten.dropout_.default", "self", false), "");
  EXPECT_EQ(make("aten.dropout.default", "input", true), "random pointwise");
  EXPECT_EQ(make("aten.dropout_.default", "self", true), "random pointwise write");
}

// ---- checks ----

TEST(AssertScalar, StaysWhenDataDecides) {
  const auto make = [](const Expr& condition) {
    return count(OneNode("aten._assert_scalar.default").arg("self", condition).arg("assert_msg", std::string("no")).convert(), Op::check);
  };
  EXPECT_EQ(make(sym::compare(sym::Op::ge, s0(), 2)), 0u);  // s0's range is checked when a call begins
  EXPECT_EQ(make(sym::compare(sym::Op::ge, s0(), 3)), 1u);
  EXPECT_EQ(make(sym::compare(sym::Op::ge, u0(), 0)), 0u);  // no node of the program yields u0: only the exporter knew it
}

TEST(Sizes, NamedByTheExporterAloneAreDefined) {
  const auto graph =
      OneNode("aten.slice.Tensor").tensor("self", f32, {10}).arg("start", Expr(0)).arg("end", s0()).arg("step", Expr(1)).output(f32, {u0()}).convert();
  EXPECT_EQ(ops_of(graph.body), "fill item");
  EXPECT_EQ(graph.body.nodes[1].defines, std::vector<std::string>{"u0"});
}

TEST(TensorSplit, BoundsFromDataMayCountFromTheEnd) {
  const auto graph = OneNode("aten.tensor_split.tensor_indices_or_sections")
                         .tensor("self", f32, {10})
                         .tensor("tensor_indices_or_sections", i64, {1})
                         .as_list()
                         .output(f32, {u0()})
                         .output(f32, {10 - u0()})
                         .convert();
  EXPECT_NO_THROW(ir::verify(graph));
  const auto& bound = graph.symbols.at(graph.symbols.find(only(graph, Op::item).defines.at(0)));
  EXPECT_LT(bound.range.min, 0) << bound.name;
}

}  // namespace
}  // namespace reprise::ops
