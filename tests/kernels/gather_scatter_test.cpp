#include <algorithm>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

/// Positions below `bound`, in reproducible disorder, with repetitions.
Tensor positions(const Sizes& sizes, std::int64_t bound, DType dtype = DType::i64, Layout layout = Layout::rows) {
  Values v(static_cast<std::size_t>(count(sizes)));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>((i * 7 + i / 3) % static_cast<std::size_t>(bound));
  return tensor(sizes, v, dtype, layout);
}

/// Calls f(place in the table, place in the list) for every element of `index`, in row-major order.
void for_each_pair(const Tensor& index, const Sizes& table, std::size_t axis, const std::function<void(std::size_t, std::size_t)>& f) {
  const Values at = values(index);
  for_each_index(index.sizes(), [&](const Sizes& i) {
    const auto l = static_cast<std::size_t>(position(index.sizes(), i));
    Sizes t = i;
    if (!t.empty()) t[axis] = static_cast<std::int64_t>(at[l]);
    f(static_cast<std::size_t>(position(table, t)), l);
  });
}

void check_gather(const Tensor& x, const Tensor& index, std::size_t axis, Layout layout = Layout::rows) {
  Values expected(static_cast<std::size_t>(index.numel()));
  const Values v = values(x);
  for_each_pair(index, x.sizes(), axis, [&](std::size_t t, std::size_t l) { expected[l] = v[t]; });
  const Tensor y = empty(index.sizes(), x.dtype(), layout);
  run(core::Op::gather, {{"axis", integer(static_cast<std::int64_t>(axis))}}, {x, index}, {y});
  expect_near(y, expected, 0);
}

TEST(Gather, EveryAxisLayoutAndDType) {
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::i64, DType::u8, DType::boolean}) {
    for (const Layout layout : kLayouts) {
      for (const DType of_index : {DType::i64, DType::i32}) {
        const Tensor x = random({3, 4, 5}, dtype, layout);
        check_gather(x, positions({3, 4, 9}, 5, of_index, layout), 2, layout);
        check_gather(x, positions({2, 7, 5}, 4, of_index, layout), 1, layout);  // the index may be smaller along the other axes
        check_gather(x, positions({6, 1, 2}, 3, of_index, layout), 0, layout);
      }
    }
  }
}

TEST(Gather, ScalarsEmptyAndBroadcastOperands) {
  check_gather(random({}), positions({}, 1), 0);
  check_gather(random({3, 4}), positions({3, 0}, 4), 1);
  check_gather(random({0, 4}), positions({0, 2}, 4), 1);
  check_gather(expand(random({1, 4}), {3, 4}), expand(positions({1, 6}, 4), {3, 6}), 1);
}

TEST(Gather, RefusesIndicesOutside) {
  const auto gather = [](double index) {
    run(core::Op::gather, {{"axis", integer(0)}}, {random({3}), tensor({2}, {0, index}, DType::i64)}, {empty({2}, DType::f32)});
  };
  EXPECT_THROW(gather(3), ShapeError);
  EXPECT_THROW(gather(-1), ShapeError);
  EXPECT_NO_THROW(gather(2));
  EXPECT_THROW(run(core::Op::gather, {{"axis", integer(0)}}, {random({3}), random({2})}, {empty({2}, DType::f32)}), InvalidArgument);
  EXPECT_THROW(run(core::Op::gather, {{"axis", integer(0)}}, {random({3, 2}), positions({2, 3}, 3)}, {empty({2, 3}, DType::f32)}), InvalidArgument);
  EXPECT_THROW(run(core::Op::gather, {{"axis", integer(1)}}, {random({3}), positions({2}, 3)}, {empty({2}, DType::f32)}), InvalidArgument);
}

// ---- scatter ----

double folded(const std::string& reduce, const Values& v, bool is_real) {
  double out = v[0];
  for (std::size_t i = 1; i < v.size(); ++i) {
    if (reduce == "none") out = v[i];
    if (reduce == "sum" || reduce == "mean") out += v[i];
    if (reduce == "prod") out *= v[i];
    if (reduce == "max") out = std::isnan(out) || std::isnan(v[i]) ? kNan : std::max(out, v[i]);
    if (reduce == "min") out = std::isnan(out) || std::isnan(v[i]) ? kNan : std::min(out, v[i]);
  }
  if (reduce != "mean") return out;
  out /= static_cast<double>(v.size());
  return is_real ? out : std::floor(out);
}

void check_scatter(const char* reduce, const Tensor& x, const Tensor& index, const Tensor& src, std::size_t axis, bool include_self, bool in_place = false) {
  const Values base = values(x), list = values(src);
  std::vector<Values> groups(base.size());
  for_each_pair(index, x.sizes(), axis, [&](std::size_t t, std::size_t l) { groups[t].push_back(list[l]); });
  Values expected = base;
  for (std::size_t t = 0; t < base.size(); ++t) {
    if (groups[t].empty()) continue;
    if (include_self) groups[t].insert(groups[t].begin(), base[t]);
    expected[t] = folded(reduce, groups[t], is_floating(x.dtype()));
  }
  const Tensor y = in_place ? x : empty(x.sizes(), x.dtype());
  run(core::Op::scatter, {{"axis", integer(static_cast<std::int64_t>(axis))}, {"reduce", text(reduce)}, {"include_self", include_self}}, {x, index, src}, {y});
  expect_near(y, expected, 4 * tolerance(x.dtype()), std::string(reduce) + (include_self ? " with self" : ""));
}

TEST(Scatter, EveryReductionLayoutAndDType) {
  for (const char* reduce : {"none", "sum", "prod", "mean", "max", "min"}) {
    for (const bool include_self : {true, false}) {
      for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64, DType::i32}) {
        for (const Layout layout : kLayouts) {
          const Tensor x = random({3, 4, 5}, dtype, layout, 1);
          check_scatter(reduce, x, positions({3, 4, 7}, 5, DType::i64, layout), random({3, 4, 7}, dtype, layout, 2), 2, include_self);
          check_scatter(reduce, x, positions({2, 6, 5}, 4, DType::i32, layout), random({2, 6, 5}, dtype, layout, 2), 1, include_self);
        }
      }
    }
  }
}

TEST(Scatter, WorksInPlace) {
  for (const char* reduce : {"none", "sum", "mean", "max"}) {
    for (const bool include_self : {true, false}) check_scatter(reduce, random({4, 5}), positions({9, 5}, 4), random({9, 5}), 0, include_self, true);
  }
}

TEST(Scatter, ScalarsAndEmptyIndices) {
  check_scatter("sum", random({}), positions({}, 1), random({}, DType::f32, Layout::rows, 2), 0, true);
  check_scatter("none", random({3, 4}), positions({0, 4}, 1), random({0, 4}), 0, true);
  check_scatter("mean", random({3, 4}), positions({3, 0}, 1), random({3, 0}), 1, false);
}

TEST(Scatter, NanAndInfinities) {
  const Tensor x = tensor({3}, {1, kInf, 2}), index = tensor({4}, {0, 0, 1, 2}, DType::i64), src = tensor({4}, {kNan, 5, -kInf, -kInf});
  for (const char* reduce : {"max", "min"}) {
    for (const bool include_self : {true, false}) check_scatter(reduce, x, index, src, 0, include_self);
  }
  check_scatter("sum", x, index, src, 0, true);
}

TEST(Scatter, BooleansAreAddedAsTruth) {
  const Tensor x = tensor({3}, {0, 1, 0}, DType::boolean), index = tensor({4}, {0, 0, 1, 2}, DType::i64), src = tensor({4}, {1, 1, 1, 0}, DType::boolean);
  const Tensor y = empty({3}, DType::boolean);
  run(core::Op::scatter, {{"axis", integer(0)}, {"reduce", text("sum")}, {"include_self", true}}, {x, index, src}, {y});
  expect_near(y, {1, 1, 0}, 0);
}

TEST(Scatter, RefusesWhatDoesNotFit) {
  const auto scatter = [](const char* reduce, const Tensor& index, const Tensor& src, const Tensor& y) {
    run(core::Op::scatter, {{"axis", integer(0)}, {"reduce", text(reduce)}, {"include_self", true}}, {random({3}), index, src}, {y});
  };
  const Tensor y = empty({3}, DType::f32);
  EXPECT_THROW(scatter("sum", tensor({2}, {0, 3}, DType::i64), random({2}), y), ShapeError);
  EXPECT_THROW(scatter("none", tensor({2}, {-1, 0}, DType::i64), random({2}), y), ShapeError);
  EXPECT_THROW(scatter("median", positions({2}, 3), random({2}), y), InvalidArgument);
  EXPECT_THROW(scatter("sum", positions({2}, 3), random({3}), y), InvalidArgument);
  EXPECT_THROW(scatter("sum", positions({2}, 3), random({2}, DType::f64), y), InvalidArgument);
  EXPECT_THROW(scatter("sum", positions({2}, 3), random({2}), empty({3}, DType::f32, Layout::gaps)), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
