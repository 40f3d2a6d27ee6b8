#include "kernels/support.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/device_run.h"

namespace reprise::kernels::test {

std::string name(Layout layout) { return layout == Layout::rows ? "rows" : layout == Layout::columns ? "columns" : "gaps"; }

std::int64_t count(const Sizes& sizes) {
  std::int64_t n = 1;
  for (const std::int64_t s : sizes) n *= s;
  return n;
}

Tensor empty(const Sizes& sizes, DType dtype, Layout layout) {
  if (layout == Layout::rows) return Tensor::zeros(sizes, dtype);
  Sizes strides(sizes.size());
  std::int64_t step = layout == Layout::gaps ? 2 : 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t d = layout == Layout::columns ? i : sizes.size() - 1 - i;
    strides[d] = step;
    step *= std::max<std::int64_t>(sizes[d], 1) + (layout == Layout::gaps ? 1 : 0);
  }
  return Tensor::zeros(Sizes{step + 1}, dtype).as_strided(sizes, strides, layout == Layout::gaps ? 1 : 0);
}

Tensor tensor(const Sizes& sizes, const Values& values, DType dtype, Layout layout) {
  EXPECT_EQ(static_cast<std::int64_t>(values.size()), count(sizes));
  const Tensor flat = Tensor::from_blob(const_cast<double*>(values.data()), sizes, DType::f64).to(dtype);
  Tensor result = empty(sizes, dtype, layout);
  tensor::copy_into(result, flat);
  return result;
}

Tensor expand(const Tensor& t, const Sizes& sizes) {
  Sizes strides = t.strides();
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    if (t.sizes()[d] != sizes[d]) strides[d] = 0;
  }
  return t.as_strided(sizes, strides);
}

Tensor random(const Sizes& sizes, DType dtype, Layout layout, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> reals(-2, 2);
  std::uniform_int_distribution<int> small(is_signed(dtype) ? -5 : 0, 5);
  Values values(static_cast<std::size_t>(count(sizes)));
  for (double& v : values) v = is_floating(dtype) ? reals(engine) : dtype == DType::boolean ? small(engine) > 2 : small(engine);
  return tensor(sizes, values, dtype, layout);
}

Values values(const Tensor& t) {
  const Tensor flat = t.contiguous().to(DType::f64);
  return {flat.data_as<double>(), flat.data_as<double>() + flat.numel()};
}

double tolerance(DType dtype, bool exact) {
  switch (dtype) {
    case DType::f64:
      return 1e-12;
    case DType::f32:
      return exact ? 1e-6 : 1e-5;
    case DType::f16:
      return 2e-3;
    case DType::bf16:
      return 1.6e-2;
    default:
      return 0;
  }
}

void expect_near(const Tensor& actual, const Values& expected, double tolerance, const std::string& what) {
  const Values got = values(actual);
  ASSERT_EQ(got.size(), expected.size()) << what;
  double scale = 0;
  for (const double v : expected) {
    if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i]))
      ASSERT_TRUE(std::isnan(got[i])) << what << " element " << i << " got " << got[i];
    else if (std::isinf(expected[i]))
      ASSERT_EQ(got[i], expected[i]) << what << " element " << i;
    else
      ASSERT_LE(std::abs(got[i] - expected[i]), tolerance * scale) << what << " element " << i << " got " << got[i] << " want " << expected[i];
  }
}

void run(core::Op op, const core::Attrs& attrs, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  const char *device = std::getenv("REPRISE_TEST_DEVICE"), *architecture = std::getenv("REPRISE_TEST_ARCHITECTURE");
  if (device != nullptr) return run_on_device(device, op, attrs, inputs, outputs);
  if (architecture != nullptr) compile_offline(architecture, op, attrs, inputs, outputs);
  run_reference(op, attrs, inputs, outputs, 2);
}

void for_each_index(const Sizes& sizes, const std::function<void(const Sizes&)>& f) {
  if (count(sizes) == 0) return;
  Sizes index(sizes.size(), 0);
  while (true) {
    f(index);
    std::size_t d = sizes.size();
    while (d > 0 && ++index[d - 1] == sizes[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

std::int64_t position(const Sizes& sizes, const Sizes& index) {
  std::int64_t at = 0;
  for (std::size_t d = 0; d < sizes.size(); ++d) at = at * sizes[d] + index[d];
  return at;
}

core::ScalarProgramPtr add_relu(DType dtype) {
  using core::ScalarOp;
  core::ScalarProgram p;
  p.inputs = {dtype, dtype};
  const auto add = [&](core::Instr instr) {
    p.code.push_back(instr);
    return static_cast<int>(p.code.size()) - 1;
  };
  const auto input = [&](int i) { return add({.op = ScalarOp::cast, .type = DType::f32, .a = add({.op = ScalarOp::input, .type = dtype, .imm_int = i})}); };
  const int x = input(0), e = input(1), sum = add({.op = ScalarOp::add, .type = DType::f32, .a = x, .b = e});
  const int zero = add({.op = ScalarOp::constant, .type = DType::f32, .imm_real = 0});
  p.outputs = {add({.op = ScalarOp::cast, .type = dtype, .a = add({.op = ScalarOp::maximum, .type = DType::f32, .a = sum, .b = zero})})};
  p.verify();
  return std::make_shared<const core::ScalarProgram>(p);
}

}  // namespace reprise::kernels::test
