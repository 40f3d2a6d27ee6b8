// What puts outputs together from windows: concat, pad, write_view.
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

const DType kSome[] = {DType::f32, DType::bf16, DType::i64, DType::u8, DType::boolean};

Values concatenated(const std::vector<Tensor>& parts, std::size_t axis, const Sizes& sizes) {
  Values out(static_cast<std::size_t>(count(sizes)));
  std::int64_t start = 0;
  for (const Tensor& part : parts) {
    const Values v = values(part);
    for_each_index(part.sizes(), [&](const Sizes& index) {
      Sizes at = index;
      at[axis] += start;
      out[static_cast<std::size_t>(position(sizes, at))] = v[static_cast<std::size_t>(position(part.sizes(), index))];
    });
    start += part.sizes()[axis];
  }
  return out;
}

TEST(Concat, EveryAxisLayoutAndDType) {
  for (const DType dtype : kSome) {
    for (const Layout layout : kLayouts) {
      for (const std::size_t axis : {0, 1, 2}) {
        std::vector<Tensor> parts;
        Sizes whole{3, 4, 5};
        whole[axis] = 0;
        for (const std::int64_t n : {2, 0, 1, 6}) {
          Sizes sizes{3, 4, 5};
          sizes[axis] = n;
          whole[axis] += n;
          parts.push_back(random(sizes, dtype, layout, static_cast<unsigned>(n)));
        }
        const Tensor y = empty(whole, dtype, layout);
        run(core::Op::concat, {{"axis", integer(static_cast<std::int64_t>(axis) - (axis == 2 ? 3 : 0))}}, parts, {y});
        expect_near(y, concatenated(parts, axis, whole), 0, name(layout));
      }
    }
  }
}

TEST(Concat, OneTensorManyTimesAndNothingAtAll) {
  const Tensor x = expand(random({1, 3}), {4, 3}), y = empty({8, 3}, DType::f32);
  run(core::Op::concat, {{"axis", integer(0)}}, {x, x}, {y});
  expect_near(y, concatenated({x, x}, 0, {8, 3}), 0);
  EXPECT_NO_THROW(run(core::Op::concat, {{"axis", integer(1)}}, {random({0, 2}), random({0, 1})}, {empty({0, 3}, DType::f32)}));
}

TEST(Concat, RefusesWhatDoesNotFit) {
  const auto join = [](const std::vector<Tensor>& parts, const Tensor& y, std::int64_t axis) { run(core::Op::concat, {{"axis", integer(axis)}}, parts, {y}); };
  EXPECT_THROW(join({random({2, 3}), random({2, 3})}, random({5, 3}), 0), InvalidArgument);
  EXPECT_THROW(join({random({2, 3}), random({2, 4})}, random({4, 3}), 0), InvalidArgument);
  EXPECT_THROW(join({random({2, 3}), random({2, 3}, DType::f64)}, random({4, 3}), 0), InvalidArgument);
  EXPECT_THROW(join({random({2, 3})}, random({2, 3}), 2), InvalidArgument);
  EXPECT_THROW(join({random({6})}, random({2, 3}), 0), InvalidArgument);
  EXPECT_THROW(join({}, random({2, 3}), 0), InvalidArgument);
}

// ---- pad ----

/// What stands at position i of a line of n that is padded by `before`; -1: the pad's value.
std::int64_t source(const std::string& kind, std::int64_t i, std::int64_t n) {
  if (i >= 0 && i < n) return i;
  if (kind == "constant") return -1;
  if (kind == "replicate") return i < 0 ? 0 : n - 1;
  if (kind == "circular") return (i + 10 * n) % n;
  return i < 0 ? -i : 2 * (n - 1) - i;
}

void check_pad(const char* kind, const Tensor& x, const Sizes& before, const Sizes& after, double value = 0, Layout layout = Layout::rows) {
  Sizes sizes = x.sizes();
  for (std::size_t d = 0; d < sizes.size(); ++d) sizes[d] += before[d] + after[d];
  const Values v = values(x);
  Values expected;
  for_each_index(sizes, [&](const Sizes& index) {
    std::int64_t at = 0;
    bool outside = false;
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      const auto from = source(kind, index[d] - before[d], x.sizes()[d]);
      outside = outside || from < 0;
      at = at * x.sizes()[d] + from;
    }
    expected.push_back(outside ? value : v[static_cast<std::size_t>(at)]);
  });
  const Tensor y = empty(sizes, x.dtype(), layout);
  run(core::Op::pad, {{"kind", text(kind)}, {"before", ints(before)}, {"after", ints(after)}, {"value", value}}, {x}, {y});
  expect_near(y, expected, 0, kind);
}

TEST(Pad, EveryKindLayoutAndDType) {
  for (const char* kind : {"constant", "reflect", "replicate", "circular"}) {
    for (const DType dtype : kSome) {
      for (const Layout layout : kLayouts) {
        const double value = dtype == DType::boolean ? 1 : 3;
        check_pad(kind, random({2, 4, 5}, dtype, layout), {0, 1, 3}, {0, 2, 4}, value, layout);
        check_pad(kind, random({2, 4, 5}, dtype, layout), {1, 0, 0}, {0, 3, 0}, value);
      }
    }
  }
}

TEST(Pad, NegativeBordersCropOrReadWhatTheyLeaveOut) {
  for (const char* kind : {"constant", "reflect", "replicate"}) {
    check_pad(kind, random({5, 6}), {-2, 1}, {1, -3}, 7);
    check_pad(kind, random({6}), {-4}, {3}, 7);
    check_pad(kind, random({6}), {4}, {-9}, 7);
  }
  check_pad("replicate", random({3}), {-3}, {4});  // nothing of x is left but what the border repeats
  check_pad("constant", random({3}), {-3}, {4}, -1.5);
  check_pad("constant", random({3}), {-3}, {0});
}

TEST(Pad, EmptyTensorsAndInfinities) {
  check_pad("constant", random({0, 3}), {1, 0}, {1, 1}, 2);
  check_pad("constant", random({}), {}, {}, 2);
  check_pad("reflect", random({0, 4}), {0, 1}, {0, 2});
  check_pad("constant", random({2}), {1}, {1}, -kInf);
}

TEST(Pad, RefusesBordersWiderThanTheInput) {
  const auto pad = [](const char* kind, std::int64_t before, std::int64_t after) {
    const core::Attrs attrs{{"kind", text(kind)}, {"before", ints({before})}, {"after", ints({after})}, {"value", 0.0}};
    run(core::Op::pad, attrs, {random({3})}, {random({3 + before + after})});
  };
  EXPECT_THROW(pad("reflect", 3, 0), InvalidArgument);
  EXPECT_THROW(pad("reflect", 0, 3), InvalidArgument);
  EXPECT_THROW(pad("mirror", 1, 0), InvalidArgument);
  const core::Attrs attrs{{"kind", text("constant")}, {"before", ints({1})}, {"after", ints({1})}, {"value", 0.0}};
  EXPECT_THROW(run(core::Op::pad, attrs, {random({3})}, {random({4})}), InvalidArgument);
  EXPECT_THROW(run(core::Op::pad, attrs, {random({3, 3})}, {random({5, 5})}), InvalidArgument);
}

// ---- write_view ----

core::Attrs view(const Sizes& sizes, const Sizes& strides, std::int64_t offset) {
  return {{"sizes", ints(sizes)}, {"strides", ints(strides)}, {"offset", integer(offset)}};
}

void check_write(const Tensor& x, const Tensor& src, const Sizes& strides, std::int64_t offset) {
  Values expected = values(x);
  const Values v = values(src);
  for_each_index(src.sizes(), [&](const Sizes& index) {
    std::int64_t at = offset;
    for (std::size_t d = 0; d < index.size(); ++d) at += index[d] * strides[d];
    expected[static_cast<std::size_t>(at)] = v[static_cast<std::size_t>(position(src.sizes(), index))];
  });
  const Tensor y = empty(x.sizes(), x.dtype());
  run(core::Op::write_view, view(src.sizes(), strides, offset), {x, src}, {y});
  expect_near(y, expected, 0);
}

TEST(WriteView, ReplacesTheViewsElements) {
  for (const DType dtype : kSome) {
    for (const Layout layout : kLayouts) {
      const Tensor x = random({4, 6}, dtype, layout);
      check_write(x, random({2, 3}, dtype, layout, 2), {6, 2}, 7);        // every other column of two rows
      check_write(x, random({6, 4}, dtype, layout, 2), {1, 6}, 0);        // transposed
      check_write(x, random({4}, dtype, layout, 2), {7}, 0);              // a diagonal
      check_write(x, random({}, dtype, Layout::rows, 2), {}, 23);         // the last element
      check_write(x, random({0, 5}, dtype, Layout::rows, 2), {6, 1}, 0);  // nothing
    }
  }
}

TEST(WriteView, WorksInPlace) {
  const Tensor x = random({4, 6}), src = random({4}, DType::f32, Layout::rows, 2);
  Values expected = values(x);
  for (std::size_t i = 0; i < 4; ++i) expected[6 * i + 1] = values(src)[i];
  run(core::Op::write_view, view({4}, {6}, 1), {x, src}, {x});
  expect_near(x, expected, 0);
}

TEST(WriteView, RefusesToReachOutside) {
  const auto write = [](const Sizes& sizes, const Sizes& strides, std::int64_t offset) {
    run(core::Op::write_view, view(sizes, strides, offset), {random({4, 6}), random(sizes)}, {empty({4, 6}, DType::f32)});
  };
  EXPECT_THROW(write({4}, {6}, 6), InvalidArgument);
  EXPECT_THROW(write({4}, {6}, -1), InvalidArgument);
  EXPECT_THROW(write({2}, {-1}, 3), InvalidArgument);
  EXPECT_THROW(write({3}, {std::int64_t{1} << 62}, 0), InvalidArgument);
  EXPECT_NO_THROW(write({4}, {6}, 5));
}

}  // namespace
}  // namespace reprise::kernels::test
