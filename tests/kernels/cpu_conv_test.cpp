// Own convolutions on the CPU, for every instruction set that this machine has. The oracle computes in double.
#include <algorithm>

#include "kernels/cpu/conv/conv.h"
#include "kernels/cpu/step_maker.h"
#include "kernels/cpu_run.h"
#include "kernels/isa.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct Case {
  Sizes in, kernel;  // spatial
  std::int64_t from = 16, to = 16, groups = 1, batch = 1, stride = 1, padding = 1, dilation = 1;
  Activation activation = Activation::identity;
  bool bias = true, addend = false, streamed = false;
  int threads = 1;
};

using Make = cpu::StepPtr (*)(const cpu::Contraction&, cpu::WeightCache&);

Sizes joined(Sizes a, const Sizes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Sizes output(const Case& c) {
  Sizes out;
  for (std::size_t d = 0; d < c.in.size(); ++d) out.push_back((c.in[d] + 2 * c.padding - c.dilation * (c.kernel[d] - 1) - 1) / c.stride + 1);
  return joined({c.batch, c.to}, out);
}

double activate(Activation activation, double x) {
  const double gate = std::clamp(x + 3, 0.0, 6.0) / 6;
  if (activation == Activation::relu) return std::max(x, 0.0);
  if (activation == Activation::sigmoid) return 1 / (1 + std::exp(-x));
  if (activation == Activation::silu) return x / (1 + std::exp(-x));
  if (activation == Activation::gelu) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  if (activation == Activation::hardsigmoid) return gate;
  return activation == Activation::hardswish ? x * gate : x;
}

core::Attrs attrs_of(const Case& c) {
  const std::size_t n = c.in.size();
  return {{"stride", ints(Sizes(n, c.stride))},
          {"padding", ints(Sizes(n, c.padding))},
          {"dilation", ints(Sizes(n, c.dilation))},
          {"groups", integer(c.groups)},
          {"transposed", false},
          {"has_bias", c.bias}};
}

Values expected(const Case& c, std::vector<Tensor> inputs, const Values& addend) {
  for (Tensor& t : inputs) t = tensor(t.sizes(), values(t), DType::f64);
  const Tensor y = empty(output(c), DType::f64);
  run_reference(core::Op::conv, attrs_of(c), inputs, std::vector{y});
  Values result = values(y);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = activate(c.activation, result[i] + (c.addend ? addend[i] : 0));
  return result;
}

/// Whether `make` takes it.
bool check(const Case& c, DType dtype, Make make, double tolerated) {
  const Tensor x = channels_last(random(joined({c.batch, c.from}, c.in), dtype, Layout::rows, 1));
  const Tensor w = channels_last(random(joined({c.to, c.from / c.groups}, c.kernel), dtype, Layout::rows, 2)), bias = random({c.to}, dtype, Layout::rows, 3);
  const Tensor addend = channels_last(random(output(c), dtype, Layout::rows, 4)), y = channels_last(empty(output(c), dtype));
  CpuRun run({.threads = c.threads, .fixed = {1}, .streamed = c.streamed});
  const OperandRef added = run.operand(addend);
  cpu::WeightCache weights;
  std::vector<Tensor> inputs{x, w};
  if (c.bias) inputs.push_back(bias);
  bool made = false;
  const core::Attrs attrs = attrs_of(c);
  run.make(core::Op::conv, attrs, inputs, {y}, [&](const StepSpec& spec) {
    cpu::StepPtr step = make({.spec = spec, .addend = c.addend ? &added : nullptr, .activation = c.activation}, weights);
    made = step != nullptr;
    return step;
  });
  if (!made) return false;
  run.run();
  const std::string what = std::string(reprise::name(dtype)) + ", " + std::to_string(c.from) + " channels, " + std::to_string(c.in.back()) + " columns";
  expect_near(y, expected(c, inputs, values(addend)), tolerated, what);
  return true;
}

void check_all(const std::vector<Case>& cases, const std::vector<DType>& dtypes, Make make, double f32_tolerance) {
  for (const std::string& isa : machine_isas()) {
    SCOPED_TRACE(isa);
    const IsaScope scope(isa);
    for (const DType dtype : dtypes) {
      for (const Case& c : cases) EXPECT_TRUE(check(c, dtype, make, dtype == DType::f32 ? f32_tolerance : tolerance(dtype)));
    }
  }
}

Case depthwise(Case c) {
  c.to = c.groups = c.from;
  return c;
}

TEST(CpuConv, DepthwiseAgreesWithTheDefinition) {
  check_all({depthwise({.in = {7, 7}, .kernel = {5, 5}, .from = 40, .padding = 2, .activation = Activation::hardswish}),
             depthwise({.in = {14, 15}, .kernel = {3, 3}, .from = 24, .batch = 2, .addend = true, .threads = 3}),
             depthwise({.in = {29, 31}, .kernel = {3, 3}, .from = 16, .stride = 2, .activation = Activation::relu, .threads = 2}),
             depthwise({.in = {12, 20}, .kernel = {3, 2}, .from = 7, .padding = 2, .dilation = 2, .bias = false, .streamed = true}),
             depthwise({.in = {17, 13}, .kernel = {4, 3}, .from = 33, .stride = 3, .padding = 0, .activation = Activation::silu, .threads = 2}),
             depthwise({.in = {50}, .kernel = {7}, .from = 19, .padding = 3, .activation = Activation::sigmoid}),
             depthwise({.in = {56, 56}, .kernel = {3, 3}, .from = 72, .activation = Activation::hardsigmoid, .threads = 2}),
             depthwise({.in = {7, 9}, .kernel = {5, 5}, .from = 232, .padding = 2, .addend = true, .threads = 2}),   // blocks by the six, one of a half
             depthwise({.in = {3, 2}, .kernel = {5, 7}, .from = 48, .padding = 3, .activation = Activation::relu}),  // no window inside
             depthwise({.in = {9, 23}, .kernel = {7, 7}, .from = 48, .padding = 3, .activation = Activation::silu, .threads = 2}),
             depthwise({.in = {10, 33}, .kernel = {4, 5}, .from = 80, .stride = 2, .addend = true}),  // rows of taps that have no pair
             depthwise({.in = {30}, .kernel = {3}, .from = 100, .batch = 2, .streamed = true}),
             depthwise({.in = {96, 112}, .kernel = {3, 3}, .from = 104, .stride = 2, .activation = Activation::relu, .threads = 2}),  // fetched a row ahead
             depthwise({.in = {19, 40}, .kernel = {3, 3}, .from = 56, .batch = 3, .stride = 2, .padding = 0, .dilation = 3, .threads = 2})},
            {DType::f32, DType::bf16}, &cpu::make_depthwise, tolerance(DType::f32));
}

const std::vector<Case> kWindows{
    {.in = {28, 28}, .kernel = {3, 3}, .from = 64, .to = 128, .activation = Activation::relu, .addend = true, .threads = 2},
    {.in = {27, 33}, .kernel = {3, 3}, .from = 16, .to = 80, .padding = 0, .bias = false, .streamed = true},
    {.in = {25, 26}, .kernel = {3, 3}, .from = 48, .to = 16, .batch = 2, .padding = 2, .activation = Activation::hardswish, .threads = 3},
    {.in = {14, 13}, .kernel = {3, 3}, .from = 160, .to = 144, .activation = Activation::silu, .threads = 2},
    {.in = {15, 14}, .kernel = {3, 3}, .from = 144, .to = 128, .batch = 2, .addend = true},
    {.in = {28, 29}, .kernel = {3, 3}, .from = 144, .to = 80, .batch = 2, .addend = true, .streamed = true, .threads = 3},
    {.in = {14, 13}, .kernel = {3, 3}, .from = 160, .to = 128, .addend = true, .threads = 2},
    {.in = {20, 32}, .kernel = {3, 3}, .from = 256, .to = 80, .activation = Activation::relu, .threads = 3},
    {.in = {57, 55}, .kernel = {3, 3}, .from = 48, .to = 80, .addend = true, .threads = 2},  // weights transformed once for several parts
    {.in = {7, 50}, .kernel = {3, 3}, .from = 16, .to = 272, .padding = 0, .bias = false, .threads = 2}};

// More is lost than by the definition: the transforms' factors are up to 8.
TEST(CpuConv, WinogradAgreesWithTheDefinition) { check_all(kWindows, {DType::f32}, &cpu::make_winograd, 3e-5); }

/// By tiles of 2 x 2 where the rules take others.
cpu::StepPtr make_small_winograd(const cpu::Contraction& conv, cpu::WeightCache& weights) { return cpu::make_winograd(conv, weights, 2); }
/// By tiles of 4 x 4, as the rules or not.
cpu::StepPtr make_large_winograd(const cpu::Contraction& conv, cpu::WeightCache& weights) {
  cpu::StepPtr step = cpu::make_winograd(conv, weights);
  return step ? std::move(step) : cpu::make_winograd(conv, weights, 4);
}

TEST(CpuConv, WinogradByTilesOfAnySize) {
  check_all(kWindows, {DType::f32}, &make_small_winograd, 3e-5);
  for (const std::string& isa : machine_isas()) {
    SCOPED_TRACE(isa);
    const IsaScope scope(isa);
    for (const Case& c : kWindows) {
      for (const Make make : {&make_small_winograd, &make_large_winograd}) EXPECT_EQ(check(c, DType::bf16, make, tolerance(DType::bf16)), isa != "amx");
    }
  }
}

cpu::StepPtr make_product(const cpu::Contraction& conv, cpu::WeightCache& weights) { return cpu::make_conv_product(conv, weights).step; }

TEST(CpuConv, ProductAgreesWithTheDefinition) {
  const std::vector<Case> cases{
      {.in = {9, 11}, .kernel = {1, 1}, .from = 40, .to = 24, .padding = 0, .activation = Activation::hardsigmoid},
      {.in = {9, 11}, .kernel = {1, 1}, .from = 33, .to = 65, .batch = 2, .padding = 0, .addend = true, .streamed = true, .threads = 2},
      {.in = {9, 11}, .kernel = {1, 1}, .from = 64, .to = 32, .stride = 2, .padding = 0, .activation = Activation::relu, .addend = true},
      {.in = {1, 1}, .kernel = {1, 1}, .from = 96, .to = 24, .padding = 0, .bias = false, .threads = 3},
      {.in = {20, 21}, .kernel = {3, 3}, .from = 3, .to = 16, .stride = 2, .activation = Activation::hardswish, .threads = 2},
      {.in = {12, 10}, .kernel = {3, 2}, .from = 20, .to = 50, .batch = 2, .padding = 2, .dilation = 2, .addend = true, .threads = 3},
      {.in = {40, 40}, .kernel = {5, 5}, .from = 32, .to = 40, .padding = 3, .activation = Activation::gelu, .streamed = true, .threads = 2},
      {.in = {65}, .kernel = {7}, .from = 13, .to = 8, .stride = 3, .padding = 5},
      {.in = {30, 31}, .kernel = {7, 7}, .from = 3, .to = 64, .stride = 2, .padding = 3, .activation = Activation::relu, .threads = 2},  // odd lines
      {.in = {7, 7}, .kernel = {3, 3}, .from = 96, .to = 112, .batch = 5, .addend = true, .threads = 2},  // blocks of several images
      {.in = {9, 8}, .kernel = {3, 3}, .from = 24, .to = 32, .batch = 2, .stride = 2, .padding = 0, .addend = true, .threads = 3},
      {.in = {3, 2}, .kernel = {1, 1}, .from = 16, .to = 48, .stride = 5, .padding = 4},  // windows of zeros alone
      {.in = {12, 13}, .kernel = {5, 1}, .from = 7, .to = 80, .padding = 2, .activation = Activation::silu, .threads = 2}};
  for (const std::string& isa : machine_isas()) {
    if (isa == "plain") continue;
    SCOPED_TRACE(isa);
    const IsaScope scope(isa);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const Case& c : cases) EXPECT_TRUE(check(c, dtype, &make_product, tolerance(dtype)));
    }
  }
}

core::ScalarProgramPtr sum_of_two(DType dtype) {
  core::ScalarProgram p;
  p.inputs = {dtype, dtype};
  p.code = {{.op = core::ScalarOp::input, .type = dtype},
            {.op = core::ScalarOp::input, .type = dtype, .imm_int = 1},
            {.op = core::ScalarOp::cast, .type = DType::f32, .a = 0},
            {.op = core::ScalarOp::cast, .type = DType::f32, .a = 1},
            {.op = core::ScalarOp::add, .type = DType::f32, .a = 2, .b = 3},
            {.op = core::ScalarOp::cast, .type = dtype, .a = 4}};
  p.outputs = {5};
  return std::make_shared<const core::ScalarProgram>(p);
}

// Whatever kernel the device takes: a second run must not find the first one's sums.
TEST(CpuConv, SumsAreTheSameInEveryRun) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Case& c : {Case{.in = {9, 10}, .kernel = {3, 3}, .from = 64, .to = 96, .stride = 2, .addend = true},
                          Case{.in = {7, 7}, .kernel = {1, 1}, .from = 160, .to = 64, .padding = 0, .addend = true}}) {
      const Tensor x = channels_last(random(joined({c.batch, c.from}, c.in), dtype, Layout::rows, 1));
      const Tensor w = channels_last(random(joined({c.to, c.from}, c.kernel), dtype, Layout::rows, 2)), bias = random({c.to}, dtype, Layout::rows, 3);
      const Tensor addend = channels_last(random(output(c), dtype, Layout::rows, 4)), y = channels_last(empty(output(c), dtype));
      core::Attrs attrs = attrs_of(c);
      attrs.set("epilogue", sum_of_two(dtype));
      CpuRun run({.threads = 2, .fixed = {1}});
      run.make(core::Op::conv, attrs, {x, w, bias, addend}, {y}, cpu::step_maker());
      for (int i = 0; i < 2; ++i) {
        run.run();
        expect_near(y, expected(c, {x, w, bias}, values(addend)), tolerance(dtype), "run " + std::to_string(i));
      }
    }
  }
}

TEST(CpuConv, EachTakesItsOwn) {
  const Case square{.in = {28, 28}, .kernel = {3, 3}, .from = 16, .to = 16};
  EXPECT_FALSE(check(square, DType::f32, &cpu::make_depthwise, 0));
  EXPECT_FALSE(check(depthwise(square), DType::f32, &make_product, 0));
  EXPECT_FALSE(check(square, DType::f16, &cpu::make_winograd, 0));
  EXPECT_FALSE(check({.in = {28, 28}, .kernel = {3, 3}, .stride = 2}, DType::f32, &cpu::make_winograd, 0));
  EXPECT_FALSE(check({.in = {28, 28}, .kernel = {3, 3}, .activation = Activation::tanh}, DType::f32, &cpu::make_winograd, 0));
  EXPECT_FALSE(check({.in = {7, 7}, .kernel = {3, 3}}, DType::f32, &cpu::make_winograd, 0));
}

}  // namespace
}  // namespace reprise::kernels::test
