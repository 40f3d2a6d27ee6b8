// Own products with fixed weights on the CPU, for every instruction set that this machine has. The oracle computes in double.
#include <array>
#include <vector>

#include "kernels/cpu/gemm/gemm.h"
#include "kernels/cpu/gemm/panels.h"
#include "kernels/cpu_run.h"
#include "kernels/isa.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct Case {
  std::int64_t rows, columns, depth;
  Activation activation = Activation::identity;
  bool bias = true, addend = false, transposed = false, streamed = false;
  int threads = 1;
};

double activate(Activation activation, double x) {
  const double gate = std::clamp(x + 3, 0.0, 6.0) / 6;
  switch (activation) {
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::hardswish:
      return x * gate;
    case Activation::hardsigmoid:
      return gate;
    default:
      return x;
  }
}

Values expected(const Case& c, const Values& a, const Values& w, const Values& bias, const Values& addend) {
  Values y;
  for (std::int64_t r = 0; r < c.rows; ++r) {
    for (std::int64_t n = 0; n < c.columns; ++n) {
      double sum = c.bias ? bias[n] : 0;
      for (std::int64_t k = 0; k < c.depth; ++k) sum += a[r * c.depth + k] * w[k * c.columns + n];
      y.push_back(activate(c.activation, sum + (c.addend ? addend[r * c.columns + n] : 0)));
    }
  }
  return y;
}

/// Rows that lie further apart than they are long.
Tensor with_gaps(const Tensor& t) {
  const std::int64_t rows = t.sizes()[0], columns = t.sizes()[1], stride = columns + 5;
  Tensor result = Tensor::zeros(Sizes{rows * stride}, t.dtype()).as_strided(t.sizes(), Sizes{stride, 1});
  tensor::copy_into(result, t);
  return result;
}

void check_case(const Case& c, DType dtype) {
  const Sizes sizes{c.rows, c.columns};
  const Tensor a = with_gaps(random({c.rows, c.depth}, dtype, Layout::rows, 1));
  const Tensor w = random({c.depth, c.columns}, dtype, c.transposed ? Layout::columns : Layout::rows, 2);
  const Tensor bias = random({1, c.columns}, dtype, Layout::rows, 3), addend = with_gaps(random(sizes, dtype, Layout::rows, 4));
  const Tensor y = with_gaps(empty(sizes, dtype));
  CpuRun run({.threads = c.threads, .fixed = {1}, .streamed = c.streamed});
  const OperandRef added = run.operand(addend);
  cpu::WeightCache weights;
  const core::Attrs attrs{{"has_bias", c.bias}};
  std::vector<Tensor> inputs{a, w};
  if (c.bias) inputs.push_back(expand(bias, sizes));
  run.make(core::Op::matmul, attrs, inputs, {y}, [&](const StepSpec& spec) {
    cpu::NamedStep made = cpu::make_gemm({.spec = spec, .addend = c.addend ? &added : nullptr, .activation = c.activation}, weights);
    EXPECT_TRUE(made.name.starts_with("gemm_")) << made.name;
    return std::move(made.step);
  });
  run.run();
  expect_near(y, expected(c, values(a), values(w), values(bias), values(addend)), tolerance(dtype),
              std::string(cpu_isa()) + " " + std::to_string(c.rows) + "x" + std::to_string(c.columns) + "x" + std::to_string(c.depth));
}

constexpr Case kCases[] = {
    {.rows = 1, .columns = 1, .depth = 1},
    {.rows = 1, .columns = 100, .depth = 33, .transposed = true},
    {.rows = 7, .columns = 47, .depth = 64, .bias = false, .threads = 3},
    {.rows = 16, .columns = 96, .depth = 32, .addend = true},
    {.rows = 17, .columns = 49, .depth = 31, .addend = true, .transposed = true, .streamed = true},
    {.rows = 33, .columns = 130, .depth = 97, .bias = false, .addend = true, .threads = 2},
    {.rows = 64, .columns = 64, .depth = 128, .transposed = true, .streamed = true, .threads = 3},
    {.rows = 391, .columns = 200, .depth = 3000, .threads = 2},  // several blocks of rows
    {.rows = 2, .columns = 40, .depth = 331, .addend = true},
    {.rows = 1, .columns = 32, .depth = 70, .activation = Activation::relu},
    {.rows = 25, .columns = 112, .depth = 45, .activation = Activation::relu, .addend = true, .threads = 3},  // panels of 48, 32 and 32 columns of f32
    {.rows = 37, .columns = 16, .depth = 20, .activation = Activation::relu},
    {.rows = 40, .columns = 80, .depth = 21, .bias = false, .transposed = true},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::relu, .threads = 2},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::gelu},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::gelu_tanh},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::silu},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::sigmoid, .addend = true},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::tanh},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::hardswish},
    {.rows = 50, .columns = 70, .depth = 40, .activation = Activation::hardsigmoid},
};

TEST(CpuGemm, AgreesWithSumsInDouble) {
  for (const std::string& isa : machine_isas()) {
    if (isa == "plain") continue;
    const IsaScope scope(isa);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const Case& c : kCases) check_case(c, dtype);
    }
  }
}

TEST(CpuGemm, TakesWhatItCanOnly) {
  cpu::WeightCache weights;
  const auto takes = [&](const Tensor& a, const Tensor& w, const Tensor& y, std::vector<int> fixed) {
    CpuRun run({.fixed = std::move(fixed)});
    bool made = false;
    const core::Attrs attrs{{"has_bias", false}};
    run.make(core::Op::matmul, attrs, {a, w}, {y}, [&](const StepSpec& spec) {
      cpu::NamedStep step = cpu::make_gemm({.spec = spec}, weights);
      made = step.step != nullptr;
      return std::move(step.step);
    });
    return made;
  };
  const Tensor a = random({4, 8}), w = random({8, 6}), y = empty({4, 6}, DType::f32);
  EXPECT_EQ(takes(a, w, y, {1}), active_isa() >= Isa::avx2);
  EXPECT_FALSE(takes(a, w, y, {}));
  EXPECT_FALSE(takes(random({4, 8}, DType::f32, Layout::columns), w, y, {1}));
  EXPECT_FALSE(takes(random({4, 8}, DType::f64), random({8, 6}, DType::f64), empty({4, 6}, DType::f64), {1}));
}

/// Element [k, column] of panels, where the form's description says that it is.
template <class E>
E element_of(const cpu::PanelForm& form, const std::vector<E>& panels, std::int64_t k, std::int64_t column) {
  constexpr std::int64_t kTile = cpu::PanelForm::kTileColumns, kDepth = cpu::PanelForm::kBlockDepth;
  std::int64_t panel = 0;
  while (form.column(panel + 1) <= column) ++panel;
  const std::int64_t width = form.width(panel), c = column - form.column(panel);
  std::int64_t at = k * width + c;
  if (form.dtype == DType::bf16 && !form.tiles) at = (k / 2 * width + c) * 2 + k % 2;
  if (form.tiles) at = k / kDepth * kDepth * width + c / kTile * kDepth * kTile + (k % kDepth / 2 * kTile + c % kTile) * 2 + k % 2;
  return panels.at(form.offset_bytes(panel) / sizeof(E) + static_cast<std::size_t>(at));
}

template <class E>
void check_panels(const cpu::PanelForm& form, std::size_t panels, std::size_t bytes) {
  SCOPED_TRACE(::testing::Message() << name(form.dtype) << ' ' << form.depth << 'x' << form.columns << (form.tiles ? " tiles" : ""));
  std::vector<E> matrix(static_cast<std::size_t>(form.depth * form.columns)), packed(form.bytes() / sizeof(E), E(7));
  for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<E>(i + 1);
  cpu::pack_panels({matrix.data(), 1, form.depth}, form, packed.data(), 2);
  EXPECT_EQ(form.panels(), static_cast<std::int64_t>(panels));
  EXPECT_EQ(form.bytes(), bytes);
  std::size_t wrong = 0, zeros = 0;
  for (std::int64_t column = 0; column < form.columns; ++column)
    for (std::int64_t k = 0; k < form.depth; ++k) wrong += element_of(form, packed, k, column) != matrix[static_cast<std::size_t>(column * form.depth + k)];
  for (const E& e : packed) zeros += e == E(0);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(zeros, packed.size() - matrix.size()) << "all else is padding";
}

TEST(CpuGemm, PanelsHoldTheMatrixAndZeros) {
  check_panels<float>({DType::f32, 70, 100}, 3, 70 * 112 * 4);  // 48, 32, 32
  check_panels<float>({DType::f32, 5, 7}, 1, 5 * 16 * 4);
  check_panels<std::uint16_t>({DType::bf16, 37, 45}, 2, 38 * 48 * 2);  // 32, 16
  check_panels<std::uint16_t>({DType::bf16, 33, 16}, 1, 34 * 16 * 2);
  check_panels<std::uint16_t>({DType::bf16, 37, 45, true}, 2, 64 * 64 * 2);
  check_panels<std::uint16_t>({DType::bf16, 64, 16, true}, 1, 64 * 32 * 2);
}

}  // namespace
}  // namespace reprise::kernels::test
