#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct Moments {
  double mean = 0, rstd = 0;
};
Moments moments(const Values& row, double eps, bool centered) {
  Moments m;
  double square = 0;
  for (const double v : row) m.mean += v / static_cast<double>(row.size());
  if (!centered) m.mean = 0;
  for (const double v : row) square += (v - m.mean) * (v - m.mean) / static_cast<double>(row.size());
  m.rstd = 1 / std::sqrt(square + eps);
  return m;
}

struct Case {
  DType dtype = DType::f32;
  Layout layout = Layout::rows;
  bool has_weight = true, has_bias = true;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const DType dtype : kReals) {
    for (const Layout layout : kLayouts) all.push_back({dtype, layout, true, true});
    all.push_back({dtype, Layout::rows, false, false});
    all.push_back({dtype, Layout::rows, true, false});
    all.push_back({dtype, Layout::rows, false, true});
  }
  return all;
}

std::vector<Tensor> parameters(const Case& c, const Sizes& sizes) {
  std::vector<Tensor> list;
  if (c.has_weight) list.push_back(random(sizes, c.dtype, c.layout, 11));
  if (c.has_bias) list.push_back(random(sizes, c.dtype, c.layout, 12));
  return list;
}
double weight_at(const Case& c, const std::vector<Tensor>& p, std::size_t i) { return c.has_weight ? values(p[0])[i] : 1; }
double bias_at(const Case& c, const std::vector<Tensor>& p, std::size_t i) { return c.has_bias ? values(p.back())[i] : 0; }

DType stats_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

/// Layer and RMS over the last two of three dimensions.
void check_trailing(const Case& c, bool centered, bool stats) {
  const Sizes sizes{5, 7, 19}, trailing{7, 19};
  const std::size_t n = 7 * 19;
  const Tensor x = random(sizes, c.dtype, c.layout), y = empty(sizes, c.dtype, c.layout);
  const Tensor mean = empty({5, 1, 1}, stats_dtype(c.dtype)), rstd = empty({5, 1, 1}, stats_dtype(c.dtype), Layout::gaps);
  std::vector<Tensor> inputs = parameters(c, trailing), outputs{y};
  const std::vector<Tensor> p = inputs;
  inputs.insert(inputs.begin(), x);
  if (stats && centered) outputs.push_back(mean);
  if (stats) outputs.push_back(rstd);
  run(core::Op::norm, {{"kind", text(centered ? "layer" : "rms")}, {"dims", integer(2)}, {"eps", 1e-3}, {"has_weight", c.has_weight}, {"has_bias", c.has_bias}},
      inputs, outputs);
  Values expected, means, rstds;
  const Values v = values(x);
  for (std::size_t row = 0; row < 5; ++row) {
    const Moments m = moments({v.begin() + row * n, v.begin() + (row + 1) * n}, 1e-3, centered);
    means.push_back(m.mean);
    rstds.push_back(m.rstd);
    for (std::size_t i = 0; i < n; ++i) expected.push_back((v[row * n + i] - m.mean) * m.rstd * weight_at(c, p, i) + bias_at(c, p, i));
  }
  expect_near(y, expected, tolerance(c.dtype));
  if (stats && centered) expect_near(mean, means, 1e-5);
  if (stats) expect_near(rstd, rstds, 1e-5);
}

TEST(Norm, LayerAndRms) {
  for (const Case& c : cases()) {
    for (const bool centered : {true, false}) {
      check_trailing(c, centered, true);
      check_trailing(c, centered, false);
    }
  }
}

TEST(Norm, Group) {
  const Sizes sizes{2, 6, 3, 5};
  for (const Case& c : cases()) {
    const Tensor x = random(sizes, c.dtype, c.layout), y = empty(sizes, c.dtype, c.layout), mean = empty({2, 3}, stats_dtype(c.dtype)),
                 rstd = empty({2, 3}, stats_dtype(c.dtype));
    std::vector<Tensor> inputs = parameters(c, {6});
    const std::vector<Tensor> p = inputs;
    inputs.insert(inputs.begin(), x);
    run(core::Op::norm, {{"kind", text("group")}, {"groups", integer(3)}, {"eps", 1e-5}, {"has_weight", c.has_weight}, {"has_bias", c.has_bias}}, inputs,
        {y, mean, rstd});
    Values expected, means, rstds;
    const Values v = values(x);
    for (std::size_t group = 0; group < 6; ++group) {
      const Moments m = moments({v.begin() + group * 30, v.begin() + (group + 1) * 30}, 1e-5, true);
      means.push_back(m.mean);
      rstds.push_back(m.rstd);
      for (std::size_t i = 0; i < 30; ++i) {
        const std::size_t channel = (group % 3) * 2 + i / 15;
        expected.push_back((v[group * 30 + i] - m.mean) * m.rstd * weight_at(c, p, channel) + bias_at(c, p, channel));
      }
    }
    expect_near(y, expected, tolerance(c.dtype));
    expect_near(mean, means, 1e-5);
    expect_near(rstd, rstds, 1e-5);
  }
}

TEST(Norm, BatchAtInference) {
  for (const Sizes& sizes : {Sizes{2, 3, 4, 5}, Sizes{4, 3}, Sizes{0, 3, 2}}) {
    for (const Case& c : cases()) {
      const Tensor x = random(sizes, c.dtype, c.layout), y = empty(sizes, c.dtype, c.layout), mean = random({3}, c.dtype, c.layout, 2),
                   var = tensor({3}, {0.5, 1, 2}, c.dtype, c.layout);
      std::vector<Tensor> inputs = parameters(c, {3});
      const std::vector<Tensor> p = inputs;
      inputs.insert(inputs.begin(), {x, mean, var});
      run(core::Op::norm, {{"kind", text("batch")}, {"eps", 1e-5}, {"has_weight", c.has_weight}, {"has_bias", c.has_bias}}, inputs, {y});
      Values expected = values(x);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t space = expected.size() / static_cast<std::size_t>(sizes[0] * 3), channel = i / space % 3;
        expected[i] = (expected[i] - values(mean)[channel]) / std::sqrt(values(var)[channel] + 1e-5) * weight_at(c, p, channel) + bias_at(c, p, channel);
      }
      expect_near(y, expected, tolerance(c.dtype));
    }
  }
}

TEST(Norm, NanStaysInItsRow) {
  const Tensor x = tensor({2, 3}, {1, kNan, 2, 1, 2, 3}), y = empty({2, 3}, DType::f32);
  run(core::Op::norm, {{"kind", text("layer")}, {"dims", integer(1)}, {"eps", 0.0}}, {x}, {y});
  const double d = std::sqrt(1.5);
  expect_near(y, {kNan, kNan, kNan, -d, 0, d}, 1e-6);
}

// The variance of large values that differ little must not cancel.
TEST(Norm, VarianceDoesNotCancel) {
  const Tensor x = tensor({1, 4}, {10000, 10001, 10002, 10003}), y = empty({1, 4}, DType::f32);
  run(core::Op::norm, {{"kind", text("layer")}, {"dims", integer(1)}, {"eps", 0.0}}, {x}, {y});
  const double d = 1 / std::sqrt(1.25);
  expect_near(y, {-1.5 * d, -0.5 * d, 0.5 * d, 1.5 * d}, 1e-6);
}

TEST(Norm, RefusesWrongParameters) {
  const Tensor x = random({2, 6}), y = random({2, 6});
  EXPECT_THROW(run(core::Op::norm, {{"kind", text("layer")}, {"dims", integer(1)}, {"eps", 0.0}, {"has_weight", true}}, {x, random({5})}, {y}),
               InvalidArgument);
  EXPECT_THROW(run(core::Op::norm, {{"kind", text("group")}, {"groups", integer(4)}, {"eps", 0.0}}, {x}, {y}), InvalidArgument);
  EXPECT_THROW(run(core::Op::norm, {{"kind", text("layer")}, {"dims", integer(3)}, {"eps", 0.0}}, {x}, {y}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
