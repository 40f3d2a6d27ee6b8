#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>

#include "ops/one_node.h"
#include "reprise/error.h"

namespace reprise::ops {
namespace {

using sym::Expr;
using enum DType;

Expr s0() { return Expr::symbol("s0"); }

TEST(Rows, CoverEveryTargetSeenInPrograms) {
  std::ifstream file(REPRISE_TEST_MODELS "/op_targets.txt");
  ASSERT_TRUE(file);
  std::string line, missing;
  int count = 0;
  while (std::getline(file, line)) {
    const std::string target = line.substr(0, line.find(' '));
    ir::AtenNode node;
    node.target = target;
    node.outputs = {ir::SymOutput{"x", Expr::symbol("u0")}};
    if (is_scalar_arithmetic(node)) continue;
    ++count;
    if (Registry::builtin().find(target) == nullptr) missing += target + " ";
  }
  EXPECT_GT(count, 300);
  EXPECT_EQ(missing, "");
}

// ---- slices ----

struct Slice {
  Expr size;
  ir::Arg start, end;
  std::int64_t step;
  std::string length, offset;
};

class Slices : public testing::TestWithParam<Slice> {};

TEST_P(Slices, ClampTheirBounds) {
  const Slice& p = GetParam();
  const auto graph = OneNode("aten.slice.Tensor")
                         .tensor("self", f32, {p.size})
                         .arg("start", p.start)
                         .arg("end", p.end)
                         .arg("step", Expr(p.step))
                         .output(f32, {Expr::symbol("u0")})
                         .convert();
  // The exporter's u0 replaces whatever size we compute, so that is read off the value it was made from: the view before it.
  const auto& values = graph.values;
  const auto first_view = std::find_if(values.begin(), values.end(), [](const ir::Value& v) { return v.kind == ir::ValueKind::view; });
  if (p.length == "whole") {
    EXPECT_EQ(result(graph).root, graph.inputs[0]);
    return;
  }
  ASSERT_NE(first_view, values.end());
  EXPECT_EQ(first_view->sizes[0].str(), p.length);
  EXPECT_EQ(first_view->offset.str(), p.offset);
  EXPECT_EQ(first_view->strides[0].str(), std::to_string(p.step));
  // Nothing is copied: the only nodes give u0 its value.
  for (const auto& node : graph.body.nodes) EXPECT_TRUE(node.op == core::Op::fill || node.op == core::Op::item) << core::name(node.op);
}

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

INSTANTIATE_TEST_SUITE_P(Bounds, Slices,
                         testing::Values(Slice{10, Expr(2), Expr(kHuge), 1, "8", "2"}, Slice{10, Expr(-3), Expr(kHuge), 1, "3", "7"},
                                         Slice{10, Expr(-30), Expr(-8), 1, "2", "0"}, Slice{10, Expr(8), Expr(3), 1, "0", "0"},
                                         Slice{10, Expr(20), Expr(kHuge), 1, "0", "0"}, Slice{10, Expr(1), Expr(8), 3, "3", "1"},
                                         Slice{s0(), Expr(1), Expr(kHuge), 1, "s0 - 1", "1"}, Slice{s0(), Expr(-1), Expr(kHuge), 1, "1", "s0 - 1"},
                                         Slice{s0(), Expr(0), Expr(-1), 1, "s0 - 1", "0"}, Slice{s0(), ir::None{}, Expr(4), 1, "min(4, s0)", "0"},
                                         Slice{s0(), ir::None{}, Expr(100), 1, "s0", "0"}));

TEST(Views, SelectCountsFromTheEndOfASymbolicSize) {
  const auto graph = OneNode("aten.select.int").tensor("self", f32, {3, s0()}).arg("dim", Expr(1)).arg("index", Expr(-1)).output(f32, {3}).convert();
  EXPECT_EQ(result(graph).offset.str(), "s0 - 1");
  EXPECT_EQ(result(graph).root, graph.inputs[0]);
}

TEST(Views, ReshapeFindsTheUnknownSize) {
  const std::vector<Expr> shape = {-1, 4};
  const auto graph = OneNode("aten.view.default").tensor("self", f32, {s0(), 8}).arg("size", shape).output(f32, {s0() * 2, 4}).convert();
  EXPECT_EQ(sym::str(result(graph).sizes), "[2*s0, 4]");
  EXPECT_TRUE(graph.body.nodes.empty());
}

TEST(Views, SplitsOfSymbolicSizeHaveAsManyPartsAsExported) {
  const auto graph = OneNode("aten.chunk.default")
                         .tensor("self", f32, {s0()})
                         .arg("chunks", Expr(2))
                         .output(f32, {Expr::symbol("u0")})
                         .output(f32, {Expr::symbol("u0")})
                         .as_list()
                         .convert();
  EXPECT_EQ(result(graph, 0).offset.str(), "0");
  EXPECT_EQ(result(graph, 1).offset.str(), sym::ceil_div(s0(), 2).str());
}

TEST(Views, AnEmptyChunkedDimensionGivesAllChunks) {
  OneNode node("aten.chunk.default");
  node.tensor("self", f32, {0, 3}).arg("chunks", Expr(3)).as_list();
  for (int i = 0; i < 3; ++i) node.output(f32, {0, 3});
  EXPECT_EQ(node.convert().results.size(), 3u);
}

TEST(Views, RepeatNeverSharesMemoryWithItsOperand) {
  const std::vector<Expr> once = {1, 1};
  const auto graph = OneNode("aten.repeat.default").tensor("self", f32, {2, 3}).arg("repeats", once).output(f32, {2, 3}).convert();
  EXPECT_NE(result(graph).root, graph.inputs[0]);
}

// ---- typing ----

DType sum_type(DType self, sym::Shape sizes, const std::function<void(OneNode&)>& other, DType expected) {
  OneNode node("aten.add.Tensor");
  node.tensor("self", self, sizes);
  other(node);
  return result(node.output(expected, sizes).convert()).dtype;
}

TEST(Typing, NumbersDoNotPromoteWithinACategory) {
  EXPECT_EQ(sum_type(
                bf16, {2}, [](OneNode& n) { n.arg("other", 2.5); }, bf16),
            bf16);
  EXPECT_EQ(sum_type(
                i8, {2}, [](OneNode& n) { n.arg("other", Expr(300)); }, i8),
            i8);
  EXPECT_EQ(sum_type(
                i64, {2}, [](OneNode& n) { n.arg("other", 2.5); }, f32),
            f32);
  EXPECT_EQ(sum_type(
                boolean, {2}, [](OneNode& n) { n.arg("other", Expr(1)); }, i64),
            i64);
}

TEST(Typing, TensorsWithoutDimensionsPromoteAcrossCategoriesOnly) {
  EXPECT_EQ(sum_type(
                f16, {2}, [](OneNode& n) { n.tensor("other", f64, {}); }, f16),
            f16);
  EXPECT_EQ(sum_type(
                i32, {2}, [](OneNode& n) { n.tensor("other", f64, {}); }, f64),
            f64);
  EXPECT_EQ(sum_type(
                f16, {}, [](OneNode& n) { n.arg("other", 1.5); }, f16),
            f16);
}

TEST(Typing, HalvesComputeInF32AndRoundAtTheEnd) {
  const auto graph = OneNode("aten.mul.Tensor").tensor("self", bf16, {2}).arg("other", 0.1).output(bf16, {2}).convert();
  EXPECT_EQ(scalar_text(graph), "out0 = bf16(mul(f32(in0), 0.10000000149011612))");
}

TEST(Typing, ComparisonsRoundTheNumberToTheTensorsType) {
  const auto graph = OneNode("aten.lt.Scalar").tensor("self", bf16, {2}).arg("other", 0.1).output(boolean, {2}).convert();
  EXPECT_NE(scalar_text(graph).find("0.10009765625"), std::string::npos) << scalar_text(graph);
}

TEST(Typing, SymbolicNumbersAreSymbolsOfTheProgram) {
  const auto graph = OneNode("aten.mul.Tensor").tensor("self", f32, {2}).arg("other", s0() + 1).output(f32, {2}).convert();
  EXPECT_EQ(graph.body.nodes.at(0).attrs.program("program")->symbols.at(0), s0() + 1);
}

TEST(Typing, QuotientsOfIntegersAreRealUnlessRounded) {
  const auto quotient = [](ir::Arg mode, DType expected) {
    return result(OneNode("aten.div.Tensor_mode")
                      .tensor("self", i32, {2})
                      .arg("other", Expr(2))
                      .arg("rounding_mode", std::move(mode))
                      .output(expected, {2})
                      .convert())
        .dtype;
  };
  EXPECT_EQ(quotient(ir::None{}, f32), f32);
  EXPECT_EQ(quotient(std::string("floor"), i32), i32);
}

TEST(Typing, WhereTakesNumbersAsImmediates) {
  const auto graph = OneNode("aten.where.ScalarOther").tensor("condition", boolean, {2}).tensor("self", f16, {2}).arg("other", 0.0).output(f16, {2}).convert();
  EXPECT_EQ(scalar_text(graph), "out0 = where(in0, in1, 0)");
}

// ---- others ----

TEST(Rows, CatPromotesAndSkipsLegacyEmptyTensors) {
  OneNode node("aten.cat.default");
  node.tensors("tensors", {{f32, {0}}, {f16, {2, 3}}, {f64, {2, 1}}}).arg("dim", Expr(-1)).output(f64, {2, 4});
  const auto graph = node.convert();
  const ir::Node& concat = graph.body.nodes.back();
  EXPECT_EQ(concat.op, core::Op::concat);
  EXPECT_EQ(concat.inputs.size(), 2u);
  EXPECT_EQ(result(graph).dtype, f64);
}

TEST(Rows, ArangeCountsInIntegersExactly) {
  const auto graph = OneNode("aten.arange.start_step").arg("start", Expr(1)).arg("end", s0()).arg("step", Expr(2)).output(i64, {Expr::symbol("u0")}).convert();
  ASSERT_EQ(graph.body.nodes.size(), 1u);
  EXPECT_EQ(graph.body.nodes[0].attrs.integer("step"), Expr(2));
  EXPECT_EQ(graph.at(graph.body.nodes[0].outputs[0]).dtype, i64);
}

TEST(Rows, ToTheSameDtypeIsAnAliasUnlessCopied) {
  const auto convert = [](bool copy) {
    return OneNode("aten.to.dtype").tensor("self", f32, {2}).arg("dtype", ir::ScalarTypeArg{f32}).arg("copy", copy).output(f32, {2}).convert();
  };
  EXPECT_TRUE(convert(false).body.nodes.empty());
  EXPECT_EQ(convert(true).body.nodes.size(), 1u);
}

TEST(Rows, MeanOfIntegersWithoutDtypeIsAnError) {
  EXPECT_THROW(OneNode("aten.mean.default").tensor("self", i64, {2}).output(f32, {}).convert(), InvalidArgument);
}

}  // namespace
}  // namespace reprise::ops
