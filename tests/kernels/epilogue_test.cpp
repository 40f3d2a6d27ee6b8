// What follows a contraction in the same command, against the contraction and a pointwise op one after the other in f64.
#include <array>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

using core::Instr;
using core::ScalarOp;

/// Programs over the contraction's result (input 0) and further operands, computed in f32.
class ProgramBuilder {
 public:
  ProgramBuilder(DType dtype, int operands) { program_.inputs.assign(static_cast<std::size_t>(operands) + 1, dtype); }
  int input(int which) {
    return add({.op = ScalarOp::cast, .type = compute(), .a = add({.op = ScalarOp::input, .type = program_.inputs[0], .imm_int = which})});
  }
  int constant(double value) { return add({.op = ScalarOp::constant, .type = compute(), .imm_real = value}); }
  int op(ScalarOp op, int a, int b = -1) { return add({.op = op, .type = compute(), .a = a, .b = b}); }
  core::ScalarProgramPtr finish(int result) {
    program_.outputs = {add({.op = ScalarOp::cast, .type = program_.inputs[0], .a = result})};
    program_.verify();
    return std::make_shared<const core::ScalarProgram>(program_);
  }

 private:
  [[nodiscard]] DType compute() const { return program_.inputs[0] == DType::f64 ? DType::f64 : DType::f32; }
  int add(Instr instr) {
    program_.code.push_back(instr);
    return static_cast<int>(program_.code.size()) - 1;
  }
  core::ScalarProgram program_;
};

enum class Kind { relu, gelu, gelu_tanh, silu, hard_swish, add, add_relu, scale_of_two };
constexpr Kind kKinds[] = {Kind::relu, Kind::gelu, Kind::gelu_tanh, Kind::silu, Kind::hard_swish, Kind::add, Kind::add_relu, Kind::scale_of_two};

int operands(Kind kind) { return kind == Kind::add || kind == Kind::add_relu ? 1 : kind == Kind::scale_of_two ? 2 : 0; }

core::ScalarProgramPtr program(Kind kind, DType dtype) {
  ProgramBuilder b(dtype, operands(kind));
  const int x = b.input(0);
  const auto gate = [&](int inner) { return b.op(ScalarOp::mul, b.op(ScalarOp::mul, x, b.constant(0.5)), b.op(ScalarOp::add, inner, b.constant(1))); };
  switch (kind) {
    case Kind::relu:
      return b.finish(b.op(ScalarOp::maximum, x, b.constant(0)));
    case Kind::gelu:
      return b.finish(gate(b.op(ScalarOp::erf, b.op(ScalarOp::mul, x, b.constant(0.7071067690849304)))));
    case Kind::gelu_tanh: {
      const int cubic = b.op(ScalarOp::mul, b.op(ScalarOp::mul, b.op(ScalarOp::mul, x, x), x), b.constant(0.044714998453855515));
      return b.finish(gate(b.op(ScalarOp::tanh, b.op(ScalarOp::mul, b.op(ScalarOp::add, x, cubic), b.constant(0.7978845834732056)))));
    }
    case Kind::silu:
      return b.finish(b.op(ScalarOp::mul, x, b.op(ScalarOp::sigmoid, x)));
    case Kind::hard_swish: {
      const int clipped = b.op(ScalarOp::minimum, b.op(ScalarOp::maximum, b.op(ScalarOp::add, x, b.constant(3)), b.constant(0)), b.constant(6));
      return b.finish(b.op(ScalarOp::div, b.op(ScalarOp::mul, x, clipped), b.constant(6)));
    }
    case Kind::add:
      return b.finish(b.op(ScalarOp::add, b.input(1), x));
    case Kind::add_relu:
      return b.finish(b.op(ScalarOp::maximum, b.op(ScalarOp::add, x, b.input(1)), b.constant(0)));
    case Kind::scale_of_two:
      return b.finish(b.op(ScalarOp::add, b.op(ScalarOp::mul, x, b.input(1)), b.input(2)));
  }
  return nullptr;
}

/// `attrs` and `inputs` of the contraction; `y` has its layout, the epilogue's operands too unless `other_layout`.
void check(core::Op op, core::Attrs attrs, const std::vector<Tensor>& inputs, const Tensor& y, Kind kind, bool other_layout = false) {
  const Tensor plain = empty(y.sizes(), DType::f64), expected = empty(y.sizes(), DType::f64);
  std::vector<Tensor> wide, all = inputs, after{plain};
  for (const Tensor& t : inputs) wide.push_back(t.to(DType::f64));
  run_reference(op, attrs, wide, std::array{plain});
  for (int i = 0; i < operands(kind); ++i) {
    const Tensor e = random(y.sizes(), y.dtype(), Layout::rows, static_cast<unsigned>(11 + i));
    Tensor laid = other_layout     ? empty(y.sizes(), y.dtype(), Layout::gaps)
                  : y.numel() == 0 ? e
                                   : Tensor::zeros(Sizes{count(y.sizes())}, y.dtype()).as_strided(y.sizes(), y.strides());
    tensor::copy_into(laid, e);
    all.push_back(laid);
    after.push_back(e.to(DType::f64));
  }
  run_reference(core::Op::pointwise, {{"program", program(kind, DType::f64)}}, after, std::array{expected});
  attrs.set("epilogue", program(kind, y.dtype()));
  run(op, attrs, all, {y});
  // Half precision: the sum is rounded once more where nothing fuses.
  expect_near(y, values(expected), tolerance(y.dtype()) * (y.dtype() == DType::f32 ? 1 : 2),
              std::string(name(y.dtype())) + " kind " + std::to_string(static_cast<int>(kind)));
}

Tensor channels_last(const Tensor& t) {
  const Sizes& s = t.sizes();
  const Tensor result = Tensor::zeros(Sizes{count(s)}, t.dtype()).as_strided(s, Sizes{s[1] * s[2] * s[3], 1, s[1] * s[3], s[1]});
  tensor::copy_into(result, t);
  return result;
}

constexpr DType kDTypes[] = {DType::f16, DType::bf16, DType::f32};

TEST(Epilogue, BehindProducts) {
  for (const DType dtype : kDTypes) {
    for (const Kind kind : kKinds) {
      const Tensor bias = expand(random({1, 48}, dtype, Layout::rows, 3), {40, 48});
      check(core::Op::matmul, {{"has_bias", true}}, {random({40, 64}, dtype, Layout::rows, 1), random({64, 48}, dtype, Layout::columns, 2), bias},
            empty({40, 48}, dtype), kind);
      check(core::Op::matmul, {{"has_bias", false}}, {random({3, 5, 7}, dtype, Layout::rows, 1), random({3, 7, 9}, dtype, Layout::rows, 2)},
            empty({3, 5, 9}, dtype), kind, kind != Kind::relu);
    }
  }
}

TEST(Epilogue, BehindConvolutions) {
  for (const DType dtype : kDTypes) {
    for (const Kind kind : kKinds) {
      for (const std::int64_t groups : {1, 16}) {
        const core::Attrs attrs{{"stride", ints({1, 1})},    {"padding", ints({1, 1})}, {"dilation", ints({1, 1})}, {"output_padding", ints({0, 0})},
                                {"groups", integer(groups)}, {"transposed", false},     {"has_bias", true}};
        const Tensor x = random({2, 16, 6, 7}, dtype, Layout::rows, 1), w = random({16, 16 / groups, 3, 3}, dtype, Layout::rows, 2),
                     bias = random({16}, dtype, Layout::rows, 3);
        check(core::Op::conv, attrs, {x, w, bias}, empty({2, 16, 6, 7}, dtype), kind);
        check(core::Op::conv, attrs, {channels_last(x), channels_last(w), bias}, channels_last(empty({2, 16, 6, 7}, dtype)), kind);
      }
    }
  }
}

// Split depth: the parts are summed by a kernel of their own, which computes the epilogue then.
TEST(Epilogue, BehindDeepProducts) {
  for (const DType dtype : {DType::f16, DType::f32})
    check(core::Op::matmul, {{"has_bias", false}}, {random({8, 1536}, dtype, Layout::rows, 1), random({1536, 16}, dtype, Layout::rows, 2)},
          empty({8, 16}, dtype), Kind::add_relu);
}

TEST(Epilogue, RefusesWhatDoesNotFit) {
  const core::Attrs attrs{{"has_bias", false}, {"epilogue", program(Kind::add, DType::f32)}};
  const Tensor a = random({3, 4}), b = random({4, 5}), y = empty({3, 5}, DType::f32);
  EXPECT_THROW(run(core::Op::matmul, attrs, {a, b}, {y}), InvalidArgument);
  EXPECT_THROW(run(core::Op::matmul, attrs, {a, b, random({3, 4})}, {y}), InvalidArgument);
  EXPECT_NO_THROW(run(core::Op::matmul, attrs, {a, b, random({3, 5})}, {y}));
}

}  // namespace
}  // namespace reprise::kernels::test
