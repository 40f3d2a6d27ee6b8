#include "exec/input_binder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "reprise/error.h"
#include "support/plan_maker.h"

namespace reprise::exec {
namespace {

using sym::Expr;
using test::PlanMaker;

Tensor tensor(const std::vector<std::int64_t>& sizes) { return Tensor::empty(sizes, DType::f32); }

struct Bound {
  std::vector<std::int64_t> symbols;
  int profile = -1;
};

Bound bind(const plan::Plan& plan, const std::vector<Tensor>& tensors, const std::vector<std::int64_t>& integers = {}) {
  std::vector<InputValue> values;
  std::size_t next = 0;
  for (const auto& spec : plan.inputs) {
    const bool integer = spec.kind == plan::InputSpec::Kind::integer;
    values.push_back(integer ? InputValue{nullptr, integers.at(values.size() - next)} : InputValue{&tensors.at(next), 0});
    next += !integer;
  }
  Bound bound{std::vector<std::int64_t>(static_cast<std::size_t>(plan.symbols.size()))};
  bound.profile = InputBinder(plan).bind(values, bound.symbols);
  return bound;
}

std::string error_of(const plan::Plan& plan, const std::vector<Tensor>& tensors) {
  try {
    (void)bind(plan, tensors);
  } catch (const ShapeError& error) {
    return error.what();
  }
  return "no error";
}

TEST(InputBinder, TakesBareSymbolsWhereverTheyStand) {
  PlanMaker m;
  const Expr s = m.symbol("s0"), t = m.symbol("s1");
  m.input("x", {3, s});
  m.input("y", {t, s});
  const auto plan = m.finish();
  EXPECT_EQ(bind(*plan, {tensor({3, 5}), tensor({7, 5})}).symbols, (std::vector<std::int64_t>{5, 7}));
}

TEST(InputBinder, SolvesLinearExpressionsOnceOtherSymbolsAreKnown) {
  PlanMaker m;
  const Expr s = m.symbol("s0"), t = m.symbol("s1"), u = m.symbol("s2");
  m.input("x", {u * t + s * 2 + 1});  // needs both others
  m.input("y", {t * 3 - s});          // needs s
  m.input("z", {s});
  const auto plan = m.finish();
  EXPECT_EQ(bind(*plan, {tensor({33}), tensor({10}), tensor({2})}).symbols, (std::vector<std::int64_t>{2, 4, 7}));
  EXPECT_EQ(error_of(*plan, {tensor({33}), tensor({11}), tensor({2})}),
            "[run/inputs] input 'y' dimension 0 has a size that " + (t * 3 - s).str() + " never takes (got 11)");
}

TEST(InputBinder, TakesIntegersFromIntegerInputs) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 2, 9);
  m.integer_input("n", s);
  m.input("x", {s});
  const auto plan = m.finish();
  EXPECT_EQ(bind(*plan, {tensor({4})}, {4}).symbols, (std::vector<std::int64_t>{4}));
  EXPECT_THROW(bind(*plan, {tensor({4})}, {5}), ShapeError);
}

TEST(InputBinder, NamesInputAndDimensionOfEveryDisagreement) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 2, 16);
  m.input("x", {s, 3});
  m.input("y", {s * 2, 4});
  const auto plan = m.finish();
  EXPECT_EQ(error_of(*plan, {tensor({2, 3}), tensor({4, 4})}), "no error");
  EXPECT_EQ(error_of(*plan, {tensor({2}), tensor({4, 4})}), "[run/inputs] input 'x' has the wrong rank (got 1, want 2)");
  EXPECT_EQ(error_of(*plan, {tensor({2, 5}), tensor({4, 4})}), "[run/inputs] input 'x' dimension 1 has the wrong size (got 5, want 3)");
  EXPECT_EQ(error_of(*plan, {tensor({2, 3}), tensor({6, 4})}),
            "[run/inputs] input 'y' dimension 0 disagrees with input 'x' dimension 0 (got 6, want 2*s0 = 4)");
  EXPECT_EQ(error_of(*plan, {tensor({17, 3}), tensor({34, 4})}), "[run/inputs] input 'x' dimension 0 is outside the exported range (got 17, want 2..16)");
  EXPECT_EQ(error_of(*plan, {tensor({0, 3}), tensor({0, 4})}), "[run/inputs] input 'x' dimension 0 is outside the exported range (got 0, want 2..16)");
}

TEST(InputBinder, ReportsDerivedSymbolsWithTheirValue) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 3, sym::kUnbounded);
  m.input("x", {s * 2});
  const auto plan = m.finish();
  EXPECT_EQ(error_of(*plan, {tensor({4})}), "[run/inputs] input 'x' dimension 0 is outside the exported range (got 4, so s0 = 2, want at least 3)");
}

TEST(InputBinder, PicksTheFirstProfileThatAdmitsEverything) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 1, 100), t = m.symbol("s1", 1, 100);
  m.input("x", {s, t});
  m.plan.profiles = {{{1, 1}, {2, 2}, {4, 4}}, {{2, 8}, {4, 16}, {8, 32}}};
  const auto plan = m.finish();
  EXPECT_EQ(bind(*plan, {tensor({4, 4})}).profile, 0);
  EXPECT_EQ(bind(*plan, {tensor({4, 9})}).profile, 1);
  EXPECT_EQ(error_of(*plan, {tensor({9, 4})}), "[run/inputs] input 'x' dimension 0 fits no optimization profile (got 9, want 1..4 or 2..8)");
  // Each size alone has a profile, the two together have none.
  EXPECT_EQ(error_of(*plan, {tensor({1, 9})}), "[run/inputs] input 'x' dimension 1 fits no optimization profile (got 9, want 1..4 or 8..32)");
}

TEST(InputBinder, RefusesSymbolsThatNoSizeGives) {
  PlanMaker m;
  const Expr s = m.symbol("s0"), t = m.symbol("s1");
  m.input("x", {s * t});
  EXPECT_THROW(InputBinder(*m.finish()), FormatError);
  PlanMaker n;
  n.input("x", {sym::floor_div(n.symbol("s0"), 2)});
  EXPECT_THROW(InputBinder(*n.finish()), FormatError);
}

TEST(InputBinder, StaticPlansNeedNoSymbols) {
  PlanMaker m;
  m.input("x", {});
  m.input("y", {0, 2});
  const auto plan = m.finish();
  EXPECT_EQ(bind(*plan, {tensor({}), tensor({0, 2})}).profile, 0);
  EXPECT_EQ(error_of(*plan, {tensor({}), tensor({1, 2})}), "[run/inputs] input 'y' dimension 0 has the wrong size (got 1, want 0)");
}

TEST(InputBinder, ManySymbolsWork) {
  PlanMaker m;
  sym::Shape sizes;
  std::vector<std::int64_t> given, want;
  for (int i = 0; i < 100; ++i) {
    sizes.push_back(m.symbol("s" + std::to_string(i)) + i % 2);
    given.push_back(i + i % 2);
    want.push_back(i);
  }
  m.input("x", sizes);
  EXPECT_EQ(bind(*m.finish(), {Tensor::empty(given, DType::f32)}).symbols, want);
}

}  // namespace
}  // namespace reprise::exec
