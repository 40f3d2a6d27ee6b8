// Steps that make values from nothing, and checks.
#include <algorithm>
#include <set>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

TEST(Fill, EveryDTypeLayoutAndKindOfNumber) {
  for (int t = 0; t < kDTypeCount; ++t) {
    const auto dtype = static_cast<DType>(t);
    for (const Layout layout : kLayouts) {
      for (const Sizes& sizes : {Sizes{}, Sizes{0, 3}, Sizes{2, 3, 5}}) {
        const Tensor y = empty(sizes, dtype, layout);
        run(core::Op::fill, {{"value", integer(3)}}, {}, {y});
        expect_near(y, Values(static_cast<std::size_t>(count(sizes)), dtype == DType::boolean ? 1 : 3), 0, std::string(reprise::name(dtype)));
      }
    }
  }
}

TEST(Fill, RealsRoundAndIntegersTruncate) {
  const auto filled = [](DType dtype, const core::Attr& value) {
    const Tensor y = empty({1}, dtype);
    run(core::Op::fill, {{"value", value}}, {}, {y});
    return values(y)[0];
  };
  EXPECT_EQ(filled(DType::i32, -2.75), -2);
  EXPECT_EQ(filled(DType::bf16, 1.01), 1.0078125);
  EXPECT_EQ(filled(DType::f32, kInf), kInf);
  EXPECT_TRUE(std::isnan(filled(DType::f16, kNan)));
  EXPECT_EQ(filled(DType::boolean, 0.5), 1);
  EXPECT_EQ(filled(DType::f64, true), 1);
}

TEST(Fill, KeepsAllBitsOfIntegers) {
  const Tensor y = empty({2}, DType::i64);
  const std::int64_t big = (std::int64_t{1} << 62) + 1;
  run(core::Op::fill, {{"value", integer(big)}}, {}, {y});
  EXPECT_EQ(y.data_as<std::int64_t>()[1], big);
}

TEST(Fill, LeavesTheGapsOfItsWindowAlone) {
  const Tensor memory = Tensor::zeros(Sizes{10}, DType::f32), window = memory.as_strided(Sizes{3}, Sizes{2}, 1);
  run(core::Op::fill, {{"value", 1.0}}, {}, {window});
  expect_near(memory, {0, 1, 0, 1, 0, 1, 0, 0, 0, 0}, 0);
}

TEST(Iota, IntegersAndReals) {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::i64, DType::i32, DType::i8}) {
    for (const Layout layout : {Layout::rows, Layout::gaps}) {
      const Tensor y = empty({5}, dtype, layout);
      run(core::Op::iota, {{"start", integer(7)}, {"step", integer(-3)}}, {}, {y});
      expect_near(y, {7, 4, 1, -2, -5}, 0);
    }
  }
  const Tensor y = empty({4}, DType::f32);
  run(core::Op::iota, {{"start", 0.5}, {"step", 0.25}}, {}, {y});
  expect_near(y, {0.5, 0.75, 1, 1.25}, 0);
  EXPECT_NO_THROW(run(core::Op::iota, {{"start", integer(0)}, {"step", integer(1)}}, {}, {empty({0}, DType::i64)}));
  EXPECT_THROW(run(core::Op::iota, {{"start", integer(0)}, {"step", integer(1)}}, {}, {empty({2, 2}, DType::i64)}), InvalidArgument);
}

// A sum of many steps in f32 would drift.
TEST(Iota, LongRealRangesDoNotDrift) {
  const Tensor y = empty({1000001}, DType::f32);
  run(core::Op::iota, {{"start", 0.0}, {"step", 0.1}}, {}, {y});
  EXPECT_FLOAT_EQ(y.data_as<float>()[1000000], 100000.0F);
}

// ---- random ----

Values drawn(const char* kind, double low, double high, DType dtype = DType::f64, std::int64_t seed = 1, const Sizes& sizes = {100, 200}) {
  const Tensor y = empty(sizes, dtype);
  run(core::Op::random, {{"kind", text(kind)}, {"low", low}, {"high", high}, {"seed_slot", integer(seed)}}, {}, {y});
  return values(y);
}

double mean(const Values& v) {
  double sum = 0;
  for (const double x : v) sum += x;
  return sum / static_cast<double>(v.size());
}

double deviation(const Values& v) {
  const double middle = mean(v);
  double sum = 0;
  for (const double x : v) sum += (x - middle) * (x - middle);
  return std::sqrt(sum / static_cast<double>(v.size()));
}

TEST(Random, UniformFillsItsInterval) {
  const Values v = drawn("uniform", -1, 3);
  EXPECT_NEAR(mean(v), 1, 0.04);
  EXPECT_NEAR(deviation(v), 4 / std::sqrt(12), 0.03);
  EXPECT_TRUE(std::all_of(v.begin(), v.end(), [](double x) { return x >= -1 && x < 3; }));
  EXPECT_GT(std::set<double>(v.begin(), v.end()).size(), v.size() - 3);
}

TEST(Random, NormalHasMeanAndDeviation) {
  const Values v = drawn("normal", 2, 0.5, DType::f32);
  EXPECT_NEAR(mean(v), 2, 0.02);
  EXPECT_NEAR(deviation(v), 0.5, 0.02);
  const auto inside = std::count_if(v.begin(), v.end(), [](double x) { return std::abs(x - 2) < 0.5; });
  EXPECT_NEAR(static_cast<double>(inside) / static_cast<double>(v.size()), 0.6827, 0.015);
}

TEST(Random, IntegersReachBothEnds) {
  for (const DType dtype : {DType::i64, DType::i32, DType::f32}) {
    const Values v = drawn("integers", -2, 3, dtype);
    EXPECT_EQ(std::set<double>(v.begin(), v.end()), (std::set<double>{-2, -1, 0, 1, 2}));
  }
}

TEST(Random, SeedsDifferAndEveryRunOfAStepDrawsAnew) {
  EXPECT_EQ(drawn("uniform", 0, 1), drawn("uniform", 0, 1));  // two steps of one seed, each in its first run
  EXPECT_NE(drawn("uniform", 0, 1, DType::f64, 1), drawn("uniform", 0, 1, DType::f64, 2));
  const core::Attrs attrs{{"kind", text("uniform")}, {"low", 0.0}, {"high", 1.0}, {"seed_slot", integer(1)}};
  const BoundAttrs bound(attrs, [](const sym::Expr& e) { return sym::Number::of(e.as_int().value()); });
  OperandRef y{.dtype = DType::f64, .slot = 0, .rank = 1};
  y.sizes[0] = 8;
  y.strides[0] = 1;
  const auto step = make_reference_step({.op = core::Op::random, .inputs = {}, .outputs = {&y, 1}, .attrs = &bound, .threads = 1, .name = "noise"});
  Values first(8), second(8);
  void* memory = first.data();
  step->run(&memory);
  memory = second.data();
  step->run(&memory);
  EXPECT_NE(first, second);
}

TEST(Random, RefusesUnknownKinds) { EXPECT_THROW(drawn("cauchy", 0, 1), InvalidArgument); }

// ---- check and item ----

TEST(Check, ThrowsItsMessageWhenFalse) {
  const auto check = [](const Tensor& x) { run(core::Op::check, {{"message", text("x must be sorted")}}, {x}, {}); };
  EXPECT_NO_THROW(check(tensor({}, {1}, DType::boolean)));
  try {
    check(tensor({}, {0}, DType::boolean));
    FAIL() << "it passed";
  } catch (const ShapeError& e) {
    EXPECT_NE(std::string(e.what()).find("x must be sorted"), std::string::npos) << e.what();
  }
  EXPECT_THROW(check(tensor({}, {1}, DType::f32)), InvalidArgument);
  EXPECT_THROW(check(tensor({2}, {1, 1}, DType::boolean)), InvalidArgument);
}

TEST(Item, TakesOneElement) {
  EXPECT_NO_THROW(run(core::Op::item, {}, {tensor({1, 1}, {5}, DType::i64)}, {}));
  EXPECT_THROW(run(core::Op::item, {}, {random({2})}, {}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
