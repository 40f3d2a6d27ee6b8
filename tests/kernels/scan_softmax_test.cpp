// Ops on one line at a time: scans and softmax.
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

/// Applies `f` to every line of x along `axis`.
Values along(const Tensor& x, std::int64_t axis, const std::function<void(Values&)>& f) {
  Values v = values(x);
  const Sizes& sizes = x.sizes();
  if (sizes.empty()) {
    f(v);
    return v;
  }
  Sizes around = sizes;
  around[static_cast<std::size_t>(axis)] = 1;
  for_each_index(around, [&](const Sizes& index) {
    Values line;
    Sizes at = index;
    auto& i = at[static_cast<std::size_t>(axis)];
    for (i = 0; i < sizes[static_cast<std::size_t>(axis)]; ++i) line.push_back(v[static_cast<std::size_t>(position(sizes, at))]);
    f(line);
    for (i = 0; i < sizes[static_cast<std::size_t>(axis)]; ++i) v[static_cast<std::size_t>(position(sizes, at))] = line[static_cast<std::size_t>(i)];
  });
  return v;
}

void scan_line(const std::string& kind, Values& v) {
  for (std::size_t i = 1; i < v.size(); ++i) {
    if (kind == "sum") v[i] += v[i - 1];
    if (kind == "prod") v[i] *= v[i - 1];
    if (kind == "max") v[i] = std::isnan(v[i - 1]) ? kNan : v[i] < v[i - 1] ? v[i - 1] : v[i];
    if (kind == "min") v[i] = std::isnan(v[i - 1]) ? kNan : v[i] > v[i - 1] ? v[i - 1] : v[i];
    if (kind == "logsumexp" && std::isfinite(v[i - 1]))
      v[i] = std::log(std::exp(v[i]) + std::exp(v[i - 1]));
    else if (kind == "logsumexp" && v[i - 1] != -kInf)
      v[i] = v[i - 1];
  }
}

void check_scan(const char* kind, const Tensor& x, std::int64_t axis, DType dtype, Layout layout = Layout::rows) {
  const Tensor y = empty(x.sizes(), dtype, layout);
  run(core::Op::scan, {{"kind", text(kind)}, {"axis", integer(axis)}}, {x}, {y});
  expect_near(y, along(x, axis, [&](Values& line) { scan_line(kind, line); }), tolerance(dtype), kind);
}

TEST(Scan, EveryKindAxisAndLayout) {
  for (const char* kind : {"sum", "prod", "max", "min", "logsumexp"}) {
    for (const Layout layout : kLayouts) {
      for (const DType dtype : kReals) {
        for (const std::int64_t axis : {0, 1, 2}) check_scan(kind, random({3, 4, 5}, dtype, layout), axis, dtype, layout);
      }
    }
    check_scan(kind, random({2, 700}), 1, DType::f32);
    check_scan(kind, random({}), 0, DType::f32);
    check_scan(kind, random({0, 3}), 0, DType::f32);
  }
}

TEST(Scan, Integers) {
  for (const char* kind : {"sum", "max", "min"}) {
    check_scan(kind, random({3, 9}, DType::i32), 1, std::string(kind) == "sum" ? DType::i64 : DType::i32);
    check_scan(kind, random({3, 9}, DType::u8), 0, std::string(kind) == "sum" ? DType::i64 : DType::u8);
  }
  check_scan("sum", random({20}, DType::boolean), 0, DType::i64);
}

TEST(Scan, IndicesAreTheLastOfEqualExtremes) {
  const Tensor y = empty({6}, DType::f32), indices = empty({6}, DType::i64);
  run(core::Op::scan, {{"kind", text("max")}, {"axis", integer(0)}}, {tensor({6}, {1, 3, 3, kNan, 2, kNan})}, {y, indices});
  expect_near(y, {1, 3, 3, kNan, kNan, kNan}, 0);
  expect_near(indices, {0, 1, 2, 3, 3, 5}, 0);
  run(core::Op::scan, {{"kind", text("min")}, {"axis", integer(-1)}}, {tensor({6}, {3, 1, 1, 2, 0, 0})}, {y, indices});
  expect_near(y, {3, 1, 1, 1, 0, 0}, 0);
  expect_near(indices, {0, 1, 2, 2, 4, 5}, 0);
}

TEST(Scan, LogSumExpOfInfinities) {
  const Tensor y = empty({7}, DType::f32);
  run(core::Op::scan, {{"kind", text("logsumexp")}, {"axis", integer(0)}}, {tensor({7}, {-kInf, -kInf, 1, 2, kInf, kInf, -kInf})}, {y});
  expect_near(y, {-kInf, -kInf, 1, 2.313261687518223, kInf, kInf, kInf}, 1e-6);
}

void softmax_line(bool log, Values& v) {
  double max = -kInf, sum = 0;
  for (const double x : v) max = std::isnan(x) || std::isnan(max) ? kNan : std::max(max, x);
  for (const double x : v) sum += std::exp(x - max);
  for (double& x : v) x = log ? x - max - std::log(sum) : std::exp(x - max) / sum;
}

void check_softmax(const Tensor& x, std::int64_t axis, bool log, Layout layout = Layout::rows) {
  const Tensor y = empty(x.sizes(), x.dtype(), layout);
  run(core::Op::softmax, {{"axis", integer(axis)}, {"log", log}}, {x}, {y});
  expect_near(y, along(x, axis < 0 ? axis + x.rank() : axis, [&](Values& line) { softmax_line(log, line); }), tolerance(x.dtype()));
}

TEST(Softmax, EveryAxisAndLayout) {
  for (const bool log : {false, true}) {
    for (const DType dtype : kReals) {
      for (const Layout layout : kLayouts) {
        for (const std::int64_t axis : {0, 1, 2, -1}) check_softmax(random({3, 4, 37}, dtype, layout), axis, log, layout);
      }
      check_softmax(random({2, 3000}, dtype), 1, log);
      check_softmax(random({}, dtype), 0, log);
      check_softmax(random({3, 0}, dtype), 1, log);
      check_softmax(random({0, 3}, dtype), 1, log);
    }
  }
}

TEST(Softmax, InfinitiesAndNan) {
  const Tensor x = tensor({5, 3}, {-kInf, 1, 2, -kInf, -kInf, -kInf, kInf, 1, 2, kNan, 1, 2, 1e30, -1e30, 3});
  check_softmax(x, 1, false);
  check_softmax(tensor({2, 3}, {-kInf, 1, 2, 1000, 1001, -1000}), 1, true);
}

TEST(Softmax, RefusesIntegers) { EXPECT_THROW(check_softmax(random({3}, DType::i32), 0, false), InvalidArgument); }

}  // namespace
}  // namespace reprise::kernels::test
