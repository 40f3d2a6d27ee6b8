// Ops that order, choose and combine at sizes where kernels change their ways: several tiles, rounds and blocks; many positions with one target.
#include <algorithm>
#include <map>
#include <numeric>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

Values integers(std::int64_t n, std::int64_t bound, unsigned seed = 7) {
  std::mt19937 engine(seed);
  std::uniform_int_distribution<std::int64_t> draw(0, bound - 1);
  Values v(static_cast<std::size_t>(n));
  for (double& x : v) x = static_cast<double>(draw(engine));
  return v;
}

std::vector<std::size_t> stable_order(const Values& v, bool descending) {
  std::vector<std::size_t> order(v.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return descending ? v[b] < v[a] : v[a] < v[b]; });
  return order;
}

void check_order(core::Op op, const Tensor& x, std::int64_t kept, bool descending) {
  const Tensor y = empty({x.size(0), kept}, x.dtype()), places = empty({x.size(0), kept}, DType::i64);
  run(op, {{"axis", integer(1)}, {op == core::Op::sort ? "descending" : "largest", descending}, {"stable", true}, {"sorted", true}}, {x}, {y, places});
  const Values v = values(x);
  Values expected, at;
  for (std::int64_t r = 0; r < x.size(0); ++r) {
    const Values row(v.begin() + r * x.size(1), v.begin() + (r + 1) * x.size(1));
    const auto order = stable_order(row, descending);
    for (std::int64_t i = 0; i < kept; ++i) {
      at.push_back(static_cast<double>(order[static_cast<std::size_t>(i)]));
      expected.push_back(row[order[static_cast<std::size_t>(i)]]);
    }
  }
  expect_near(y, expected, 0);
  expect_near(places, at, 0);
}

// Few different values: equal ones keep their order.
TEST(ManyElements, Sort) {
  for (const std::int64_t n : {31, 255, 256, 257, 512, 1000, 2047, 2048, 2049, 4096, 4097, 10000, 70001}) {
    check_order(core::Op::sort, random({2, n}), n, n % 2 == 0);
    check_order(core::Op::sort, random({1, n}, DType::u8), n, n % 2 == 1);
  }
  check_order(core::Op::sort, random({3, 5000}, DType::f64), 5000, true);
  check_order(core::Op::sort, random({1, 300000}, DType::i16), 300000, false);
}

TEST(ManyElements, TopK) {
  for (const bool largest : {false, true}) {
    for (const DType dtype : {DType::f32, DType::f16, DType::u8, DType::f64}) check_order(core::Op::topk, random({2, 30000}, dtype), 7, largest);
    check_order(core::Op::topk, random({1, 2049}), 512, largest);
    check_order(core::Op::topk, random({1, 200000}, DType::u8), 300, largest);
    check_order(core::Op::topk, random({1, 9000}), 3000, largest);
    check_order(core::Op::topk, random({1, 9000}), 9000, largest);
  }
}

constexpr const char* kReductions[] = {"none", "sum", "prod", "mean", "max", "min"};

double combine(const std::string& reduce, double a, double b) {
  if (reduce == "none") return b;
  if (reduce == "prod") return a * b;
  if (reduce == "max") return std::max(a, b);
  return reduce == "min" ? std::min(a, b) : a + b;
}

/// Rows of `width` elements scattered to `targets` rows; one index for each row.
void check_scatter(const char* reduce, std::int64_t rows, std::int64_t width, std::int64_t targets, DType dtype) {
  const Values where = integers(rows, targets);
  Tensor index = tensor({rows, 1}, where, DType::i64);
  if (width > 1) index = expand(index, {rows, width});
  const Tensor x = random({targets, width}, dtype), src = random({rows, width}, dtype, Layout::rows, 2), y = empty({targets, width}, dtype);
  run(core::Op::scatter, {{"axis", integer(0)}, {"reduce", text(reduce)}, {"include_self", true}}, {x, index, src}, {y});
  Values expected = values(x), counts(expected.size(), 1);
  const Values from = values(src);
  const auto w = static_cast<std::size_t>(width);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::size_t to = static_cast<std::size_t>(where[i / w]) * w + i % w;
    expected[to] = combine(reduce, expected[to], from[i]);
    ++counts[to];
  }
  for (std::size_t i = 0; std::string(reduce) == "mean" && i < expected.size(); ++i) {
    if (counts[i] > 1) expected[i] = is_floating(dtype) ? expected[i] / counts[i] : std::floor(expected[i] / counts[i]);
  }
  expect_near(y, expected, std::string(reduce) == "none" ? 0 : 4 * tolerance(dtype), reduce);
}

TEST(ManyElements, Scatter) {
  for (const char* reduce : kReductions) {
    check_scatter(reduce, 5000, 1, 300, DType::f64);
    check_scatter(reduce, 700, 24, 9, DType::f32);
    check_scatter(reduce, 20, 48, 9, DType::i64);
  }
  check_scatter("none", 700, 24, 9, DType::f16);
  check_scatter("sum", 40000, 1, 1, DType::f64);
  check_scatter("max", 100000, 1, 60000, DType::i32);
}

TEST(ManyElements, IndexPut) {
  for (const bool accumulate : {false, true}) {
    const Values where = integers(3000, 50), which = integers(3000, 6, 8);
    const Tensor x = random({50, 4, 6}, DType::f64), list = random({3000, 4}, DType::f64, Layout::rows, 2), y = empty({50, 4, 6}, DType::f64);
    run(core::Op::index_put, {{"axes", ints({0, 2})}, {"position", integer(0)}, {"accumulate", accumulate}},
        {x, list, tensor({3000}, where, DType::i64), tensor({3000}, which, DType::i32)}, {y});
    Values expected = values(x);
    const Values v = values(list);
    for (std::size_t i = 0; i < v.size(); ++i) {
      double& to = expected[(static_cast<std::size_t>(where[i / 4]) * 4 + i % 4) * 6 + static_cast<std::size_t>(which[i / 4])];
      to = accumulate ? to + v[i] : v[i];
    }
    expect_near(y, expected, 1e-11);
  }
}

std::int64_t counted(const Tensor& count) { return static_cast<std::int64_t>(values(count)[0]); }
void expect_first(const Tensor& t, const Values& expected) {
  const Values v = values(t);
  EXPECT_EQ(Values(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(expected.size())), expected);
}

TEST(ManyElements, Nonzero) {
  for (const std::int64_t n : {2048, 2049, 90001}) {
    const Values v = integers(n, 3);
    const Tensor y = empty({n, 1}, DType::i64), size = empty({1}, DType::i64);
    run(core::Op::nonzero, {}, {tensor({n}, v, DType::u8)}, {y, size});
    Values expected;
    for (std::size_t i = 0; i < v.size(); ++i) {
      if (v[i] != 0) expected.push_back(static_cast<double>(i));
    }
    ASSERT_EQ(counted(size), static_cast<std::int64_t>(expected.size()));
    expect_first(y, expected);
  }
}

TEST(ManyElements, Unique) {
  for (const std::int64_t n : {2049, 30000}) {
    for (const std::int64_t width : {0, 2}) {  // 0: flat
      const std::int64_t elements = n * std::max<std::int64_t>(width, 1);
      const Values v = integers(elements, width == 0 ? 5000 : 40);
      std::map<Values, std::pair<double, double>> groups;  // group, count
      std::vector<Values> slices;
      const auto w = static_cast<std::size_t>(std::max<std::int64_t>(width, 1));
      for (std::size_t i = 0; i < v.size(); i += w)
        slices.emplace_back(v.begin() + static_cast<std::ptrdiff_t>(i), v.begin() + static_cast<std::ptrdiff_t>(i + w));
      for (const Values& s : slices) ++groups[s].second;
      Values expected, counts, inverse;
      for (auto& [slice, group] : groups) {
        group.first = static_cast<double>(counts.size());
        counts.push_back(group.second);
        expected.insert(expected.end(), slice.begin(), slice.end());
      }
      for (const Values& s : slices) inverse.push_back(groups[s].first);
      const Sizes sizes = width == 0 ? Sizes{n} : Sizes{n, width};
      const Tensor y = empty(sizes, DType::i32), inverses = empty({n}, DType::i64), sums = empty({n}, DType::i64), size = empty({1}, DType::i64);
      run(core::Op::unique, {{"axis", integer(width == 0 ? -1 : 0)}, {"consecutive", false}}, {tensor(sizes, v, DType::i32)}, {y, inverses, sums, size});
      ASSERT_EQ(counted(size), static_cast<std::int64_t>(groups.size()));
      expect_near(inverses, inverse, 0);
      expect_first(sums, counts);
      expect_first(y, expected);
    }
  }
}

TEST(ManyElements, Nms) {
  for (const std::int64_t n : {64, 65, 300, 2500}) {
    const Values corner = values(random({n, 4}));
    Values boxes;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const double x = 5 * (corner[4 * i] + 2), y = 5 * (corner[4 * i + 1] + 2);
      for (const double value : {x, y, x + 2 + corner[4 * i + 2] / 2, y + 2 + corner[4 * i + 3] / 2}) boxes.push_back(value);
    }
    const Tensor list = tensor({n, 4}, boxes), scores = random({n}, DType::f32, Layout::rows, 5), kept = empty({n}, DType::i64), size = empty({1}, DType::i64);
    run(core::Op::nms, {{"iou_threshold", 0.3}}, {list, scores}, {kept, size});
    const Values b = values(list);
    const auto at = [&](std::size_t i, std::size_t k) { return static_cast<float>(b[4 * i + k]); };
    const auto area = [&](std::size_t i) { return (at(i, 2) - at(i, 0)) * (at(i, 3) - at(i, 1)); };
    std::vector<std::size_t> chosen;
    for (const std::size_t i : stable_order(values(scores), true)) {
      const bool covered = std::any_of(chosen.begin(), chosen.end(), [&](std::size_t j) {
        const float w = std::max(0.0F, std::min(at(i, 2), at(j, 2)) - std::max(at(i, 0), at(j, 0))),
                    h = std::max(0.0F, std::min(at(i, 3), at(j, 3)) - std::max(at(i, 1), at(j, 1)));
        return w * h / (area(j) + area(i) - w * h) > 0.3F;
      });
      if (!covered) chosen.push_back(i);
    }
    ASSERT_EQ(counted(size), static_cast<std::int64_t>(chosen.size()));
    expect_first(kept, Values(chosen.begin(), chosen.end()));
  }
}

TEST(ManyElements, RepeatInterleave) {
  for (const std::int64_t n : {3, 2049, 30000}) {
    Values times = integers(n, 4), expected;
    times[1] = 5000;
    for (std::size_t i = 0; i < times.size(); ++i) expected.insert(expected.end(), static_cast<std::size_t>(times[i]), static_cast<double>(i));
    const Tensor y = empty({static_cast<std::int64_t>(expected.size())}, DType::i64), size = empty({1}, DType::i64);
    run(core::Op::repeat_interleave, {}, {tensor({n}, times, DType::i32)}, {y, size});
    EXPECT_EQ(counted(size), y.numel());
    expect_near(y, expected, 0);
  }
}

TEST(ManyElements, Concat) {
  std::vector<Tensor> inputs;
  Values expected;
  for (unsigned i = 0; i < 37; ++i) {
    inputs.push_back(random({i % 4 * 8 + 1, 16}, DType::f16, i % 5 == 0 ? Layout::gaps : Layout::rows, i));
    const Values v = values(inputs.back());
    expected.insert(expected.end(), v.begin(), v.end());
  }
  const Tensor y = empty({static_cast<std::int64_t>(expected.size()) / 16, 16}, DType::f16);
  run(core::Op::concat, {{"axis", integer(0)}}, inputs, {y});
  expect_near(y, expected, 0);
}

}  // namespace
}  // namespace reprise::kernels::test
