// Pointwise programs of the CPU device in all their variants against the reference kernels in f64.
#include "kernels/cpu_variants.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

using core::Instr, core::ScalarOp;

core::Attr program(std::vector<DType> inputs, std::vector<Instr> code, std::vector<int> outputs) {
  core::ScalarProgram p{.inputs = std::move(inputs), .symbols = {}, .code = std::move(code), .outputs = std::move(outputs)};
  p.verify();
  return std::make_shared<const core::ScalarProgram>(std::move(p));
}
Instr in(DType type, int i) { return {.op = ScalarOp::input, .type = type, .imm_int = i}; }
Instr number(double x) { return {.op = ScalarOp::constant, .imm_real = x}; }
Instr cast(DType type, int a) { return {.op = ScalarOp::cast, .type = type, .a = a}; }
Instr op(ScalarOp o, int a, int b = -1, int c = -1) { return {.op = o, .a = a, .b = b, .c = c}; }

/// The same with every dtype f64, as the oracle's operands are.
std::vector<Instr> wide(std::vector<Instr> code) {
  for (Instr& i : code) i.type = DType::f64;
  return code;
}

void check(const std::vector<Tensor>& inputs, const std::vector<Instr>& code, const std::vector<int>& results, const std::vector<Tensor>& outputs,
           double tolerance, const std::string& what, bool ours = true) {
  std::vector<DType> dtypes, wides;
  std::vector<Tensor> wide_inputs, wide_outputs;
  for (const Tensor& x : inputs) {
    dtypes.push_back(x.dtype());
    wides.push_back(DType::f64);
    wide_inputs.push_back(x.to(DType::f64));
  }
  for (const Tensor& y : outputs) wide_outputs.push_back(Tensor::zeros(y.sizes(), DType::f64));
  run_reference(core::Op::pointwise, {{"program", program(wides, wide(code), results)}}, wide_inputs, wide_outputs);
  const core::Attrs attrs{{"program", program(dtypes, code, results)}};
  run_variants(core::Op::pointwise, attrs, inputs, outputs, [&](const std::string& variant) {
    for (std::size_t j = 0; j < outputs.size(); ++j) expect_near(outputs[j], values(wide_outputs[j]), tolerance, what + " " + variant);
  });
  EXPECT_EQ(cpu_kernel(core::Op::pointwise, attrs, inputs, outputs), ours ? "cpu" : "reference") << what;
}

const std::vector<Sizes> kShapes{{1}, {15}, {17}, {3, 512}, {2, 3, 37, 29}, {70, 1000}};

TEST(CpuPointwise, FunctionsOfOneReal) {
  for (const ScalarOp o :
       {ScalarOp::neg, ScalarOp::abs, ScalarOp::reciprocal, ScalarOp::exp, ScalarOp::sigmoid, ScalarOp::tanh, ScalarOp::erf, ScalarOp::sin, ScalarOp::floor}) {
    for (const Layout layout : kLayouts) {
      const Tensor x = random({40, 41}, DType::f32, layout), y = empty({40, 41}, DType::f32, layout);
      check({x}, {in(DType::f32, 0), op(o, 0)}, {1}, {y}, 1e-6, std::string(core::name(o)) + " " + name(layout));
    }
    Values special{kNan, kInf, -kInf, 0, -0.0, 1e-30, 88, -100, 104, 1e30};
    special.insert(special.end(), 10, 0.3);
    check({tensor({20}, special)},
          {in(DType::f32, 0), number(0.25), op(ScalarOp::mul, 0, 1), op(o == ScalarOp::sin || o == ScalarOp::exp ? ScalarOp::neg : o, 2)}, {3},
          {empty({20}, DType::f32)}, 1e-6, std::string(core::name(o)) + " of special values");
  }
}

TEST(CpuPointwise, Exponentials) {
  Values x;
  for (double v = -103; v <= 88.7; v += 0.37) x.push_back(v);
  const auto n = static_cast<std::int64_t>(x.size());
  const Tensor t = tensor({n}, x), y = empty({n}, DType::f32);
  const Values exact = values(t);
  run_variants(core::Op::pointwise, {{"program", program({DType::f32}, {in(DType::f32, 0), op(ScalarOp::exp, 0)}, {1})}}, {t}, {y},
               [&](const std::string& variant) {
                 const Values got = values(y);
                 for (std::size_t i = 0; i < got.size(); ++i)
                   ASSERT_NEAR(got[i] / std::exp(exact[i]), 1, exact[i] < -87 ? 0.5 : 4e-7) << variant << " " << x[i];
               });
}

TEST(CpuPointwise, TwoOperandsAndNumbers) {
  for (const ScalarOp o : {ScalarOp::add, ScalarOp::sub, ScalarOp::mul, ScalarOp::div, ScalarOp::minimum, ScalarOp::maximum, ScalarOp::pow}) {
    for (const Sizes& sizes : kShapes) {
      const Tensor x = random(sizes), y = empty(sizes, DType::f32);
      const bool power = o == ScalarOp::pow, ours = count(sizes) >= 8;
      const Tensor other = random(sizes, DType::f32, Layout::rows, 2);
      if (!power) check({x, other}, {in(DType::f32, 0), in(DType::f32, 1), op(o, 0, 1)}, {2}, {y}, 1e-5, std::string(core::name(o)), ours);
      check({x}, {in(DType::f32, 0), number(power ? 2 : 0.7), op(o, 0, 1)}, {2}, {y}, 1e-6, std::string(core::name(o)) + " number", ours);
      if (!power && o != ScalarOp::div) check({x}, {in(DType::f32, 0), number(0.7), op(o, 1, 0)}, {2}, {y}, 1e-6, "number " + std::string(core::name(o)), ours);
    }
  }
  const Tensor x = tensor({20}, Values(20, kNan)), one = tensor({20}, Values(20, 1.0));
  for (const ScalarOp o : {ScalarOp::minimum, ScalarOp::maximum}) {
    check({x, one}, {in(DType::f32, 0), in(DType::f32, 1), op(o, 0, 1), op(o, 1, 0)}, {2, 3}, {empty({20}, DType::f32), empty({20}, DType::f32)}, 0, "NaN");
  }
}

TEST(CpuPointwise, HalfPrecisionRoundsWhereACastStands) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    for (const Sizes& sizes : kShapes) {
      if (count(sizes) < 8) continue;
      const Tensor x = random(sizes, dtype), y = empty(sizes, dtype), z = empty(sizes, DType::f32);
      check({x}, {in(dtype, 0), cast(DType::f32, 0), number(2), op(ScalarOp::add, 1, 2), cast(dtype, 3), cast(DType::f32, 4)}, {4, 5}, {y, z}, tolerance(dtype),
            "rounded and read again");
      check({x}, {in(dtype, 0), cast(DType::f32, 0)}, {1}, {z}, 0, "widened");
      // What is rounded is used further: 1 + 2^-12 is 1 in both.
      const std::vector<Instr> code{in(DType::f32, 0), number(1), op(ScalarOp::add, 0, 1), cast(dtype, 2), cast(DType::f32, 3), op(ScalarOp::sub, 4, 1)};
      const Tensor tiny = tensor(sizes, Values(static_cast<std::size_t>(count(sizes)), 0x1p-12));
      run_variants(core::Op::pointwise, {{"program", program({DType::f32}, code, {5})}}, {tiny}, {z},
                   [&](const std::string& variant) { expect_near(z, Values(static_cast<std::size_t>(count(sizes)), 0.0), 0, variant); });
    }
    check({random({33, 20}, DType::f32)}, {in(DType::f32, 0), cast(dtype, 0)}, {1}, {empty({33, 20}, dtype)}, tolerance(dtype), "narrowed");
  }
}

TEST(CpuPointwise, BroadcastOperands) {
  const Sizes sizes{2, 24, 9, 11};
  const std::vector<Instr> code{in(DType::f32, 0),       in(DType::f32, 1), op(ScalarOp::mul, 0, 1), in(DType::f32, 2),
                                op(ScalarOp::sub, 3, 2), number(0.5),       op(ScalarOp::sub, 5, 1), op(ScalarOp::fma, 4, 6, 0)};
  for (const Layout layout : {Layout::rows, Layout::columns}) {
    for (const Sizes& small : {Sizes{1, 24, 1, 1}, Sizes{2, 24, 1, 1}, Sizes{1, 1, 1, 11}, Sizes{1, 1, 1, 1}, Sizes{2, 1, 9, 1}}) {
      check({random(sizes, DType::f32, layout), expand(random(small, DType::f32, Layout::rows, 2), sizes), expand(random({1, 1, 9, 11}), sizes)}, code, {7},
            {empty(sizes, DType::f32, layout)}, 1e-5, name(layout));
    }
  }
}

TEST(CpuPointwise, ChangesOfLayout) {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    const Tensor x = random({1, 3, 30, 41}), y = empty({1, 30, 41, 3}, dtype).as_strided(Sizes{1, 3, 30, 41}, Sizes{3690, 1, 123, 3});
    check({x}, {in(DType::f32, 0), number(3), op(ScalarOp::mul, 0, 1), cast(dtype, 2)}, {3}, {y}, tolerance(dtype), "channels last");
  }
}

TEST(CpuPointwise, LeavesIntegersAndConditionsToTheReference) {
  const Tensor x = random({40}), y = empty({40}, DType::f32);
  const std::vector<Instr> code{in(DType::f32, 0), number(0), {.op = ScalarOp::gt, .type = DType::boolean, .a = 0, .b = 1}, op(ScalarOp::where, 2, 0, 1)};
  EXPECT_EQ(cpu_kernel(core::Op::pointwise, {{"program", program({DType::f32}, code, {3})}}, {x}, {y}), "reference");
}

}  // namespace
}  // namespace reprise::kernels::test
