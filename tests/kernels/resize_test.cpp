#include <algorithm>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct How {
  std::string kind = "linear";
  bool align_corners = false, antialias = false;
  Values scales = {};  // output / input per spatial dimension as given; empty: from the sizes

  [[nodiscard]] core::Attrs attrs(std::size_t spatial) const {
    return {{"kind", kind}, {"align_corners", align_corners}, {"antialias", antialias}, {"scales", scales.empty() ? Values(spatial, 0.0) : scales}};
  }
};

double tent(double x) { return std::max(0.0, 1 - std::abs(x)); }

/// Keys' cubic.
double cubic(double x, double a) {
  x = std::abs(x);
  if (x < 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
  return x < 2 ? a * (x * x * x - 5 * x * x + 8 * x - 4) : 0;
}

/// What each of n elements counts for at place i of `out`.
Values weights(const How& how, std::int64_t i, std::int64_t n, std::int64_t out, double given) {
  Values w(static_cast<std::size_t>(n), 0.0);
  const auto at = [&](std::int64_t j) -> double& { return w[static_cast<std::size_t>(std::clamp<std::int64_t>(j, 0, n - 1))]; };
  const double from_sizes = static_cast<double>(n) / static_cast<double>(out), step = given > 0 ? 1 / given : from_sizes;
  const auto place = static_cast<double>(i);
  if (how.kind == "nearest") return at(static_cast<std::int64_t>(std::floor(place * step))) = 1, w;
  if (how.kind == "nearest_exact") return at(static_cast<std::int64_t>(std::floor((place + 0.5) * step))) = 1, w;
  if (how.antialias) {  // the filter is as wide as the step where the image shrinks
    const double stretch = std::max(step, 1.0), center = (place + 0.5) * step;
    double total = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      const double x = (static_cast<double>(j) + 0.5 - center) / stretch;
      total += at(j) = how.kind == "linear" ? tent(x) : cubic(x, -0.5);
    }
    for (double& x : w) x /= total;
    return w;
  }
  double source = (place + 0.5) * step - 0.5;
  if (how.align_corners) source = out > 1 ? place * static_cast<double>(n - 1) / static_cast<double>(out - 1) : 0;
  if (how.kind == "linear") {
    source = std::clamp(source, 0.0, static_cast<double>(n - 1));
    for (std::int64_t j = 0; j < n; ++j) at(j) = tent(source - static_cast<double>(j));
  } else {
    for (std::int64_t j = -8; j < n + 8; ++j) at(j) += cubic(source - static_cast<double>(j), -0.75);  // the border is repeated
  }
  return w;
}

void check_resize(const Tensor& x, const Sizes& to, const How& how, Layout layout = Layout::rows) {
  Sizes sizes = x.sizes();
  std::copy(to.begin(), to.end(), sizes.begin() + 2);
  const Values v = values(x);
  Values expected;
  for_each_index(sizes, [&](const Sizes& index) {
    std::vector<Values> w;
    for (std::size_t d = 0; d < to.size(); ++d) w.push_back(weights(how, index[d + 2], x.sizes()[d + 2], to[d], how.scales.empty() ? 0 : how.scales[d]));
    double sum = 0;
    for_each_index({x.sizes().begin() + 2, x.sizes().end()}, [&](const Sizes& from) {
      Sizes at{index[0], index[1]};
      at.insert(at.end(), from.begin(), from.end());
      double weight = 1;
      for (std::size_t d = 0; d < from.size(); ++d) weight *= w[d][static_cast<std::size_t>(from[d])];
      if (weight != 0) sum += weight * v[static_cast<std::size_t>(position(x.sizes(), at))];
    });
    expected.push_back(is_floating(x.dtype()) ? sum : std::clamp(std::nearbyint(sum), 0.0, 255.0));
  });
  const Tensor y = empty(sizes, x.dtype(), layout);
  run(core::Op::resize, how.attrs(to.size()), {x}, {y});
  const bool near = is_floating(x.dtype());
  expect_near(y, expected, near ? 2 * tolerance(x.dtype()) : 1.0 / 128, how.kind);  // a byte may be rounded the other way
}

const std::vector<How> kHows = {{.kind = "nearest"},
                                {.kind = "nearest_exact"},
                                {.kind = "linear"},
                                {.kind = "linear", .align_corners = true},
                                {.kind = "cubic"},
                                {.kind = "cubic", .align_corners = true},
                                {.kind = "linear", .antialias = true},
                                {.kind = "cubic", .antialias = true}};

TEST(Resize, ImagesUpAndDown) {
  for (const How& how : kHows) {
    for (const Sizes& to : {Sizes{5, 7}, Sizes{11, 13}, Sizes{3, 4}, Sizes{1, 1}, Sizes{10, 3}}) {
      for (const Layout layout : kLayouts) check_resize(random({2, 3, 5, 7}, DType::f32, layout), to, how, layout);
    }
  }
}

TEST(Resize, EveryRealDType) {
  for (const How& how : kHows) {
    for (const DType dtype : kReals) check_resize(random({1, 2, 4, 6}, dtype), {7, 9}, how);
  }
}

TEST(Resize, OneAndThreeDimensions) {
  for (const char* kind : {"nearest", "nearest_exact", "linear"}) {
    check_resize(random({2, 3, 6}), {11}, {.kind = kind});
    check_resize(random({1, 2, 3, 4, 5}), {5, 2, 7}, {.kind = kind});
  }
  check_resize(random({1, 2, 3, 4, 5}), {5, 2, 7}, {.kind = "linear", .align_corners = true});
}

TEST(Resize, BytesAreRoundedAndClamped) {
  Values v(48);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = (i * 97) % 2 == 0 ? 0 : 255;  // cubic overshoots on both sides
  for (const How& how : kHows) check_resize(tensor({1, 1, 6, 8}, v, DType::u8), {9, 5}, how);
}

// A given factor moves the places even where the sizes would give another.
TEST(Resize, GivenScalesCount) {
  for (const char* kind : {"nearest", "linear", "cubic"}) check_resize(random({1, 1, 5, 7}), {8, 11}, {.kind = kind, .scales = {1.7, 1.6}});
}

TEST(Resize, ValuesByHand) {
  const auto resized = [](const Values& v, std::int64_t n, const How& how) {
    const Tensor y = empty({1, 1, n}, DType::f32);
    run(core::Op::resize, how.attrs(1), {tensor({1, 1, static_cast<std::int64_t>(v.size())}, v)}, {y});
    return y;
  };
  expect_near(resized({1, 2, 3}, 6, {.kind = "nearest"}), {1, 1, 2, 2, 3, 3}, 0);
  expect_near(resized({1, 2, 3, 4, 5}, 2, {.kind = "nearest"}), {1, 3}, 0);
  expect_near(resized({1, 2, 3, 4, 5}, 2, {.kind = "nearest_exact"}), {2, 4}, 0);
  expect_near(resized({0, 10}, 5, {.kind = "linear", .align_corners = true}), {0, 2.5, 5, 7.5, 10}, 1e-6);
  expect_near(resized({0, 10}, 4, {.kind = "linear"}), {0, 2.5, 7.5, 10}, 1e-6);
  expect_near(resized({1, 2, 3, 4}, 2, {.kind = "linear"}), {1.5, 3.5}, 1e-6);
}

TEST(Resize, EmptyBatches) {
  check_resize(random({0, 3, 4, 4}), {8, 8}, {.kind = "linear"});
  EXPECT_THROW(run(core::Op::resize, How{.kind = "nearest"}.attrs(2), {random({1, 1, 0, 4})}, {random({1, 1, 2, 2})}), InvalidArgument);
}

TEST(Resize, RefusesWhatDoesNotFit) {
  const auto resize = [](const Tensor& x, const Tensor& y, const char* kind) { run(core::Op::resize, How{.kind = kind}.attrs(2), {x}, {y}); };
  EXPECT_THROW(resize(random({1, 2, 4, 4}), random({1, 3, 8, 8}), "linear"), InvalidArgument);
  EXPECT_THROW(resize(random({1, 2, 4, 4}), random({1, 2, 8, 8}, DType::f64), "linear"), InvalidArgument);
  EXPECT_THROW(resize(random({2, 4}), random({2, 8}), "linear"), InvalidArgument);
  EXPECT_THROW(resize(random({1, 2, 4, 4}), random({1, 2, 8, 8}), "lanczos"), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
