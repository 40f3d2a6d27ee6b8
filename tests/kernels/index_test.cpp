// index and index_put: dimensions replaced by those of index tensors.
#include <algorithm>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct Indexing {
  std::vector<Tensor> indices;
  Sizes axes;
  std::int64_t position = 0;

  [[nodiscard]] core::Attrs attrs() const { return {{"axes", ints(axes)}, {"position", integer(position)}}; }
  [[nodiscard]] core::Attrs attrs(bool accumulate) const { return {{"axes", ints(axes)}, {"position", integer(position)}, {"accumulate", accumulate}}; }
  [[nodiscard]] bool indexed(std::size_t axis) const { return std::count(axes.begin(), axes.end(), static_cast<std::int64_t>(axis)) > 0; }

  /// Sizes of y: the kept dimensions with those of the indices among them.
  [[nodiscard]] Sizes list_sizes(const Sizes& table) const {
    Sizes out;
    for (std::size_t d = 0; d < table.size(); ++d)
      if (!indexed(d)) out.push_back(table[d]);
    const Sizes& own = indices[0].sizes();
    out.insert(out.begin() + position, own.begin(), own.end());
    return out;
  }
  /// Calls f(place in the table, place in the list), row-major over the list.
  void for_each(const Sizes& table, const std::function<void(std::size_t, std::size_t)>& f) const {
    const Sizes list = list_sizes(table), own = indices[0].sizes();
    std::vector<Values> at;
    for (const Tensor& i : indices) at.push_back(values(i));
    for_each_index(list, [&](const Sizes& l) {
      const auto first = l.begin() + position, last = first + static_cast<std::ptrdiff_t>(own.size());
      const auto which = static_cast<std::size_t>(test::position(own, Sizes(first, last)));
      Sizes kept(l.begin(), first), t;
      kept.insert(kept.end(), last, l.end());
      std::size_t next = 0;
      for (std::size_t d = 0; d < table.size(); ++d) t.push_back(indexed(d) ? 0 : kept[next++]);
      for (std::size_t j = 0; j < axes.size(); ++j) {
        const auto axis = static_cast<std::size_t>(axes[j]);
        const auto value = static_cast<std::int64_t>(at[j][which]);
        t[axis] = value < 0 ? value + table[axis] : value;
      }
      f(static_cast<std::size_t>(test::position(table, t)), static_cast<std::size_t>(test::position(list, l)));
    });
  }
};

Tensor positions(const Sizes& sizes, std::int64_t bound, DType dtype = DType::i64, Layout layout = Layout::rows) {
  Values v(static_cast<std::size_t>(count(sizes)));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>((i * 5 + 1) % static_cast<std::size_t>(2 * bound)) - static_cast<double>(bound);
  return tensor(sizes, v, dtype, layout);  // in [-bound, bound)
}

const Sizes kTable{4, 5, 6};

/// One index, several beside each other, several apart, all, in any order; indices of rank 0 to 2.
std::vector<Indexing> cases(DType dtype, Layout layout) {
  const auto at = [&](const Sizes& sizes, std::size_t axis) { return positions(sizes, kTable[axis], dtype, layout); };
  return {{{at({3}, 0)}, {0}, 0},
          {{at({2, 3}, 1)}, {1}, 1},
          {{at({7}, 2)}, {2}, 2},
          {{at({}, 1)}, {1}, 1},
          {{at({4}, 1), at({4}, 2)}, {1, 2}, 1},
          {{at({4}, 0), at({4}, 2)}, {0, 2}, 0},
          {{at({2, 2}, 2), at({2, 2}, 0)}, {2, 0}, 0},
          {{at({3}, 0), at({3}, 1), at({3}, 2)}, {0, 1, 2}, 0},
          {{at({3}, 1)}, {1}, 2},
          {{at({0}, 1)}, {1}, 1}};
}

void check_index(const Tensor& x, const Indexing& ix, Layout layout = Layout::rows) {
  const Sizes sizes = ix.list_sizes(x.sizes());
  Values expected(static_cast<std::size_t>(count(sizes)));
  const Values v = values(x);
  ix.for_each(x.sizes(), [&](std::size_t t, std::size_t l) { expected[l] = v[t]; });
  const Tensor y = empty(sizes, x.dtype(), layout);
  std::vector<Tensor> inputs{x};
  inputs.insert(inputs.end(), ix.indices.begin(), ix.indices.end());
  run(core::Op::index, ix.attrs(), inputs, {y});
  expect_near(y, expected, 0);
}

TEST(Index, EveryListLayoutAndDType) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i64, DType::u8, DType::boolean}) {
    for (const Layout layout : kLayouts) {
      for (const DType of_index : {DType::i64, DType::i32}) {
        for (const Indexing& ix : cases(of_index, layout)) check_index(random(kTable, dtype, layout), ix, layout);
      }
    }
  }
}

TEST(Index, BroadcastIndicesAndEmptyTables) {
  check_index(random(kTable), {{expand(positions({3, 1}, 4), {3, 2}), expand(positions({1, 2}, 6), {3, 2})}, {0, 2}, 0});
  check_index(random({4, 0}), {{positions({3}, 4)}, {0}, 0});
  check_index(random({0, 4}), {{positions({0}, 1)}, {0}, 0});
}

TEST(Index, RefusesIndicesOutside) {
  const auto at = [](std::int64_t size, double i) {
    run(core::Op::index, {{"axes", ints({0})}, {"position", integer(0)}}, {random({size, 2}), tensor({1}, {i}, DType::i64)}, {empty({1, 2}, DType::f32)});
  };
  EXPECT_NO_THROW(at(3, -3));
  EXPECT_NO_THROW(at(3, 2));
  EXPECT_THROW(at(3, 3), ShapeError);
  EXPECT_THROW(at(3, -4), ShapeError);
  EXPECT_THROW(at(0, 0), ShapeError);
}

TEST(Index, RefusesListsThatDisagree) {
  const auto index = [](const std::vector<Tensor>& inputs, const Sizes& axes, std::int64_t position, const Sizes& y) {
    run(core::Op::index, {{"axes", ints(axes)}, {"position", integer(position)}}, inputs, {empty(y, DType::f32)});
  };
  const Tensor x = random({3, 4}), i = positions({2}, 3);
  EXPECT_THROW(index({x, i, i}, {0, 0}, 0, {2}), InvalidArgument);
  EXPECT_THROW(index({x, i, positions({3}, 3)}, {0, 1}, 0, {2}), InvalidArgument);
  EXPECT_THROW(index({x, i}, {0, 1}, 0, {2, 4}), InvalidArgument);
  EXPECT_THROW(index({x, i}, {0}, 0, {2, 5}), InvalidArgument);
  EXPECT_THROW(index({x, i}, {0}, 2, {4, 2}), InvalidArgument);
  EXPECT_THROW(index({x, random({2})}, {0}, 0, {2, 4}), InvalidArgument);
}

// ---- index_put ----

void check_put(const Tensor& x, const Indexing& ix, const Tensor& src, bool accumulate, bool in_place = false) {
  Values expected = values(x);
  const Values v = values(src);
  ix.for_each(x.sizes(), [&](std::size_t t, std::size_t l) {
    const double sum = expected[t] + v[l];
    expected[t] = !accumulate ? v[l] : x.dtype() == DType::boolean ? static_cast<double>(sum != 0) : sum;
  });
  const Tensor y = in_place ? x : empty(x.sizes(), x.dtype());
  std::vector<Tensor> inputs{x, src};
  inputs.insert(inputs.end(), ix.indices.begin(), ix.indices.end());
  run(core::Op::index_put, ix.attrs(accumulate), inputs, {y});
  expect_near(y, expected, accumulate ? 4 * tolerance(x.dtype()) : 0);
}

TEST(IndexPut, EveryListLayoutAndDType) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32, DType::boolean}) {
    for (const Layout layout : kLayouts) {
      for (const Indexing& ix : cases(DType::i64, layout)) {
        const Tensor src = random(ix.list_sizes(kTable), dtype, layout, 2);
        for (const bool accumulate : {false, true}) {
          check_put(random(kTable, dtype, layout), ix, src, accumulate);
          if (layout == Layout::rows) check_put(random(kTable, dtype), ix, src, accumulate, true);
        }
      }
    }
  }
}

TEST(IndexPut, OneValueForAllPlaces) {
  const Indexing ix{{positions({9}, 4)}, {0}, 0};
  for (const bool accumulate : {false, true}) check_put(random(kTable), ix, expand(random({1, 1, 1}, DType::f32, Layout::rows, 2), {9, 5, 6}), accumulate);
}

TEST(IndexPut, TheLastOfEqualIndicesWins) {
  const Tensor y = empty({2}, DType::f32);
  run(core::Op::index_put, Indexing{{}, {0}, 0}.attrs(false), {tensor({2}, {0, 0}), tensor({4}, {1, 2, 3, 4}), tensor({4}, {0, 1, -2, 0}, DType::i64)}, {y});
  expect_near(y, {4, 2}, 0);
}

TEST(IndexPut, RefusesIndicesOutside) {
  for (const bool accumulate : {false, true}) {
    const auto put = [&](double i) {
      run(core::Op::index_put, Indexing{{}, {0}, 0}.attrs(accumulate), {random({3}), random({1}), tensor({1}, {i}, DType::i64)}, {empty({3}, DType::f32)});
    };
    EXPECT_NO_THROW(put(-3));
    EXPECT_THROW(put(3), ShapeError);
    EXPECT_THROW(put(-4), ShapeError);
  }
}

}  // namespace
}  // namespace reprise::kernels::test
