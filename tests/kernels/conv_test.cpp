// Convolutions against the definition, summed in f64.
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct Case {
  Sizes in, kernel;  // spatial
  Sizes stride, padding, dilation, output_padding;
  std::int64_t batch = 2, from = 3, to = 4, groups = 1;
  bool transposed = false, has_bias = true;
};

/// A case with the same step in all directions.
Case simple(Sizes in, Sizes kernel, std::int64_t stride, std::int64_t padding, std::int64_t dilation) {
  const std::size_t n = in.size();
  return {std::move(in), std::move(kernel), Sizes(n, stride), Sizes(n, padding), Sizes(n, dilation), Sizes(n, 0)};
}

Sizes output(const Case& c) {
  Sizes out;
  for (std::size_t d = 0; d < c.in.size(); ++d) {
    const std::int64_t reach = c.dilation[d] * (c.kernel[d] - 1);
    out.push_back(c.transposed ? (c.in[d] - 1) * c.stride[d] - 2 * c.padding[d] + reach + c.output_padding[d] + 1
                               : (c.in[d] + 2 * c.padding[d] - reach - 1) / c.stride[d] + 1);
  }
  return out;
}

Sizes joined(Sizes a, const Sizes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Forward: output o reads input o·stride − padding + k·dilation. Transposed: input i writes output i·stride − padding + k·dilation.
Values convolve(const Case& c, const Tensor& x, const Tensor& w, const Tensor& bias) {
  const Sizes out = output(c), y_sizes = joined({c.batch, c.to}, out), x_sizes = x.sizes(), w_sizes = w.sizes();
  const Values vx = values(x), vw = values(w), vb = values(bias);
  Values y(static_cast<std::size_t>(count(y_sizes)));
  for_each_index(y_sizes, [&](const Sizes& at) {
    if (c.has_bias) y[static_cast<std::size_t>(position(y_sizes, at))] = vb[static_cast<std::size_t>(at[1])];
  });
  for_each_index(joined(joined({c.batch, c.groups, c.from / c.groups, c.to / c.groups}, c.kernel), c.transposed ? c.in : out), [&](const Sizes& at) {
    const std::size_t n = c.in.size();
    const std::int64_t from = at[1] * (c.from / c.groups) + at[2], to = at[1] * (c.to / c.groups) + at[3];
    Sizes xi{at[0], from}, yi{at[0], to}, wi = c.transposed ? Sizes{from, at[3]} : Sizes{to, at[2]};
    for (std::size_t d = 0; d < n; ++d) {
      const std::int64_t k = at[4 + d], moving = at[4 + n + d], other = moving * c.stride[d] - c.padding[d] + k * c.dilation[d];
      if (other < 0 || other >= (c.transposed ? out[d] : c.in[d])) return;
      wi.push_back(k);
      xi.push_back(c.transposed ? moving : other);
      yi.push_back(c.transposed ? other : moving);
    }
    y[static_cast<std::size_t>(position(y_sizes, yi))] +=
        vx[static_cast<std::size_t>(position(x_sizes, xi))] * vw[static_cast<std::size_t>(position(w_sizes, wi))];
  });
  return y;
}

void check(const Case& c, DType dtype = DType::f32, Layout layout = Layout::rows) {
  const Tensor x = random(joined({c.batch, c.from}, c.in), dtype, layout, 1), bias = random({c.to}, dtype, layout, 3);
  const Tensor w = random(joined(c.transposed ? Sizes{c.from, c.to / c.groups} : Sizes{c.to, c.from / c.groups}, c.kernel), dtype, layout, 2);
  const Tensor y = empty(joined({c.batch, c.to}, output(c)), dtype, layout);
  std::vector<Tensor> inputs{x, w};
  if (c.has_bias) inputs.push_back(bias);
  run(core::Op::conv,
      {{"stride", ints(c.stride)},
       {"padding", ints(c.padding)},
       {"dilation", ints(c.dilation)},
       {"output_padding", ints(c.output_padding)},
       {"groups", integer(c.groups)},
       {"transposed", c.transposed},
       {"has_bias", c.has_bias}},
      inputs, {y});
  expect_near(y, convolve(c, x, w, bias), tolerance(dtype), std::string(reprise::name(dtype)) + " " + name(layout));
}

std::vector<Case> shapes() {
  return {simple({9, 11}, {3, 3}, 1, 1, 1),      simple({9, 11}, {3, 3}, 2, 1, 1),      simple({10, 37}, {5, 2}, 1, 0, 1), simple({9, 8}, {3, 3}, 1, 2, 2),
          simple({7, 7}, {1, 1}, 1, 0, 1),       simple({7, 7}, {1, 1}, 2, 0, 1),       simple({50}, {7}, 3, 3, 1),        simple({33}, {4}, 1, 9, 3),
          simple({4, 5, 6}, {3, 2, 3}, 1, 1, 1), simple({4, 5, 6}, {2, 2, 2}, 2, 0, 1), simple({5, 5}, {3, 3}, 1, 3, 1)};
}

TEST(Conv, OneToThreeDimensionsForwardAndTransposed) {
  for (Case c : shapes()) {
    for (const bool transposed : {false, true}) {
      c.transposed = transposed;
      for (const Layout layout : kLayouts) check(c, DType::f32, layout);
      c.has_bias = false;
      check(c);
      c.has_bias = true;
    }
  }
}

TEST(Conv, EveryDType) {
  for (const bool transposed : {false, true}) {
    for (const std::int64_t to : {1, 6}) {
      Case c = simple({9, 10}, {3, 2}, 2, 1, 1);
      c.transposed = transposed;
      c.to = to;
      for (const DType dtype : kReals) check(c, dtype, Layout::gaps);
      for (const DType dtype : {DType::i32, DType::i64, DType::u8}) check(c, dtype);
    }
  }
}

TEST(Conv, GroupsAndDepthwise) {
  for (const bool transposed : {false, true}) {
    for (const auto& [from, to, groups] : {std::tuple<std::int64_t, std::int64_t, std::int64_t>{6, 6, 6}, {6, 12, 6}, {6, 9, 3}, {8, 4, 2}, {8, 20, 2}}) {
      for (Case c : {simple({4, 20}, {3, 3}, 1, 1, 1), simple({5, 35}, {3, 3}, 2, 1, 1), simple({30}, {5}, 1, 2, 2)}) {
        c.from = from;
        c.to = to;
        c.groups = groups;
        c.transposed = transposed;
        check(c);
        check(c, DType::bf16, Layout::columns);
      }
    }
  }
}

// More channels, pixels and depth than one block holds.
TEST(Conv, LargeOnes) {
  Case c = simple({5, 4}, {3, 3}, 1, 1, 1);
  c.batch = 1;
  c.from = 45;
  c.to = 260;
  check(c);
  c.in = {40, 30};
  c.from = 3;
  c.to = 9;
  check(c);
  c.kernel = {1, 1};
  c.padding = {0, 0};
  check(c);
}

TEST(Conv, DifferentStepsAndOutputPadding) {
  const Case c{{9, 12}, {3, 2}, {2, 3}, {1, 0}, {1, 2}, {0, 0}};
  check(c);
  Case t{{5, 6}, {3, 2}, {2, 3}, {1, 0}, {2, 1}, {1, 2}};
  t.transposed = true;
  check(t);
}

TEST(Conv, EmptyBatchAndChannels) {
  Case c = simple({5, 5}, {3, 3}, 1, 1, 1);
  c.batch = 0;
  check(c);
  c = simple({5, 5}, {3, 3}, 1, 1, 1);
  c.from = 0;
  check(c);
}

TEST(Conv, RefusesWhatDoesNotFit) {
  const auto with = [](const Sizes& w, std::int64_t groups, const Sizes& stride) {
    run(core::Op::conv,
        {{"stride", ints(stride)},
         {"padding", ints({0, 0})},
         {"dilation", ints({1, 1})},
         {"output_padding", ints({0, 0})},
         {"groups", integer(groups)},
         {"transposed", false},
         {"has_bias", false}},
        {random({1, 4, 5, 5}), random(w)}, {random({1, 6, 3, 3})});
  };
  EXPECT_NO_THROW(with({6, 4, 3, 3}, 1, {1, 1}));
  EXPECT_THROW(with({6, 3, 3, 3}, 1, {1, 1}), InvalidArgument);
  EXPECT_THROW(with({6, 4, 3, 3}, 0, {1, 1}), InvalidArgument);
  EXPECT_THROW(with({6, 4, 3, 3}, 1, {1}), InvalidArgument);
  EXPECT_THROW(with({6, 4, 3, 3}, 1, {0, 1}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
