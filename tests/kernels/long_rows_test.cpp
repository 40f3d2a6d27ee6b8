// Ops on rows at lengths where kernels change their ways: rows in registers of a warp or a block, rows that are read several times, rows in chunks.
#include <algorithm>
#include <numeric>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

constexpr std::int64_t kLengths[] = {1, 33, 255, 256, 1023, 1024, 1025, 2048, 2049, 4104, 8193, 16384, 33000, 70001};

Values row_of(const Values& v, std::size_t row, std::size_t n) {
  return {v.begin() + static_cast<std::ptrdiff_t>(row * n), v.begin() + static_cast<std::ptrdiff_t>((row + 1) * n)};
}

TEST(LongRows, Softmax) {
  for (const std::int64_t n : kLengths) {
    for (const DType dtype : {DType::f32, DType::f16, DType::f64}) {
      for (const bool log : {false, true}) {
        const Tensor x = random({3, n}, dtype), y = empty({3, n}, dtype);
        run(core::Op::softmax, {{"axis", integer(1)}, {"log", log}}, {x}, {y});
        Values expected;
        for (std::size_t r = 0; r < 3; ++r) {
          Values row = row_of(values(x), r, static_cast<std::size_t>(n));
          double sum = 0;
          for (const double v : row) sum += std::exp(v);
          for (const double v : row) expected.push_back(log ? v - std::log(sum) : std::exp(v) / sum);
        }
        expect_near(y, expected, tolerance(dtype), std::to_string(n));
      }
    }
  }
}

TEST(LongRows, SoftmaxAcrossRowsThatLieBesideEachOther) {
  for (const Sizes& sizes : {Sizes{2, 5, 70}, Sizes{2, 300, 33}, Sizes{1, 700, 7}}) {
    const Tensor x = random(sizes), y = empty(sizes, DType::f32);
    run(core::Op::softmax, {{"axis", integer(1)}, {"log", false}}, {x}, {y});
    const Values v = values(x);
    Values expected;
    for_each_index(sizes, [&](Sizes i) {
      const double own = std::exp(v[static_cast<std::size_t>(position(sizes, i))]);
      double sum = 0;
      for (i[1] = 0; i[1] < sizes[1]; ++i[1]) sum += std::exp(v[static_cast<std::size_t>(position(sizes, i))]);
      expected.push_back(own / sum);
    });
    expect_near(y, expected, 1e-5);
  }
}

void check_norm(const char* kind, std::int64_t n, DType dtype, bool parameters) {
  const bool centered = std::string(kind) == "layer";
  const Tensor x = random({3, n}, dtype), y = empty({3, n}, dtype), weight = random({n}, dtype, Layout::rows, 2), bias = random({n}, dtype, Layout::rows, 3);
  run(core::Op::norm, {{"kind", text(kind)}, {"dims", integer(1)}, {"eps", 1e-4}, {"has_weight", parameters}, {"has_bias", parameters}},
      parameters ? std::vector<Tensor>{x, weight, bias} : std::vector<Tensor>{x}, {y});
  const Values w = values(weight), b = values(bias);
  Values expected;
  for (std::size_t r = 0; r < 3; ++r) {
    const Values row = row_of(values(x), r, static_cast<std::size_t>(n));
    const double mean = centered ? std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(n) : 0;
    double square = 0;
    for (const double v : row) square += (v - mean) * (v - mean) / static_cast<double>(n);
    for (std::size_t i = 0; i < row.size(); ++i)
      expected.push_back((row[i] - mean) / std::sqrt(square + 1e-4) * (parameters ? w[i] : 1) + (parameters ? b[i] : 0));
  }
  expect_near(y, expected, tolerance(dtype), std::string(kind) + " " + std::to_string(n));
}

TEST(LongRows, LayerAndRmsNorm) {
  for (const std::int64_t n : kLengths) {
    for (const char* kind : {"layer", "rms"}) {
      for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) check_norm(kind, n, dtype, n % 2 == 0);
    }
  }
}

TEST(LongRows, GroupNorm) {
  for (const Sizes& sizes : {Sizes{2, 8, 16, 16}, Sizes{1, 4, 100, 129}, Sizes{3, 64, 7}}) {
    const Tensor x = random(sizes, DType::f16), y = empty(sizes, DType::f16), weight = random({sizes[1]}, DType::f16, Layout::rows, 4);
    run(core::Op::norm, {{"kind", text("group")}, {"groups", integer(2)}, {"eps", 1e-4}, {"has_weight", true}, {"has_bias", false}}, {x, weight}, {y});
    const auto n = static_cast<std::size_t>(x.numel() / sizes[0] / 2), channel = n / static_cast<std::size_t>(sizes[1] / 2);
    const Values w = values(weight);
    Values expected;
    for (std::size_t g = 0; g < static_cast<std::size_t>(sizes[0] * 2); ++g) {
      const Values row = row_of(values(x), g, n);
      const double mean = std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(n);
      double square = 0;
      for (const double v : row) square += (v - mean) * (v - mean) / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i) expected.push_back((row[i] - mean) / std::sqrt(square + 1e-4) * w[g % 2 * (n / channel) + i / channel]);
    }
    expect_near(y, expected, tolerance(DType::f16));
  }
}

TEST(LongRows, RunningSumsAndExtremes) {
  for (const std::int64_t n : {17, 2047, 2048, 2049, 30000, 600001}) {
    const Tensor x = random({2, n}), sum = empty({2, n}, DType::f32), whole = random({n}, DType::i32), sums = empty({n}, DType::i64);
    const Tensor most = empty({n}, DType::i32), places = empty({n}, DType::i64);
    run(core::Op::scan, {{"kind", text("sum")}, {"axis", integer(1)}}, {x}, {sum});
    run(core::Op::scan, {{"kind", text("sum")}, {"axis", integer(0)}}, {whole}, {sums});
    run(core::Op::scan, {{"kind", text("max")}, {"axis", integer(0)}}, {whole}, {most, places});
    Values expected, exact, greatest, at;
    for (std::size_t r = 0; r < 2; ++r) {
      Values row = row_of(values(x), r, static_cast<std::size_t>(n));
      std::partial_sum(row.begin(), row.end(), row.begin());
      expected.insert(expected.end(), row.begin(), row.end());
    }
    for (const double v : values(whole)) {
      const auto i = static_cast<double>(exact.size());
      const bool better = exact.empty() || v >= greatest.back();
      exact.push_back((exact.empty() ? 0 : exact.back()) + v);
      at.push_back(better ? i : at.back());
      greatest.push_back(better ? v : greatest.back());
    }
    expect_near(sum, expected, 1e-5);
    expect_near(sums, exact, 0);
    expect_near(most, greatest, 0);
    expect_near(places, at, 0);
  }
}

TEST(LongRows, PoolingOfWholePlanes) {
  for (const Layout layout : kLayouts) {
    for (const Sizes& sizes : {Sizes{2, 40, 14, 15}, Sizes{1, 3, 64, 65}}) {
      const Tensor x = random(sizes, DType::f32, layout), mean = empty({sizes[0], sizes[1], 1, 1}, DType::f32), most = empty(mean.sizes(), DType::f32, layout),
                   places = empty(mean.sizes(), DType::i64);
      run(core::Op::pool, {{"kind", text("adaptive_avg")}}, {x}, {mean});
      run(core::Op::pool, {{"kind", text("adaptive_max")}}, {x}, {most, places});
      const auto n = static_cast<std::size_t>(sizes[2] * sizes[3]);
      Values means, extremes, at;
      for (std::size_t p = 0; p < static_cast<std::size_t>(sizes[0] * sizes[1]); ++p) {
        const Values plane = row_of(values(x), p, n);
        const auto best = std::max_element(plane.begin(), plane.end());
        means.push_back(std::accumulate(plane.begin(), plane.end(), 0.0) / static_cast<double>(n));
        extremes.push_back(*best);
        at.push_back(static_cast<double>(best - plane.begin()));
      }
      expect_near(mean, means, 1e-5);
      expect_near(most, extremes, 0);
      expect_near(places, at, 0);
    }
  }
}

// Channels beside each other are taken several at a time.
TEST(LongRows, PoolingOfChannelsBesideEachOther) {
  const Sizes sizes{2, 9, 10, 16}, out{2, 16, 4, 5};  // N, H, W, C in memory
  for (const DType dtype : {DType::f16, DType::f32}) {
    const Tensor memory = random(sizes, dtype), x = memory.as_strided(Sizes{2, 16, 9, 10}, Sizes{1440, 1, 160, 16});
    const Tensor y = Tensor::zeros(Sizes{2, 4, 5, 16}, dtype).as_strided(out, Sizes{320, 1, 80, 16}), plain = empty(out, dtype), rows = x.contiguous();
    const core::Attrs attrs{{"kind", text("max")}, {"kernel", ints({3, 2})}, {"stride", ints({2, 2})}};
    run(core::Op::pool, attrs, {x}, {y});
    run(core::Op::pool, attrs, {rows}, {plain});
    expect_near(y, values(plain), 0);
  }
}

}  // namespace
}  // namespace reprise::kernels::test
