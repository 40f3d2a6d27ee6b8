#include <algorithm>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

/// Elements of each result, in order.
std::vector<Values> groups(const Tensor& x, const Sizes& axes, Sizes& y_sizes) {
  y_sizes = x.sizes();
  for (const std::int64_t axis : axes) y_sizes[static_cast<std::size_t>(axis)] = 1;
  std::vector<Values> result(static_cast<std::size_t>(count(y_sizes)));
  const Values v = values(x);
  for_each_index(x.sizes(), [&](const Sizes& index) {
    Sizes kept = index;
    for (const std::int64_t axis : axes) kept[static_cast<std::size_t>(axis)] = 0;
    result[static_cast<std::size_t>(position(y_sizes, kept))].push_back(v[static_cast<std::size_t>(position(x.sizes(), index))]);
  });
  return result;
}

double fold(const std::string& kind, const Values& v) {
  double result = kind == "prod" || kind == "all" ? 1 : kind == "max" ? -kInf : kind == "min" ? kInf : 0;
  for (const double x : v) {
    if (kind == "sum") result += x;
    if (kind == "prod") result *= x;
    if (kind == "any") result = result != 0 || x != 0;
    if (kind == "all") result = result != 0 && x != 0;
    if (kind == "max") result = std::isnan(x) || std::isnan(result) ? kNan : std::max(result, x);
    if (kind == "min") result = std::isnan(x) || std::isnan(result) ? kNan : std::min(result, x);
  }
  return result;
}

double arg(bool largest, const Values& v) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < v.size(); ++i) {
    if (std::isnan(v[best])) break;
    if (std::isnan(v[i]) || (largest ? v[i] > v[best] : v[i] < v[best])) best = i;
  }
  return static_cast<double>(best);
}

void check(const char* kind, const Tensor& x, const Sizes& axes, DType result, Layout layout = Layout::rows) {
  Sizes sizes;
  Values expected;
  for (const Values& group : groups(x, axes, sizes)) {
    const bool is_arg = std::string(kind).starts_with("arg");
    expected.push_back(is_arg ? arg(std::string(kind) == "argmax", group) : fold(kind, group));
  }
  const Tensor y = empty(sizes, result, layout);
  run(core::Op::reduce, {{"kind", text(kind)}, {"axes", ints(axes)}}, {x}, {y});
  expect_near(y, expected, tolerance(result, std::string(kind) == "max" || std::string(kind) == "min"), kind);
}

TEST(Reduce, RealsOverAnyAxesAndLayouts) {
  const std::pair<Sizes, std::vector<Sizes>> cases[] = {{{3, 5, 7}, {{0}, {1}, {2}, {0, 2}, {1, 2}, {0, 1, 2}, {}}},
                                                        {{1500, 3}, {{0}, {1}, {0, 1}}},
                                                        {{3, 1500}, {{0}, {1}}},
                                                        {{2, 3, 4, 5}, {{1, 3}, {0, 2}}},
                                                        {{}, {{}}}};
  for (const auto& [sizes, axes_list] : cases) {
    for (const Sizes& axes : axes_list) {
      for (const Layout in : kLayouts) {
        for (const DType dtype : kReals) {
          for (const char* kind : {"sum", "max", "min"}) check(kind, random(sizes, dtype, in), axes, dtype, in);
        }
      }
    }
  }
}

TEST(Reduce, Products) {
  for (const DType dtype : kReals) check("prod", random({4, 9, 5}, dtype), {1}, dtype);
  check("prod", tensor({2, 3}, {1, 2, 3, 4, 5, 6}, DType::i32), {1}, DType::i64);
}

TEST(Reduce, ConvertsToTheOutputsTypeFirst) {
  check("sum", random({7, 9}, DType::boolean), {0}, DType::i64);
  check("sum", random({7, 300}, DType::u8), {1}, DType::i64);
  check("sum", random({7, 9}, DType::i32), {1}, DType::f32);
  check("sum", random({7, 9}, DType::f16), {1}, DType::f32);
  const Tensor y = empty({1}, DType::i64);
  run(core::Op::reduce, {{"kind", text("sum")}, {"axes", ints({0})}}, {tensor({2}, {1.75, 2.75})}, {y});
  expect_near(y, {3}, 0);
}

TEST(Reduce, IntegersKeepAllBitsAndWrap) {
  const Tensor x = Tensor::zeros(Sizes{3}, DType::i64), y = empty({1}, DType::i64);
  const std::int64_t big = std::int64_t{1} << 62;
  x.data_as<std::int64_t>()[0] = big + 1;
  x.data_as<std::int64_t>()[1] = big;
  x.data_as<std::int64_t>()[2] = 7;
  run(core::Op::reduce, {{"kind", text("max")}, {"axes", ints({0})}}, {x}, {y});
  EXPECT_EQ(*y.data_as<std::int64_t>(), big + 1);
  run(core::Op::reduce, {{"kind", text("sum")}, {"axes", ints({0})}}, {x}, {y});
  EXPECT_EQ(static_cast<std::uint64_t>(*y.data_as<std::int64_t>()), (std::uint64_t{1} << 63) + 8);
  for (const DType dtype : kIntegers) {
    for (const char* kind : {"max", "min"}) check(kind, random({5, 40}, dtype), {1}, dtype);
  }
  check("max", random({5, 4}, DType::boolean), {0}, DType::boolean);
}

TEST(Reduce, AnyAndAllOfEveryDType) {
  for (int t = 0; t < kDTypeCount; ++t) {
    const Tensor x = tensor({3, 3}, {0, 0, 0, 0, 1, 2, 3, 1, 2}, static_cast<DType>(t));
    for (const char* kind : {"any", "all"}) {
      check(kind, x, {1}, DType::boolean);
      check(kind, x, {0}, DType::boolean, Layout::gaps);
    }
  }
  check("any", tensor({2, 2}, {0, kNan, -0.0, 0}), {1}, DType::boolean);
  check("all", tensor({1, 2}, {1, 2}, DType::u8), {1}, DType::u8);
}

TEST(Reduce, NanIsAnExtremum) {
  const Values v{1, 3, 3, kNan, 2, kNan, -kInf, kInf, 0, 0, 0, 0};
  for (const DType dtype : kReals) {
    for (const Layout layout : kLayouts) {
      const Tensor x = tensor({2, 6}, v, dtype, layout);
      for (const std::int64_t axis : {0, 1}) {
        check("max", x, {axis}, dtype);
        check("min", x, {axis}, dtype);
        check("argmax", x, {axis}, DType::i64, layout);
        check("argmin", x, {axis}, DType::i64, layout);
      }
    }
  }
}

TEST(Reduce, ArgumentsOfExtremes) {
  for (const Sizes& sizes : {Sizes{5, 1300}, Sizes{1300, 5}, Sizes{1, 1}, Sizes{0, 4}}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::i64, DType::u64, DType::u8}) {
      for (const char* kind : {"argmax", "argmin"}) check(kind, random(sizes, dtype), {1}, DType::i64);
    }
  }
  EXPECT_THROW(check("argmax", random({3, 0}), {1}, DType::i64), InvalidArgument);
}

TEST(Reduce, EmptyLinesGiveTheNeutralElement) {
  const std::pair<const char*, double> cases[] = {{"sum", 0}, {"prod", 1}, {"any", 0}, {"all", 1}, {"max", -kInf}, {"min", kInf}};
  for (const auto& [kind, neutral] : cases) {
    const bool truth = kind[0] == 'a';
    for (const Sizes& axes : {Sizes{1}, Sizes{0, 1}}) {
      const Tensor y = empty({axes.size() == 2 ? 1 : 3, 1}, truth ? DType::boolean : DType::f32);
      run(core::Op::reduce, {{"kind", text(kind)}, {"axes", ints(axes)}}, {random({3, 0})}, {y});
      expect_near(y, Values(static_cast<std::size_t>(y.numel()), neutral), 0, kind);
    }
  }
}

// A naive f32 sum of these would be off by about 1e-3.
TEST(Reduce, LongSumsStayAccurate) {
  const Tensor x = expand(tensor({1, 1}, {0.1}), {1, 3000000}), y = empty({1, 1}, DType::f32);
  run(core::Op::reduce, {{"kind", text("sum")}, {"axes", ints({1})}}, {x}, {y});
  EXPECT_NEAR(*y.data_as<float>(), 300000.0044703484, 0.04);
}

TEST(Reduce, RefusesWrongSizesAndKinds) {
  EXPECT_THROW(run(core::Op::reduce, {{"kind", text("sum")}, {"axes", ints({0})}}, {random({3, 2})}, {random({3, 1})}), InvalidArgument);
  EXPECT_THROW(run(core::Op::reduce, {{"kind", text("sum")}, {"axes", ints({2})}}, {random({3, 2})}, {random({3, 1})}), InvalidArgument);
  EXPECT_THROW(run(core::Op::reduce, {{"kind", text("median")}, {"axes", ints({0})}}, {random({3, 2})}, {random({1, 2})}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
