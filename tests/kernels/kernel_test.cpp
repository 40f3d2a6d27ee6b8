// Operand and attribute views, the table of kernels.
#include "kernels/support.h"
#include "sym/evaluate.h"

namespace reprise::kernels::test {
namespace {

TEST(OperandRef, KnowsContiguity) {
  OperandRef ref{.rank = 3, .sizes = {2, 1, 3}, .strides = {3, 99, 1}};
  EXPECT_EQ(ref.numel(), 6);
  EXPECT_TRUE(ref.is_contiguous());
  ref.strides[0] = 4;
  EXPECT_FALSE(ref.is_contiguous());
  ref.sizes[2] = 0;
  EXPECT_TRUE(ref.is_contiguous());
  EXPECT_TRUE(OperandRef{}.is_contiguous());
  EXPECT_EQ(OperandRef{}.numel(), 1);
}

TEST(OperandRef, AddressIsSlotPlusOffset) {
  float memory[8];
  void* bindings[] = {nullptr, memory};
  const OperandRef ref{.dtype = DType::f32, .slot = 1, .rank = 0, .offset = 5};
  EXPECT_EQ(static_cast<void*>(ref.at(bindings)), memory + 5);
}

TEST(BoundAttrs, EvaluatesSymbols) {
  const core::Attrs attrs{
      {"n", sym::Expr::symbol("s0") + 1}, {"list", std::vector<sym::Expr>{sym::Expr(2), sym::Expr::symbol("s0")}}, {"eps", 0.5}, {"flag", true}};
  const BoundAttrs bound(attrs, [](const sym::Expr& e) { return *sym::evaluate(e, [](const std::string&) { return std::optional(sym::Number::of(41)); }); });
  EXPECT_EQ(bound.integer("n"), 42);
  EXPECT_EQ(bound.ints("list"), (std::vector<std::int64_t>{2, 41}));
  EXPECT_EQ(bound.real("eps"), 0.5);
  EXPECT_EQ(bound.real("n"), 42);
  EXPECT_EQ(bound.number("flag").integer, 1);
  EXPECT_EQ(bound.number("n").integer, 42);
  EXPECT_TRUE(bound.number("eps").is_real);
  EXPECT_THROW((void)bound.integer("absent"), FormatError);
  EXPECT_THROW((void)bound.real("absent"), FormatError);
}

TEST(RunReference, RefusesSymbolsWithoutValuesAndControlOps) {
  const Tensor x = random({2, 2});
  EXPECT_THROW(run(core::Op::softmax, {{"axis", sym::Expr::symbol("s0")}, {"log", false}}, {x}, {x}), InvalidArgument);
  for (const core::Op op : {core::Op::cond, core::Op::while_loop, core::Op::write, core::Op::foreign}) EXPECT_THROW(run(op, {}, {x}, {x}), UnsupportedOp);
}

}  // namespace
}  // namespace reprise::kernels::test
