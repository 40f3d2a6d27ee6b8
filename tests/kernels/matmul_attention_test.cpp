// Matrix products and attention against sums in f64.
#include "kernels/reference/gemm_kernels.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

Values product(const Tensor& a, const Tensor& b, const Tensor* bias) {
  const std::int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1),
                     batch = count(a.sizes()) == 0 && k == 0 ? count({a.sizes().begin(), a.sizes().end() - 2}) : a.numel() / std::max<std::int64_t>(1, m * k);
  const Values va = values(a), vb = values(b), vc = bias != nullptr ? values(*bias) : Values(static_cast<std::size_t>(batch * m * n));
  Values y(static_cast<std::size_t>(batch * m * n));
  for (std::int64_t i = 0; i < batch * m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = vc[static_cast<std::size_t>(i * n + j)];
      for (std::int64_t l = 0; l < k; ++l) sum += va[static_cast<std::size_t>(i * k + l)] * vb[static_cast<std::size_t>((i / m * k + l) * n + j)];
      y[static_cast<std::size_t>(i * n + j)] = sum;
    }
  }
  return y;
}

void check(const Tensor& a, const Tensor& b, const Tensor* bias = nullptr, Layout layout = Layout::rows) {
  Sizes sizes = a.sizes();
  sizes.back() = b.size(-1);
  const Tensor y = empty(sizes, a.dtype(), layout);
  std::vector<Tensor> inputs{a, b};
  if (bias != nullptr) inputs.push_back(*bias);
  run(core::Op::matmul, {{"has_bias", bias != nullptr}}, inputs, {y});
  expect_near(y, product(a, b, bias), tolerance(a.dtype()),
              std::to_string(a.size(-2)) + " x " + std::to_string(a.size(-1)) + " x " + std::to_string(b.size(-1)));
}

TEST(Matmul, SizesAroundTheBlocks) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const std::int64_t m : {1, 2, 7, 8, 9, 70}) {
      for (const std::int64_t n : {1, 3, 31, 32, 33, 100}) {
        for (const std::int64_t k : {1, 5, 64, 300}) check(random({m, k}, dtype, Layout::rows, 1), random({k, n}, dtype, Layout::rows, 2));
      }
    }
  }
}

TEST(Matmul, SeveralPassesOverTheDepthAndSeveralJobs) {
  check(random({300, 700}), random({700, 600}, DType::f32, Layout::columns, 2));
  check(random({1, 1500}), random({1500, 1300}, DType::f32, Layout::columns, 2));
  check(random({1300, 1500}), random({1500, 1}, DType::f32, Layout::rows, 2));
}

TEST(Matmul, LayoutsDTypesAndBias) {
  for (const DType dtype : kReals) {
    for (const Layout a : kLayouts) {
      for (const Layout b : kLayouts) {
        for (const std::int64_t m : {1, 13}) {
          const Tensor bias = random({2, m, 45}, dtype, b, 3), row = expand(random({1, 1, 45}, dtype, a, 4), {2, m, 45});
          check(random({2, m, 37}, dtype, a, 1), random({2, 37, 45}, dtype, b, 2), &bias, a);
          check(random({2, m, 37}, dtype, a, 1), random({2, 37, 45}, dtype, b, 2), &row, b);
        }
      }
    }
  }
}

TEST(Matmul, BatchesThatShareAMatrix) {
  const Tensor b = expand(random({1, 1, 20, 30}, DType::f32, Layout::columns, 2), {3, 4, 20, 30});
  for (const Layout layout : kLayouts) {
    const Tensor bias = expand(random({1, 1, 1, 30}, DType::f32, Layout::rows, 3), {3, 4, 5, 30});
    check(random({3, 4, 5, 20}, DType::f32, layout), b, &bias);
    check(random({3, 4, 5, 20}, DType::f32, layout), b, nullptr, layout);
  }
  const Tensor partly = expand(random({3, 1, 20, 30}, DType::f32, Layout::rows, 2), {3, 4, 20, 30});
  check(random({3, 4, 1, 20}), partly);
  check(random({3, 4, 5, 20}), partly);
}

TEST(Matmul, Integers) {
  for (const DType dtype : kIntegers) {
    const Tensor bias = random({2, 3, 5}, dtype, Layout::rows, 3);
    check(random({2, 3, 4}, dtype, Layout::columns, 1), random({2, 4, 5}, dtype, Layout::gaps, 2));
    if (dtype == DType::i64) check(random({2, 3, 4}, dtype, Layout::rows, 1), random({2, 4, 5}, dtype, Layout::rows, 2), &bias);
  }
}

TEST(Matmul, EmptyDimensions) {
  check(random({0, 4}), random({4, 5}));
  check(random({3, 4}), random({4, 0}));
  const Tensor bias = random({3, 5});
  check(random({3, 0}), random({0, 5}), &bias);
  check(random({1, 0}), random({0, 5}));
}

TEST(Matmul, NanAndInfinitySpreadByTheirRows) {
  check(tensor({2, 2}, {kNan, 1, 1, 1}), tensor({2, 3}, {1, 2, 3, 4, 5, 6}));
  check(tensor({2, 2}, {kInf, 1, 1, 1}), tensor({2, 2}, {1, -1, 4, 5}));
}

TEST(Matmul, RefusesWhatDoesNotFit) {
  EXPECT_THROW(check(random({2, 3}), random({4, 5})), InvalidArgument);
  EXPECT_THROW(run(core::Op::matmul, {}, {random({2, 3}), random({3, 4}, DType::f64)}, {random({2, 4})}), InvalidArgument);
}

// Every instruction set that the machine has, not only the best.
template <class T>
void check_tiles() {
  using reference::kColumns, reference::kRows;
  constexpr std::int64_t kDepth = 5;
  std::vector<T> a(kDepth * kRows), b(kDepth * kColumns<T>);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i % 7) - 3;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(i % 5) - 2;
  for (int isa = 0; isa <= static_cast<int>(machine_isa()); ++isa) {
    std::vector<T> tile(kRows * kColumns<T>, T{100});
    for (const bool accumulate : {false, true}) {
      reference::tile_kernel<T>(static_cast<Isa>(isa))(kDepth, a.data(), b.data(), tile.data(), accumulate);
      for (std::int64_t r = 0; r < kRows; ++r) {
        for (std::int64_t c = 0; c < kColumns<T>; ++c) {
          T sum = 0;
          for (std::int64_t k = 0; k < kDepth; ++k) sum += a[k * kRows + r] * b[k * kColumns<T> + c];
          ASSERT_EQ(tile[r * kColumns<T> + c], sum * (accumulate ? 2 : 1)) << "instruction set " << isa;
        }
      }
    }
  }
}

TEST(Matmul, TilesOfEveryInstructionSet) {
  check_tiles<float>();
  check_tiles<double>();
}

struct AttentionCase {
  DType dtype = DType::f32;
  Layout layout = Layout::rows;
  bool causal = false;
  int mask = 0;  // 0: none, 1: boolean, 2: added
  std::int64_t queries = 7, keys = 11, width = 16, value_width = 5;
};

Values attention(const AttentionCase& c, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, double scale) {
  const Values vq = values(q), vk = values(k), vv = values(v), vm = c.mask != 0 ? values(mask) : Values();
  const auto heads = static_cast<std::size_t>(q.numel() / (c.queries * c.width)), l = static_cast<std::size_t>(c.queries), s = static_cast<std::size_t>(c.keys),
             e = static_cast<std::size_t>(c.width), ev = static_cast<std::size_t>(c.value_width);
  Values y(heads * l * ev);
  for (std::size_t row = 0; row < heads * l; ++row) {
    const std::size_t head = row / l;
    Values p(s);
    double max = -kInf, sum = 0;
    for (std::size_t j = 0; j < s; ++j) {
      for (std::size_t i = 0; i < e; ++i) p[j] += vq[row * e + i] * vk[(head * s + j) * e + i] * scale;
      if (c.mask == 1 && vm[row * s + j] == 0) p[j] = -kInf;
      if (c.mask == 2) p[j] += vm[row * s + j];
      if (c.causal && j > row % l) p[j] = -kInf;
      max = std::max(max, p[j]);
    }
    if (max == -kInf) continue;
    for (double& x : p) sum += x = std::exp(x - max);
    for (std::size_t j = 0; j < s; ++j) {
      for (std::size_t i = 0; i < ev; ++i) y[row * ev + i] += p[j] / sum * vv[(head * s + j) * ev + i];
    }
  }
  return y;
}

void check_attention(const AttentionCase& c) {
  const Tensor q = random({2, 3, c.queries, c.width}, c.dtype, c.layout, 1), k = random({2, 3, c.keys, c.width}, c.dtype, c.layout, 2),
               v = random({2, 3, c.keys, c.value_width}, c.dtype, c.layout, 3);
  const Sizes mask_sizes{2, 3, c.queries, c.keys};
  const Tensor mask = expand(random({2, 1, c.queries, c.keys}, c.mask == 1 ? DType::boolean : c.dtype, Layout::rows, 4), mask_sizes),
               y = empty({2, 3, c.queries, c.value_width}, c.dtype, c.layout);
  std::vector<Tensor> inputs{q, k, v};
  if (c.mask != 0) inputs.push_back(mask);
  run(core::Op::attention, {{"scale", 0.3}, {"causal", c.causal}, {"has_mask", c.mask != 0}}, inputs, {y});
  expect_near(y, attention(c, q, k, v, mask, 0.3), tolerance(c.dtype));
}

TEST(Attention, MasksLayoutsAndDTypes) {
  for (const DType dtype : kReals) {
    for (const Layout layout : kLayouts) {
      for (const int mask : {0, 1, 2}) {
        for (const bool causal : {false, true}) check_attention({.dtype = dtype, .layout = layout, .causal = causal, .mask = mask});
      }
    }
  }
}

TEST(Attention, ManyQueriesAndKeys) {
  check_attention({.queries = 150, .keys = 600, .width = 40, .value_width = 33});
  check_attention({.causal = true, .queries = 300, .keys = 300});
  check_attention({.mask = 2, .queries = 1, .keys = 700});
  check_attention({.queries = 3, .keys = 1, .width = 1, .value_width = 1});
}

TEST(Attention, RowsWithNothingToAttendToAreZero) {
  const Tensor q = random({1, 2, 4}), k = random({1, 3, 4}), v = tensor({1, 3, 1}, {1, 2, 4}), y = empty({1, 2, 1}, DType::f32);
  run(core::Op::attention, {{"scale", 1.0}, {"causal", false}, {"has_mask", true}}, {q, k, v, tensor({1, 2, 3}, {0, 0, 0, 0, 1, 0}, DType::boolean)}, {y});
  expect_near(y, {0, 2}, 1e-6);
  run(core::Op::attention, {{"scale", 1.0}, {"causal", false}, {"has_mask", true}}, {q, k, v, tensor({1, 2, 3}, {-kInf, -kInf, -kInf, -kInf, -kInf, 0})}, {y});
  expect_near(y, {0, 4}, 1e-6);
  const Tensor z = tensor({1, 2, 1}, {7, 7});
  run(core::Op::attention, {{"scale", 1.0}, {"causal", false}, {"has_mask", false}}, {q, random({1, 0, 4}), random({1, 0, 1})}, {z});
  expect_near(z, {0, 0}, 0);
}

TEST(Attention, RefusesWhatDoesNotFit) {
  EXPECT_THROW(run(core::Op::attention, {{"scale", 1.0}}, {random({2, 3}), random({4, 3}), random({5, 3})}, {random({2, 3})}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
