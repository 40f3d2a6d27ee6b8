// sort, topk and search_sorted: NaN is larger than everything, equal elements keep their order.
#include <algorithm>
#include <numeric>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

bool less(double a, double b) { return a < b || (std::isnan(b) && !std::isnan(a)); }

/// Places of v's elements in order.
std::vector<std::size_t> order_of(const Values& v, bool descending) {
  std::vector<std::size_t> order(v.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return descending ? less(v[b], v[a]) : less(v[a], v[b]); });
  return order;
}

/// Runs `op` and compares with every line of x along `axis`, ordered, its first `kept` elements.
void check_rows(core::Op op, const core::Attrs& attrs, const Tensor& x, std::size_t axis, std::int64_t kept, bool descending, Layout layout) {
  Sizes sizes = x.sizes(), lines = x.sizes();
  if (!sizes.empty()) sizes[axis] = kept;
  if (!lines.empty()) lines[axis] = 1;
  const Values v = values(x);
  Values want_values(static_cast<std::size_t>(count(sizes))), want_indices(want_values.size());
  for_each_index(lines, [&](Sizes at) {
    const auto place = [&](const Sizes& of, std::size_t i) {
      if (!at.empty()) at[axis] = static_cast<std::int64_t>(i);
      return static_cast<std::size_t>(position(of, at));
    };
    Values line(x.rank() == 0 ? 1 : static_cast<std::size_t>(x.sizes()[axis]));
    for (std::size_t i = 0; i < line.size(); ++i) line[i] = v[place(x.sizes(), i)];
    const auto order = order_of(line, descending);
    for (std::size_t i = 0; i < static_cast<std::size_t>(kept); ++i) {
      want_values[place(sizes, i)] = line[order[i]];
      want_indices[place(sizes, i)] = static_cast<double>(order[i]);
    }
  });
  const Tensor y = empty(sizes, x.dtype(), layout), indices = empty(sizes, DType::i64, layout);
  run(op, attrs, {x}, {y, indices});
  expect_near(y, want_values, 0, "values");
  expect_near(indices, want_indices, 0, "indices");
}

void check_sort(const Tensor& x, std::size_t axis, bool descending, Layout layout = Layout::rows) {
  const core::Attrs attrs{{"axis", integer(static_cast<std::int64_t>(axis))}, {"descending", descending}, {"stable", true}};
  check_rows(core::Op::sort, attrs, x, axis, x.rank() == 0 ? 1 : x.sizes()[axis], descending, layout);
}

void check_topk(const Tensor& x, std::size_t axis, std::int64_t k, bool largest, Layout layout = Layout::rows) {
  const core::Attrs attrs{{"axis", integer(static_cast<std::int64_t>(axis))}, {"largest", largest}, {"sorted", true}};
  check_rows(core::Op::topk, attrs, x, axis, k, largest, layout);
}

void for_each_dtype(const std::function<void(DType)>& f) {
  for (int t = 0; t < kDTypeCount; ++t) f(static_cast<DType>(t));
}

TEST(Sort, EveryDTypeAxisAndLayout) {
  for_each_dtype([](DType dtype) {
    for (const bool descending : {false, true}) {
      for (const Layout layout : kLayouts) {
        for (const std::size_t axis : {0, 1, 2}) check_sort(random({3, 4, 23}, dtype, layout), axis, descending, layout);
      }
    }
  });
}

TEST(Sort, NanInfinitiesAndSignedZeros) {
  const Values v{3, kNan, -kInf, 0, -0.0, kInf, kNan, 0, 1};
  for (const DType dtype : kReals) {
    for (const bool descending : {false, true}) check_sort(tensor({9}, v, dtype), 0, descending);
  }
}

TEST(Sort, WideIntegersAreNotComparedAsReals) {
  const Tensor x = Tensor::zeros(Sizes{3}, DType::i64), y = empty({3}, DType::i64), indices = empty({3}, DType::i64);
  const std::int64_t big = (std::int64_t{1} << 60) + 1;
  std::copy_n(std::begin({big, big - 1, -big}), 3, x.data_as<std::int64_t>());
  run(core::Op::sort, {{"axis", integer(-1)}, {"descending", false}, {"stable", false}}, {x}, {y, indices});
  expect_near(indices, {2, 1, 0}, 0);
  const Tensor u = Tensor::zeros(Sizes{2}, DType::u64), sorted = empty({2}, DType::u64), places = empty({2}, DType::i64);
  u.data_as<std::uint64_t>()[0] = ~std::uint64_t{0};
  run(core::Op::sort, {{"axis", integer(0)}, {"descending", false}, {"stable", false}}, {u}, {sorted, places});
  expect_near(places, {1, 0}, 0);
}

TEST(Sort, ScalarsAndEmptyLines) {
  check_sort(random({}), 0, true);
  check_sort(random({3, 0}), 1, false);
  check_sort(random({0, 3}), 1, false);
  check_sort(random({4, 1}), 1, false);
}

TEST(TopK, EveryDTypeAxisAndLayout) {
  for_each_dtype([](DType dtype) {
    for (const bool largest : {false, true}) {
      for (const Layout layout : kLayouts) {
        for (const std::int64_t k : {0, 1, 3, 4}) check_topk(random({4, 4, 4}, dtype, layout), static_cast<std::size_t>(k % 3), k, largest, layout);
      }
      check_topk(random({2, 500}, dtype), 1, 40, largest);
    }
  });
}

TEST(TopK, NanIsTheLargest) {
  for (const bool largest : {false, true}) check_topk(tensor({6}, {1, kNan, kInf, -kInf, kNan, 2}), 0, 4, largest);
}

TEST(TopK, ScalarsAndEmpty) {
  check_topk(random({}), 0, 1, true);
  check_topk(random({3, 0}), 1, 0, true);
}

TEST(TopK, RefusesMoreThanThereAre) {
  EXPECT_THROW(run(core::Op::topk, {{"axis", integer(0)}, {"largest", true}, {"sorted", true}}, {random({3})}, {random({4}), random({4}, DType::i64)}),
               InvalidArgument);
  EXPECT_THROW(run(core::Op::sort, {{"axis", integer(0)}, {"descending", true}, {"stable", true}}, {random({3})}, {random({3}), random({3}, DType::i32)}),
               InvalidArgument);
  EXPECT_THROW(run(core::Op::sort, {{"axis", integer(1)}, {"descending", true}, {"stable", true}}, {random({3})}, {random({3}), random({3}, DType::i64)}),
               InvalidArgument);
}

// ---- search_sorted ----

/// How many of `line` stand before the place of v.
double place(const Values& line, double v, bool right) {
  return static_cast<double>(std::count_if(line.begin(), line.end(), [&](double x) { return right ? !less(v, x) : less(x, v); }));
}

void check_search(const Tensor& sorted, const Tensor& wanted, bool right, DType result = DType::i64, Layout layout = Layout::rows) {
  const Values lines = values(sorted), v = values(wanted);
  const auto n = static_cast<std::size_t>(sorted.sizes().back()), m = wanted.rank() == 0 ? 1 : static_cast<std::size_t>(wanted.sizes().back());
  Values expected;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const auto row = sorted.rank() == wanted.rank() ? i / m : 0;
    const Values line(lines.begin() + static_cast<std::ptrdiff_t>(row * n), lines.begin() + static_cast<std::ptrdiff_t>((row + 1) * n));
    expected.push_back(place(line, v[i], right));
  }
  const Tensor y = empty(wanted.sizes(), result, layout);
  run(core::Op::search_sorted, {{"right", right}}, {sorted, wanted}, {y});
  expect_near(y, expected, 0);
}

Tensor sorted_rows(const Sizes& sizes, DType dtype, Layout layout) {
  Values v = values(random(sizes, dtype));
  const auto n = static_cast<std::ptrdiff_t>(sizes.back());
  for (auto row = v.begin(); n > 0 && row != v.end(); row += n) std::sort(row, row + n);
  return tensor(sizes, v, dtype, layout);
}

TEST(SearchSorted, EveryDTypeLayoutAndSide) {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::i64, DType::i32, DType::u8, DType::u64}) {
    for (const Layout layout : kLayouts) {
      for (const bool right : {false, true}) {
        check_search(sorted_rows({2, 3, 9}, dtype, layout), random({2, 3, 5}, dtype, layout, 2), right, DType::i64, layout);
        check_search(sorted_rows({9}, dtype, layout), random({2, 3, 5}, dtype, layout, 2), right, DType::i32, layout);  // one row for all
        check_search(sorted_rows({9}, dtype, layout), random({}, dtype, Layout::rows, 2), right);
      }
    }
  }
}

TEST(SearchSorted, EqualElementsEndsAndNan) {
  const Tensor rows = tensor({7}, {-kInf, 1, 1, 1, 2, kInf, kNan}), wanted = tensor({6}, {-kInf, 1, 1.5, kInf, kNan, 3});
  for (const bool right : {false, true}) check_search(rows, wanted, right);
  check_search(random({0}), random({3}), true);
  check_search(random({2, 4}), random({2, 0}), false);
}

}  // namespace
}  // namespace reprise::kernels::test
