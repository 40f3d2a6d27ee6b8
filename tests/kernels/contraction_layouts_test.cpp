// Products and convolutions in the layouts that fast kernels load in whole vectors: dense rows or columns, channels last, dimensions that are multiples of 8
// and those just beside, several blocks of depth. The oracle is the reference kernel in f64.
#include <array>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

constexpr DType kHalves[] = {DType::f16, DType::bf16};

/// Strides that make dimension `inner` the innermost one, the others row-major.
Tensor with_innermost(const Tensor& t, std::size_t inner) {
  const Sizes& sizes = t.sizes();
  Sizes strides(sizes.size());
  std::int64_t step = sizes[inner];
  strides[inner] = 1;
  for (std::size_t d = sizes.size(); d-- > 0;) {
    if (d == inner) continue;
    strides[d] = step;
    step *= sizes[d];
  }
  Tensor result = Tensor::zeros(Sizes{std::max<std::int64_t>(step, 1)}, t.dtype()).as_strided(sizes, strides);
  tensor::copy_into(result, t);
  return result;
}

void check(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const Tensor& y, const std::string& what) {
  std::vector<Tensor> wide;
  for (const Tensor& t : inputs) wide.push_back(t.to(DType::f64));
  const Tensor expected = empty(y.sizes(), DType::f64);
  run_reference(op, attrs, wide, std::array{expected});
  run(op, attrs, inputs, {y});
  expect_near(y, values(expected), tolerance(y.dtype()), what);
}

void check_matmul(const Sizes& batch, std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, bool a_transposed, bool b_transposed, bool y_transposed) {
  const auto sizes = [&](std::int64_t rows, std::int64_t columns) {
    Sizes s = batch;
    s.push_back(rows);
    s.push_back(columns);
    return s;
  };
  const std::size_t row = batch.size(), column = row + 1;
  const Tensor a = with_innermost(random(sizes(m, k), dtype, Layout::rows, 1), a_transposed ? row : column);
  const Tensor b = with_innermost(random(sizes(k, n), dtype, Layout::rows, 2), b_transposed ? row : column);
  const Tensor bias = expand(random(Sizes(batch.size() + 1, 1), dtype, Layout::rows, 3).as_strided(sizes(1, 1), Sizes(batch.size() + 2, 0)), sizes(m, n));
  const Tensor y = with_innermost(empty(sizes(m, n), dtype), y_transposed ? row : column);
  check(core::Op::matmul, {{"has_bias", true}}, {a, b, bias}, y,
        std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + (a_transposed ? " a columns" : "") + (b_transposed ? " b columns" : ""));
}

TEST(ContractionLayouts, MatrixProducts) {
  for (const DType dtype : kHalves) {
    for (const bool a : {false, true}) {
      for (const bool b : {false, true}) {
        check_matmul({}, 64, 64, 64, dtype, a, b, false);
        check_matmul({3}, 40, 72, 200, dtype, a, b, a);
        check_matmul({}, 136, 260, 88, dtype, a, b, b);
        check_matmul({}, 37, 45, 83, dtype, a, b, false);
        check_matmul({2, 2}, 1, 24, 136, dtype, a, b, false);
      }
    }
  }
}

TEST(ContractionLayouts, DeepProducts) {
  for (const DType dtype : {DType::f16, DType::f32}) {
    check_matmul({}, 16, 48, 2048, dtype, false, true, false);
    check_matmul({2}, 5, 7, 1111, dtype, false, false, false);
  }
}

struct ConvCase {
  std::int64_t batch, from, to, groups;
  Sizes in, kernel;
  std::int64_t stride, padding, dilation;
  bool transposed = false;
};

void check_conv(const ConvCase& c, DType dtype, bool channels_last, bool weight_channels_last) {
  const std::size_t dims = c.in.size();
  Sizes x{c.batch, c.from}, w = c.transposed ? Sizes{c.from, c.to / c.groups} : Sizes{c.to, c.from / c.groups}, y{c.batch, c.to};
  for (std::size_t d = 0; d < dims; ++d) {
    const std::int64_t reach = c.dilation * (c.kernel[d] - 1);
    x.push_back(c.in[d]);
    w.push_back(c.kernel[d]);
    y.push_back(c.transposed ? (c.in[d] - 1) * c.stride - 2 * c.padding + reach + 1 : (c.in[d] + 2 * c.padding - reach - 1) / c.stride + 1);
  }
  const auto layout = [](const Tensor& t, bool last) { return last ? with_innermost(t, 1) : t; };
  const core::Attrs attrs{{"stride", ints(Sizes(dims, c.stride))},
                          {"padding", ints(Sizes(dims, c.padding))},
                          {"dilation", ints(Sizes(dims, c.dilation))},
                          {"output_padding", ints(Sizes(dims, 0))},
                          {"groups", integer(c.groups)},
                          {"transposed", c.transposed},
                          {"has_bias", true}};
  check(core::Op::conv, attrs,
        {layout(random(x, dtype, Layout::rows, 1), channels_last), layout(random(w, dtype, Layout::rows, 2), weight_channels_last),
         random({c.to}, dtype, Layout::rows, 3)},
        layout(empty(y, dtype), channels_last),
        "from " + std::to_string(c.from) + " to " + std::to_string(c.to) + " groups " + std::to_string(c.groups) + (channels_last ? " channels last" : ""));
}

TEST(ContractionLayouts, Convolutions) {
  const std::vector<ConvCase> cases{
      {2, 16, 24, 1, {9, 11}, {3, 3}, 1, 1, 1},     {1, 64, 72, 1, {7, 7}, {3, 3}, 2, 1, 1},
      {1, 32, 16, 1, {12, 5}, {1, 1}, 1, 0, 1},     {2, 8, 16, 1, {8, 8}, {1, 1}, 2, 0, 1},
      {1, 3, 16, 1, {20, 20}, {7, 7}, 2, 3, 1},     {1, 16, 32, 2, {6, 6}, {3, 3}, 1, 2, 2},
      {2, 24, 24, 24, {7, 9}, {3, 3}, 1, 1, 1},     {1, 16, 16, 16, {9, 9}, {5, 5}, 2, 2, 1},
      {1, 20, 20, 20, {6, 7}, {3, 3}, 1, 1, 1},     {1, 8, 16, 8, {6, 7}, {3, 3}, 1, 1, 1},
      {1, 16, 8, 1, {5, 6}, {3, 3}, 2, 1, 1, true}, {1, 16, 16, 2, {4, 4}, {2, 2}, 2, 0, 1, true},
      {1, 8, 8, 8, {5, 5}, {3, 3}, 2, 1, 1, true},  {2, 16, 8, 1, {30}, {5}, 1, 2, 1},
      {1, 8, 16, 1, {4, 5, 6}, {3, 3, 3}, 1, 1, 1},
  };
  for (const ConvCase& c : cases) {
    for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
      for (const bool last : {false, true}) {
        check_conv(c, dtype, last, last);
        if (last && dtype == DType::f16) check_conv(c, dtype, last, false);
      }
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::test
