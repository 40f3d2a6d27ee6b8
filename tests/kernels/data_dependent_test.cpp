// Ops whose results are as large as their data say. Outputs have room for the most; `count` tells how much of them is used.
#include <algorithm>
#include <map>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

/// The first `n` elements in row-major order.
Values first(const Tensor& t, std::int64_t n) {
  Values v = values(t);
  v.resize(static_cast<std::size_t>(n));
  return v;
}

std::int64_t counted(const Tensor& count) { return static_cast<std::int64_t>(values(count)[0]); }

// ---- nonzero ----

void check_nonzero(const Tensor& x) {
  Values expected;
  const Values v = values(x);
  for_each_index(x.sizes(), [&](const Sizes& index) {
    if (v[static_cast<std::size_t>(position(x.sizes(), index))] != 0) expected.insert(expected.end(), index.begin(), index.end());
  });
  const std::int64_t rank = x.rank();
  const Tensor y = empty({x.numel(), rank}, DType::i64), n = empty({1}, DType::i64);
  run(core::Op::nonzero, {}, {x}, {y, n});
  EXPECT_EQ(counted(n), std::count_if(v.begin(), v.end(), [](double value) { return value != 0; }));
  EXPECT_EQ(first(y, counted(n) * rank), expected);
}

TEST(Nonzero, EveryDTypeAndLayout) {
  for (int t = 0; t < kDTypeCount; ++t) {
    for (const Layout layout : kLayouts) {
      Values v(60);
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = (i * i) % 7 < 3 ? 0 : 1;
      check_nonzero(tensor({3, 4, 5}, v, static_cast<DType>(t), layout));
      check_nonzero(tensor({60}, v, static_cast<DType>(t), layout));
    }
  }
}

TEST(Nonzero, NanCountsNegativeZeroDoesNot) { check_nonzero(tensor({6}, {kNan, -0.0, 0, kInf, 1e-45, -1})); }

TEST(Nonzero, AllNoneAndEmpty) {
  check_nonzero(tensor({2, 2}, {1, 2, 3, 4}));
  check_nonzero(tensor({2, 2}, {0, 0, 0, 0}));
  check_nonzero(random({0, 3}));
  const Tensor n = empty({1}, DType::i64);
  for (const double value : {0.0, 2.0}) {
    run(core::Op::nonzero, {}, {tensor({}, {value})}, {empty({1, 0}, DType::i64), n});
    EXPECT_EQ(counted(n), value != 0);
  }
}

TEST(Nonzero, RefusesTooLittleRoom) {
  EXPECT_THROW(run(core::Op::nonzero, {}, {random({4})}, {empty({3, 1}, DType::i64), empty({1}, DType::i64)}), InvalidArgument);
  EXPECT_THROW(run(core::Op::nonzero, {}, {random({4})}, {empty({4, 2}, DType::i64), empty({1}, DType::i64)}), InvalidArgument);
}

// ---- unique ----

struct Uniques {
  std::vector<Values> slices;
  Values inverse, counts;
};

/// x's slices along `axis` (-1: its elements).
std::vector<Values> slices_of(const Tensor& x, std::int64_t axis) {
  const Values v = values(x);
  std::vector<Values> out(static_cast<std::size_t>(axis < 0 ? x.numel() : x.sizes()[static_cast<std::size_t>(axis)]));
  for_each_index(x.sizes(), [&](const Sizes& index) {
    const auto at = position(x.sizes(), index);
    out[static_cast<std::size_t>(axis < 0 ? at : index[static_cast<std::size_t>(axis)])].push_back(v[static_cast<std::size_t>(at)]);
  });
  return out;
}

Uniques uniques(const std::vector<Values>& slices, bool consecutive) {
  Uniques out;
  if (!consecutive) {
    std::map<Values, double> counts;
    for (const Values& s : slices) ++counts[s];
    for (const auto& [slice, n] : counts) {
      out.slices.push_back(slice);
      out.counts.push_back(n);
    }
    for (const Values& s : slices) out.inverse.push_back(static_cast<double>(std::distance(counts.begin(), counts.find(s))));
    return out;
  }
  for (const Values& s : slices) {
    if (out.slices.empty() || out.slices.back() != s) {
      out.slices.push_back(s);
      out.counts.push_back(0);
    }
    ++out.counts.back();
    out.inverse.push_back(static_cast<double>(out.slices.size() - 1));
  }
  return out;
}

void check_unique(const Tensor& x, std::int64_t axis, bool consecutive) {
  const auto slices = slices_of(x, axis);
  const Uniques want = uniques(slices, consecutive);
  const auto room = static_cast<std::int64_t>(slices.size()), found = static_cast<std::int64_t>(want.slices.size());
  const Tensor y = empty(axis < 0 ? Sizes{room} : x.sizes(), x.dtype()), counts = empty({room}, DType::i64), n = empty({1}, DType::i64);
  const Tensor inverse = empty(axis < 0 ? x.sizes() : Sizes{room}, DType::i64);
  run(core::Op::unique, {{"axis", integer(axis)}, {"consecutive", consecutive}}, {x}, {y, inverse, counts, n});
  ASSERT_EQ(counted(n), found);
  EXPECT_EQ(values(inverse), want.inverse);
  EXPECT_EQ(first(counts, found), want.counts);
  Sizes sizes = axis < 0 ? Sizes{found} : x.sizes();
  if (axis >= 0) sizes[static_cast<std::size_t>(axis)] = found;
  const Tensor used = tensor(sizes, first(y, count(sizes)), x.dtype());
  EXPECT_EQ(slices_of(used, axis < 0 ? 0 : axis), want.slices);
}

TEST(Unique, EveryDTypeLayoutAndAxis) {
  for (const DType dtype : {DType::f32, DType::f16, DType::f64, DType::i64, DType::u8, DType::i8, DType::boolean}) {
    for (const Layout layout : kLayouts) {
      const Tensor x = random({4, 6}, DType::i8, layout);
      Values v = values(x);
      for (double& value : v) value = is_signed(dtype) ? std::trunc(value / 2) : value > 0;
      for (const bool consecutive : {false, true}) {
        check_unique(tensor({4, 6}, v, dtype, layout), -1, consecutive);
        const Tensor pairs = tensor({2, 2, 6}, v, dtype, layout);
        for (const std::int64_t axis : {0, 1, 2}) check_unique(pairs, axis, consecutive);
      }
    }
  }
}

TEST(Unique, SlicesThatRepeat) {
  const Tensor x = tensor({5, 2}, {3, 1, 2, 9, 3, 1, 3, 1, 2, 9});
  for (const bool consecutive : {false, true}) {
    check_unique(x, 0, consecutive);
    check_unique(x.as_strided(Sizes{2, 5}, Sizes{1, 2}), 1, consecutive);
  }
}

TEST(Unique, EmptyAndScalars) {
  for (const bool consecutive : {false, true}) {
    check_unique(random({0}), -1, consecutive);
    check_unique(random({}), -1, consecutive);
    check_unique(random({0, 3}), 0, consecutive);
  }
}

// Every NaN is different from all others, and they come last.
TEST(Unique, NanIsNeverEqual) {
  const Tensor y = empty({5}, DType::f32), inverse = empty({5}, DType::i64), counts = empty({5}, DType::i64), n = empty({1}, DType::i64);
  run(core::Op::unique, {{"axis", integer(-1)}, {"consecutive", false}}, {tensor({5}, {kNan, 2, kNan, 1, 2})}, {y, inverse, counts, n});
  ASSERT_EQ(counted(n), 4);
  expect_near(inverse, {2, 1, 3, 0, 1}, 0);
  EXPECT_EQ(first(counts, 4), (Values{1, 2, 1, 1}));
  EXPECT_EQ(first(y, 2), (Values{1, 2}));
  EXPECT_TRUE(std::isnan(values(y)[2]) && std::isnan(values(y)[3]));
}

TEST(Unique, RefusesTooLittleRoom) {
  const auto unique = [](std::int64_t room, std::int64_t axis) {
    const Tensor counts = empty({room}, DType::i64);
    run(core::Op::unique, {{"axis", integer(axis)}, {"consecutive", false}}, {random({4})},
        {empty({room}, DType::f32), empty({4}, DType::i64), counts, empty({1}, DType::i64)});
  };
  EXPECT_NO_THROW(unique(4, -1));
  EXPECT_THROW(unique(3, -1), InvalidArgument);
  EXPECT_THROW(unique(4, 1), InvalidArgument);
}

// ---- nms ----

Values kept(const Values& boxes, const Values& scores, double threshold, DType dtype = DType::f32, Layout layout = Layout::rows) {
  const auto n = static_cast<std::int64_t>(scores.size());
  const Tensor y = empty({n}, DType::i64), found = empty({1}, DType::i64);
  run(core::Op::nms, {{"iou_threshold", threshold}}, {tensor({n, 4}, boxes, dtype, layout), tensor({n}, scores, dtype, layout)}, {y, found});
  return first(y, counted(found));
}

TEST(Nms, KeepsTheBestOfWhatOverlaps) {
  // 0 and 1 share 81 of 119, 2 stands apart, 3 lies inside of 0 (25 of 100).
  const Values boxes{0, 0, 10, 10, 1, 1, 11, 11, 20, 20, 30, 30, 0, 0, 5, 5};
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    for (const Layout layout : kLayouts) {
      EXPECT_EQ(kept(boxes, {0.5, 0.75, 0.25, 0.125}, 0.5, dtype, layout), (Values{1, 2, 3}));
      EXPECT_EQ(kept(boxes, {0.75, 0.5, 0.25, 0.125}, 0.2, dtype, layout), (Values{0, 2}));
      EXPECT_EQ(kept(boxes, {0.5, 0.75, 0.25, 0.125}, 0.7, dtype, layout), (Values{1, 0, 2, 3}));
    }
  }
}

TEST(Nms, TheThresholdItselfIsKeptAndTiesGoByPlace) {
  const Values halves{0, 0, 2, 1, 0, 0, 1, 1};  // 1 of 2 is shared
  EXPECT_EQ(kept(halves, {1, 1}, 0.5), (Values{0, 1}));
  EXPECT_EQ(kept(halves, {1, 1}, 0.499), (Values{0}));
}

TEST(Nms, EmptyAndDegenerateBoxes) {
  EXPECT_EQ(kept({}, {}, 0.5), Values{});
  EXPECT_EQ(kept({1, 1, 1, 1, 1, 1, 1, 1}, {1, 2}, 0.5), (Values{1, 0}));  // without area nothing is shared: 0 / 0
}

TEST(Nms, RefusesWhatAreNoBoxes) {
  const auto nms = [](const Tensor& boxes, const Tensor& scores) {
    run(core::Op::nms, {{"iou_threshold", 0.5}}, {boxes, scores}, {empty({3}, DType::i64), empty({1}, DType::i64)});
  };
  EXPECT_THROW(nms(random({3, 5}), random({3})), InvalidArgument);
  EXPECT_THROW(nms(random({3, 4}), random({2})), InvalidArgument);
  EXPECT_THROW(nms(random({3, 4}, DType::i64), random({3})), InvalidArgument);
  EXPECT_THROW(nms(random({4, 4}), random({4})), InvalidArgument);
}

// ---- repeat_interleave ----

TEST(RepeatInterleave, EveryIndexAsOftenAsItsCountSays) {
  for (const DType dtype : {DType::i64, DType::i32}) {
    for (const Layout layout : {Layout::rows, Layout::gaps}) {
      const Tensor y = empty({6}, DType::i64), n = empty({1}, DType::i64);
      run(core::Op::repeat_interleave, {}, {tensor({5}, {2, 0, 1, 3, 0}, dtype, layout)}, {y, n});
      EXPECT_EQ(counted(n), 6);
      expect_near(y, {0, 0, 2, 3, 3, 3}, 0);
    }
  }
  const Tensor none = empty({1}, DType::i64);
  run(core::Op::repeat_interleave, {}, {empty({0}, DType::i64)}, {empty({0}, DType::i64), none});
  EXPECT_EQ(counted(none), 0);
}

TEST(RepeatInterleave, RefusesNegativeCountsAndTooLittleRoom) {
  const auto repeat = [](const Values& counts, std::int64_t room) {
    run(core::Op::repeat_interleave, {}, {tensor({static_cast<std::int64_t>(counts.size())}, counts, DType::i64)}, {empty({room}, DType::i64)});
  };
  EXPECT_NO_THROW(repeat({2, 1}, 3));
  EXPECT_THROW(repeat({2, -1}, 3), ShapeError);
  EXPECT_THROW(repeat({2, 2}, 3), ShapeError);
}

}  // namespace
}  // namespace reprise::kernels::test
