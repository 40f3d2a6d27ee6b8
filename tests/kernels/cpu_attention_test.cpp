// Attention of the CPU device in all its variants against the reference kernel in f64.
#include "kernels/cpu_variants.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16, DType::f16};

struct Case {
  std::int64_t heads, queries, keys, width, value_width;
  bool causal = false;
  std::vector<Tensor> masks = {};  // none or one, [2, heads, queries, keys]
};

/// q, k and v lie side by side as a joined projection leaves them.
void check(const Case& c, DType dtype) {
  const std::int64_t row = c.heads * (c.width + c.width + c.value_width), rows = std::max(c.queries, c.keys);
  const Tensor all = random({2, rows, row}, dtype);
  const auto part = [&](std::int64_t count, std::int64_t width, std::int64_t offset) {
    return all.as_strided(Sizes{2, c.heads, count, width}, Sizes{rows * row, width, row, 1}, offset);
  };
  std::vector<Tensor> inputs{part(c.queries, c.width, 0), part(c.keys, c.width, c.heads * c.width), part(c.keys, c.value_width, 2 * c.heads * c.width)};
  inputs.insert(inputs.end(), c.masks.begin(), c.masks.end());
  const Tensor y =
      Tensor::zeros(Sizes{2, c.queries, c.heads, c.value_width}, dtype)
          .as_strided(Sizes{2, c.heads, c.queries, c.value_width}, Sizes{c.queries * c.heads * c.value_width, c.value_width, c.heads * c.value_width, 1});
  check_variants(core::Op::attention, {{"scale", 1 / std::sqrt(static_cast<double>(c.width))}, {"causal", c.causal}, {"has_mask", !c.masks.empty()}}, inputs,
                 {y}, tolerance(dtype),
                 std::string(name(dtype)) + " " + std::to_string(c.queries) + " queries, " + std::to_string(c.keys) + " keys of width " +
                     std::to_string(c.width) + " and " + std::to_string(c.value_width));
}

TEST(CpuAttention, SizesAroundTheBlocks) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t queries : {1, 15, 33, 130}) {
      for (const std::int64_t keys : {1, 31, 64, 65, 300}) check({.heads = 1, .queries = queries, .keys = keys, .width = 24, .value_width = 40}, dtype);
    }
    for (const std::int64_t width : {1, 16, 33, 64, 128}) {
      for (const std::int64_t value_width : {1, 8, 17, 64, 100})
        check({.heads = 3, .queries = 40, .keys = 70, .width = width, .value_width = value_width}, dtype);
    }
  }
}

TEST(CpuAttention, Causality) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t queries : {1, 20, 200}) {
      for (const std::int64_t keys : {7, 200, 333})
        check({.heads = 2, .queries = queries, .keys = keys, .width = 32, .value_width = 32, .causal = true}, dtype);
    }
  }
}

TEST(CpuAttention, Masks) {
  for (const DType dtype : kDTypes) {
    for (const bool causal : {false, true}) {
      const std::int64_t heads = 2, queries = 70, keys = 300;
      const Sizes sizes{2, heads, queries, keys};
      const Tensor ones = tensor({1, 1, 1, 1}, {1}, DType::boolean);
      for (const Tensor& mask : {random(sizes, DType::boolean), random(sizes, DType::boolean, Layout::columns), random(sizes, dtype), expand(ones, sizes),
                                 expand(random({2, 1, 1, keys}, DType::boolean), sizes), expand(random({1, 1, queries, keys}, dtype), sizes)})
        check({.heads = heads, .queries = queries, .keys = keys, .width = 16, .value_width = 16, .causal = causal, .masks = {mask}}, dtype);
    }
  }
}

// As HuggingFace's: what is masked gets the lowest finite number added, also where that is a whole row.
TEST(CpuAttention, LowestFiniteNumbersAsMask) {
  for (const DType dtype : kDTypes) {
    const double lowest = dtype == DType::f16 ? -65504 : -3.3e38;
    Values mask(4 * 80, 0.0);
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i / 80 == 2 || i % 80 > 50 ? lowest : 0;
    check({.heads = 1, .queries = 4, .keys = 80, .width = 16, .value_width = 16, .masks = {expand(tensor({1, 1, 4, 80}, mask, dtype), {2, 1, 4, 80})}}, dtype);
  }
}

TEST(CpuAttention, NanAndInfinityStayInTheirRows) {
  for (const DType dtype : kDTypes) {
    Values q(3 * 2, 1.0), v(40 * 2, 1.0);
    q[2] = kNan;
    v[1] = kInf;
    check_variants(core::Op::attention, {{"scale", 1.0}, {"causal", false}, {"has_mask", false}},
                   {tensor({3, 2}, q, dtype), random({40, 2}, dtype), tensor({40, 2}, v, dtype)}, {empty({3, 2}, dtype)}, tolerance(dtype));
  }
}

TEST(CpuAttention, ChoosesOurs) {
  for (const DType dtype : kDTypes) {
    const Tensor x = random({2, 5, 8}, dtype);
    EXPECT_EQ(cpu_kernel(core::Op::attention, {{"scale", 1.0}, {"causal", false}, {"has_mask", false}}, {x, x, x}, {x}), "cpu");
  }
}

}  // namespace
}  // namespace reprise::kernels::test
