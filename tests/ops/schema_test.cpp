#include <gtest/gtest.h>

#include "ops/converter.h"
#include "reprise/error.h"

namespace reprise::ops {
namespace {

using sym::Expr;

template <class T>
const T& fallback(const Schema& s, std::size_t i) {
  return std::get<T>(*s.params.at(i).fallback);
}

TEST(ParseSchema, NamesTypesAndDefaults) {
  const Schema s = parse_schema("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor");
  EXPECT_EQ(s.target, "aten.add.Tensor");
  ASSERT_EQ(s.params.size(), 3u);
  EXPECT_EQ(s.params[0].name, "self");
  EXPECT_EQ(s.params[0].type, "Tensor");
  EXPECT_FALSE(s.params[1].fallback.has_value());
  EXPECT_FALSE(s.params[1].keyword_only);
  EXPECT_TRUE(s.params[2].keyword_only);
  EXPECT_EQ(fallback<Expr>(s, 2), Expr(1));
}

TEST(ParseSchema, TargetsWithoutOverload) {
  EXPECT_EQ(parse_schema("aten::relu(Tensor self) -> Tensor").target, "aten.relu.default");
  EXPECT_EQ(parse_schema("torchvision::nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor").target, "torchvision.nms.default");
  EXPECT_EQ(parse_schema("higher_order::cond(pred, true_fn, false_fn, operands)").target, "higher_order.cond");
  EXPECT_EQ(parse_schema("_operator::mul(a, b)").params[1].name, "b");
  EXPECT_EQ(parse_schema("aten::seed() -> int").params.size(), 0u);
}

TEST(ParseSchema, EveryKindOfDefault) {
  const Schema s = parse_schema(
      "aten::f(float a=1, float? b=None, int[2] c=0, SymInt[3] d=[1, 2, -3], bool e=True, str f=\"none\", int g=Mean, Scalar h=0.5, int[] i=[], "
      "MemoryFormat j=contiguous_format, float[] k=[0.5, 2], bool[3] l=[True, False, True], Scalar m=1e-05, str n='a, b', float o=-inf) -> (Tensor, Tensor)");
  EXPECT_EQ(fallback<double>(s, 0), 1.0);
  EXPECT_TRUE(std::holds_alternative<ir::None>(*s.params[1].fallback));
  EXPECT_EQ(fallback<std::vector<Expr>>(s, 2), (std::vector<Expr>{0, 0}));
  EXPECT_EQ(fallback<std::vector<Expr>>(s, 3), (std::vector<Expr>{1, 2, -3}));
  EXPECT_TRUE(fallback<bool>(s, 4));
  EXPECT_EQ(fallback<std::string>(s, 5), "none");
  EXPECT_EQ(fallback<Expr>(s, 6), Expr(1));
  EXPECT_EQ(fallback<double>(s, 7), 0.5);
  EXPECT_TRUE(fallback<std::vector<Expr>>(s, 8).empty());
  EXPECT_EQ(fallback<ir::MemoryFormat>(s, 9).value, 1);
  EXPECT_EQ(fallback<std::vector<double>>(s, 10), (std::vector<double>{0.5, 2}));
  EXPECT_EQ(fallback<std::vector<bool>>(s, 11), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(fallback<double>(s, 12), 1e-5);
  EXPECT_EQ(fallback<std::string>(s, 13), "a, b");
  EXPECT_EQ(fallback<double>(s, 14), -std::numeric_limits<double>::infinity());
}

TEST(ParseSchema, AliasMarksAreTakenOff) {
  const Schema s = parse_schema("aten::split.Tensor(Tensor(a -> *) self, Tensor(b!)? out, Tensor(c!)[] outs, SymInt split_size, int dim=0) -> Tensor(a)[]");
  EXPECT_EQ(s.params[0].type, "Tensor");
  EXPECT_EQ(s.params[1].type, "Tensor?");
  EXPECT_EQ(s.params[2].type, "Tensor[]");
  EXPECT_EQ(s.params[3].name, "split_size");
}

TEST(ParseSchema, BadTextNamesThePlace) {
  for (const char* text :
       {"", "add(Tensor self)", "aten::add", "aten::add(Tensor self", "aten::add(Tensor self,)", "aten::add(Tensor(a self)", "aten::add(int a=)",
        "aten::add(int a=x)", "aten::add(int[] a=[1, True])", "aten::add(str a=\"x)", "aten::add(int[] a=[1", "::add()", "aten::(int a)"}) {
    try {
      (void)parse_schema(text);
      ADD_FAILURE() << "accepted: " << text;
    } catch (const InvalidArgument& e) {
      EXPECT_NE(std::string(e.what()).find("at column"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace reprise::ops
