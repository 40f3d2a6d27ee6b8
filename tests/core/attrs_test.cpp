#include "core/attrs.h"

#include <gtest/gtest.h>

#include "core/op.h"
#include "reprise/error.h"
#include "temp_dir.h"

namespace reprise::core {
namespace {

using testing_support::message_of;

ScalarProgramPtr program(double constant) {
  return std::make_shared<ScalarProgram>(ScalarProgram{.inputs = {}, .symbols = {}, .code = {{.imm_real = constant}}, .outputs = {0}});
}

Attrs all_kinds() {
  return {{"f", true},
          {"i", sym::Expr::symbol("s0")},
          {"n", sym::Expr(3)},
          {"r", 0.5},
          {"t", std::string("sum")},
          {"d", DType::bf16},
          {"is", exprs({1, -2})},
          {"rs", std::vector<double>{1.5, 2}},
          {"p", program(1)}};
}

TEST(Attrs, TypedReaders) {
  const Attrs a = all_kinds();
  EXPECT_TRUE(a.flag("f"));
  EXPECT_FALSE(a.flag("absent", false));
  EXPECT_EQ(a.integer("i"), sym::Expr::symbol("s0"));
  EXPECT_EQ(a.fixed("n"), 3);
  EXPECT_EQ(a.real("r"), 0.5);
  EXPECT_EQ(a.real("n"), 3.0);
  EXPECT_EQ(a.text("t"), "sum");
  EXPECT_EQ(a.dtype("d"), DType::bf16);
  EXPECT_EQ(a.fixed_ints("is"), (std::vector<std::int64_t>{1, -2}));
  EXPECT_EQ(a.reals("rs").size(), 2u);
  EXPECT_EQ(a.program("p")->code.size(), 1u);
}

TEST(Attrs, ErrorsNameTheKey) {
  const Attrs a = all_kinds();
  EXPECT_NE(message_of<FormatError>([&] { static_cast<void>(a.integer("axis")); }).find("'axis' is missing"), std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] { static_cast<void>(a.integer("t")); }).find("'t' has the wrong type"), std::string::npos);
  EXPECT_NE(message_of<FormatError>([&] { static_cast<void>(a.fixed("i")); }).find("s0"), std::string::npos);
  EXPECT_THROW(static_cast<void>(a.flag("n")), FormatError);
  EXPECT_THROW(static_cast<void>(a.real("t")), FormatError);
  EXPECT_THROW(static_cast<void>(a.flag("n", true)), FormatError);
  EXPECT_THROW(static_cast<void>(Attrs({{"p", ScalarProgramPtr()}}).program("p")), FormatError);
}

TEST(Attrs, SortedAndReplaced) {
  Attrs a = {{"z", true}, {"a", 1.0}};
  a.set("m", std::string("x")).set("z", false);
  EXPECT_EQ(a.str(), "a=1, m=x, z=false");
  EXPECT_EQ(a.items().size(), 3u);
  EXPECT_EQ(Attrs({{"is", exprs({1, 2})}}).str(), "is=[1, 2]");
}

TEST(Attrs, EqualByContent) {
  EXPECT_EQ(all_kinds(), all_kinds());  // programs are different objects
  Attrs other = all_kinds();
  other.set("p", program(2));
  EXPECT_FALSE(other == all_kinds());
  EXPECT_FALSE(Attrs({{"a", true}}) == Attrs({{"a", 1.0}}));
  EXPECT_FALSE(Attrs({{"a", true}}) == Attrs());
}

TEST(Op, NamesRoundTrip) {
  int known = 0;
  for (int i = 0; i < 256; ++i) {
    try {
      EXPECT_EQ(parse_op(name(static_cast<Op>(i))), static_cast<Op>(i));
      ++known;
    } catch (const FormatError&) {
    }
  }
  EXPECT_EQ(known, 34);
  EXPECT_THROW(parse_op("gelu"), FormatError);
  EXPECT_TRUE(is_data_dependent(Op::nms));
  EXPECT_FALSE(is_data_dependent(Op::random));
}

}  // namespace
}  // namespace reprise::core
