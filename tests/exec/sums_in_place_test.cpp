// Which sums are computed where a summand lies.
#include "exec/sums_in_place.h"

#include <gtest/gtest.h>

#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using core::Instr;
using core::ScalarOp;

constexpr std::int64_t kRows = 3, kWidth = 4;

core::ScalarProgramPtr binary(ScalarOp op) {
  std::vector<Instr> code = {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = op, .a = 0, .b = 1}};
  return std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32, DType::f32}, {}, std::move(code), {2}});
}

/// y = a · w + s, where a = x + 1 and s = x · 2, and what a test adds to that.
struct Sum {
  PlanMaker m;
  Ref x = m.input("x", {kRows, kWidth}), w = weight(), a = m.temp({kRows, kWidth}), s = m.temp({kRows, kWidth}), sum = m.temp({kRows, kWidth}),
      y = m.output("y", {kRows, kWidth});

  Sum() {
    scale(x, a, 1, 1);
    scale(x, s, 2, 0);
  }
  Ref weight() {
    Ref matrix = m.weight("w", {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
    matrix.sizes = {kWidth, kWidth};
    return matrix;
  }
  void scale(const Ref& from, const Ref& to, double factor, double shift) {
    std::vector<Instr> code = {{.op = ScalarOp::input},
                               {.op = ScalarOp::constant, .imm_real = factor},
                               {.op = ScalarOp::mul, .a = 0, .b = 1},
                               {.op = ScalarOp::constant, .imm_real = shift},
                               {.op = ScalarOp::add, .a = 2, .b = 3}};
    m.add(core::Op::pointwise, {from}, {to}, {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32}, {}, code, {4}})}});
  }
  plan::Command& add(const Ref& factor, const Ref& summand, const Ref& to, ScalarOp op = ScalarOp::add) {
    return m.add(core::Op::matmul, {factor, w, summand}, {to}, {{"has_bias", false}, {"epilogue", binary(op)}});
  }
  /// y from a sum of a sum.
  void add_twice() {
    const Ref more = m.temp({kRows, kWidth});
    add(a, s, sum);
    add(a, sum, more);
    scale(more, y, 1, 0);
  }
  /// The sum's buffer, where it is computed.
  [[nodiscard]] bool is_in_place() {
    const auto placed = exec::place_sums(m.finish());
    bool found = false;
    for (const auto& command : placed->blocks[0].commands)
      if (command.op == core::Op::matmul) found = found || command.outputs[0].buffer == command.inputs[2].buffer;
    return found;
  }
};

TEST(SumsInPlace, TakeTheMemoryOfASummandThatDies) {
  Sum t;
  t.add(t.a, t.s, t.sum);
  t.scale(t.sum, t.y, 1, 0);
  const auto plan = t.m.finish(), placed = exec::place_sums(plan);
  const auto& buffer = placed->buffers[static_cast<std::size_t>(t.s.buffer)];
  EXPECT_EQ(placed->blocks[0].commands[2].outputs[0].buffer, t.s.buffer);
  EXPECT_EQ(placed->blocks[0].commands[3].inputs[0].buffer, t.s.buffer);
  EXPECT_EQ(buffer.last, 3);
  EXPECT_LT(placed->buffers[static_cast<std::size_t>(t.sum.buffer)].last, 0);
  EXPECT_EQ(plan->blocks[0].commands[2].outputs[0].buffer, t.sum.buffer) << "the plan that others hold stays";
}

TEST(SumsInPlace, AreUndone) {
  Sum t;
  t.add_twice();
  const std::string before = plan::print(*t.m.finish());
  auto plan = t.m.finish();
  const plan::Plan* same = plan.get();
  exec::PlacedSums placed;
  plan = exec::place_sums(std::move(plan), &placed);
  EXPECT_EQ(plan.get(), same) << "nobody else holds it";
  EXPECT_NE(plan::print(*plan), before);
  plan::Plan undone = *plan;
  placed.undo(undone);
  EXPECT_EQ(plan::print(undone), before);
  EXPECT_EQ(undone.buffers[static_cast<std::size_t>(t.s.buffer)].last, 2);
  EXPECT_EQ(undone.buffers[static_cast<std::size_t>(t.sum.buffer)].first, 2);
  EXPECT_EQ(undone.buffers[static_cast<std::size_t>(t.sum.buffer)].last, 3);
}

TEST(SumsInPlace, FollowEachOther) {
  Sum t;
  t.add_twice();
  const auto placed = exec::place_sums(t.m.finish());
  for (const std::size_t at : {2, 3}) EXPECT_EQ(placed->blocks[0].commands[at].outputs[0].buffer, t.s.buffer);
  EXPECT_EQ(placed->buffers[static_cast<std::size_t>(t.s.buffer)].last, 4);
}

TEST(SumsInPlace, LeaveASummandThatIsReadLater) {
  Sum t;
  t.add(t.a, t.s, t.sum);
  t.m.add(core::Op::pointwise, {t.sum, t.s}, {t.y}, {{"program", binary(ScalarOp::add)}});
  EXPECT_FALSE(t.is_in_place());
}

TEST(SumsInPlace, LeaveASummandThatIsAFactorToo) {
  Sum t;
  t.add(t.s, t.s, t.sum);
  t.scale(t.sum, t.y, 1, 0);
  EXPECT_FALSE(t.is_in_place());
}

TEST(SumsInPlace, LeaveMemoryOfCallers) {
  Sum t;
  t.add(t.a, t.x, t.sum);
  t.add(t.a, t.sum, t.y);
  EXPECT_FALSE(t.is_in_place());
}

TEST(SumsInPlace, LeaveOtherLayoutsAndWhatIsNoSum) {
  Sum transposed;
  transposed.add(transposed.a, transposed.s, transposed.sum).inputs[2].strides = {1, kRows};
  transposed.scale(transposed.sum, transposed.y, 1, 0);
  EXPECT_FALSE(transposed.is_in_place());
  Sum product;
  product.add(product.a, product.s, product.sum, ScalarOp::mul);
  product.scale(product.sum, product.y, 1, 0);
  EXPECT_FALSE(product.is_in_place());
}

TEST(SumsInPlace, GiveTheSameNumbers) {
  Sum t;
  const Ref more = t.m.temp({kRows, kWidth});
  t.add(t.a, t.s, t.sum);
  t.add(t.sum, t.a, more);
  t.scale(more, t.y, 1, 0);
  const Module module = runtime::make_module(t.m.finish(), Device::cpu());
  const std::vector<float> x = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  std::vector<float> want;
  for (const float v : x) want.push_back((v + 1 + 2 * v) + (v + 1));  // the matrix is the identity
  for (const bool recorded : {false, true}) {
    runtime::set_cudagraphs_mode(recorded);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(values(call(module, {floats(x, {kRows, kWidth})})[0]), want);
  }
  runtime::set_cudagraphs_mode(false);
}

}  // namespace
}  // namespace reprise::test
