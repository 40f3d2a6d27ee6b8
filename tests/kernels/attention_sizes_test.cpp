// Attention with the head sizes, masks and numbers of keys of real models, in the layouts that projections leave behind. The oracle is the reference kernel in
// f64.
#include <array>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct Case {
  std::int64_t heads, queries, keys, width, value_width;
  bool causal = false;
  enum class Mask { none, boolean, added, broadcast } mask = Mask::none;
  bool packed = false;  // q, k and v are slices of one tensor [queries, 3, heads, width]
};

Tensor projection(const Case& c, std::int64_t rows, std::int64_t width, DType dtype, unsigned seed) {
  if (!c.packed) return random({2, c.heads, rows, width}, dtype, Layout::rows, seed);
  const Tensor all = random({2, rows, 3, c.heads, width}, dtype, Layout::rows, seed);
  return all.as_strided(Sizes{2, c.heads, rows, width}, Sizes{rows * 3 * c.heads * width, width, 3 * c.heads * width, 1}, c.heads * width);
}

Tensor mask_for(const Case& c, DType dtype) {
  const Sizes sizes{2, c.heads, c.queries, c.keys};
  switch (c.mask) {
    case Case::Mask::boolean:
      return random(sizes, DType::boolean, Layout::rows, 7);
    case Case::Mask::added:
      return random(sizes, dtype, Layout::rows, 8);
    default:
      return expand(random({2, 1, 1, c.keys}, DType::boolean, Layout::rows, 9), sizes);
  }
}

void check(const Case& c, DType dtype) {
  std::vector<Tensor> inputs{projection(c, c.queries, c.width, dtype, 1), projection(c, c.keys, c.width, dtype, 2),
                             projection(c, c.keys, c.value_width, dtype, 3)};
  const bool has_mask = c.mask != Case::Mask::none;
  if (has_mask) inputs.push_back(mask_for(c, dtype));
  const core::Attrs attrs{{"scale", 1 / std::sqrt(static_cast<double>(c.width))}, {"causal", c.causal}, {"has_mask", has_mask}};
  const Sizes sizes{2, c.heads, c.queries, c.value_width};
  std::vector<Tensor> wide;
  for (const Tensor& t : inputs) wide.push_back(t.dtype() == DType::boolean ? t : t.to(DType::f64));
  const Tensor expected = empty(sizes, DType::f64), y = empty(sizes, dtype);
  run_reference(core::Op::attention, attrs, wide, std::array{expected});
  run(core::Op::attention, attrs, inputs, {y});
  expect_near(y, values(expected), tolerance(dtype),
              std::to_string(c.queries) + " queries, " + std::to_string(c.keys) + " keys, width " + std::to_string(c.width));
}

TEST(AttentionSizes, HeadsOfEveryWidth) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    for (const std::int64_t width : {32, 64, 80, 96, 128, 256}) check({1, 20, 50, width, width}, dtype);
    check({2, 9, 33, 20, 28}, dtype);
    check({1, 17, 40, 300, 72}, dtype);
    check({1, 17, 40, 64, 320}, dtype);
  }
}

TEST(AttentionSizes, MasksAndCausality) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
    for (const Case::Mask mask : {Case::Mask::none, Case::Mask::boolean, Case::Mask::added, Case::Mask::broadcast}) {
      for (const bool causal : {false, true}) {
        check({2, 70, 70, 64, 64, causal, mask}, dtype);
        check({1, 5, 200, 32, 32, causal, mask}, dtype);
      }
    }
  }
}

TEST(AttentionSizes, SlicesOfOneProjection) {
  for (const DType dtype : {DType::f16, DType::f32}) {
    check({3, 130, 130, 64, 64, false, Case::Mask::none, true}, dtype);
    check({2, 40, 40, 20, 20, true, Case::Mask::none, true}, dtype);
  }
}

TEST(AttentionSizes, ManyHeadsAndOneQuery) {
  check({40, 64, 64, 32, 32, true}, DType::f16);
  check({3, 1, 77, 64, 64}, DType::f16);
  check({3, 77, 1, 64, 64}, DType::bf16);
}

}  // namespace
}  // namespace reprise::kernels::test
