// The interpreter of pointwise programs against the C++ library's own functions in f64.
#include <cstring>
#include <limits>

#include "core/scalar_program.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

using core::Instr;
using core::ScalarOp;

/// Writes programs: every function gives the index of its instruction.
struct Program {
  core::ScalarProgram p;
  int push(Instr instr) {
    p.code.push_back(instr);
    return static_cast<int>(p.code.size()) - 1;
  }
  int input(DType type) {
    p.inputs.push_back(type);
    return push({.op = ScalarOp::input, .type = type, .imm_int = static_cast<std::int64_t>(p.inputs.size()) - 1});
  }
  int constant(DType type, double value) {
    return push({.op = ScalarOp::constant, .type = type, .imm_int = static_cast<std::int64_t>(value), .imm_real = value});
  }
  int op(ScalarOp op, DType type, int a, int b = -1, int c = -1) { return push({.op = op, .type = type, .a = a, .b = b, .c = c}); }
  core::Attrs attrs(std::vector<int> outputs) {
    p.outputs = std::move(outputs);
    p.verify();
    return {{"program", std::make_shared<const core::ScalarProgram>(p)}};
  }
};

Tensor apply(ScalarOp op, DType result, const std::vector<Tensor>& inputs, Layout layout = Layout::rows) {
  Program program;
  std::vector<int> in;
  for (const Tensor& t : inputs) in.push_back(program.input(t.dtype()));
  in.resize(3, -1);
  const int y = program.op(op, result, in[0], in[1], in[2]);
  const Tensor out = empty(inputs[0].sizes(), result, layout);
  run(core::Op::pointwise, program.attrs({y}), inputs, {out});
  return out;
}

struct Function {
  ScalarOp op;
  double (*f)(double);
  std::vector<double> at;
};

double sign_of(double x) { return (x > 0) - (x < 0); }

const std::vector<double> kAnywhere{-100, -20, -3.5, -2.5, -1.5, -1, -0.95, -0.6, -0.5, -1e-3, -1e-20, -0.0, 0.0,  1e-20, 1e-3,
                                    0.3,  0.5, 0.55, 0.89, 0.91, 1,  1.5,   2,    2.5,  4,     17,     80,   kInf, -kInf, kNan};
const std::vector<double> kPositive{0, 1e-30, 1e-3, 0.5, 1, 2, 10, 1e10, kInf, kNan, -1};
const std::vector<double> kUnit{-1, -0.99, -0.5, -1e-3, 0, 1e-3, 0.5, 0.99, 1, 1.5, kNan};

const std::vector<Function>& functions() {
  static const std::vector<Function> list{
      {ScalarOp::neg, [](double x) { return -x; }, kAnywhere},
      {ScalarOp::abs, [](double x) { return std::abs(x); }, kAnywhere},
      {ScalarOp::sign, sign_of, kAnywhere},
      {ScalarOp::reciprocal, [](double x) { return 1 / x; }, {-4, 0.25, 3, kInf, kNan}},
      {ScalarOp::sqrt, [](double x) { return std::sqrt(x); }, kPositive},
      {ScalarOp::rsqrt, [](double x) { return 1 / std::sqrt(x); }, {1e-3, 0.5, 4, 1e10, kInf, 0, -1, kNan}},
      {ScalarOp::exp, [](double x) { return std::exp(x); }, {-1000, -104, -88, -20, -1, -1e-4, 0, 1e-4, 0.35, 1, 10, 20, -kInf, kInf, kNan}},
      {ScalarOp::exp2, [](double x) { return std::exp2(x); }, {-10, -0.5, 0, 3, 10.5, kInf, -kInf, kNan}},
      {ScalarOp::expm1, [](double x) { return std::expm1(x); }, {-10, -1e-6, 0, 1e-6, 3, kInf, -kInf, kNan}},
      {ScalarOp::log, [](double x) { return std::log(x); }, kPositive},
      {ScalarOp::log2, [](double x) { return std::log2(x); }, kPositive},
      {ScalarOp::log10, [](double x) { return std::log10(x); }, kPositive},
      {ScalarOp::log1p, [](double x) { return std::log1p(x); }, {-1, -0.5, 0, 1e-6, 3, kInf, kNan, -2}},
      {ScalarOp::sin, [](double x) { return std::sin(x); }, {-100, -1, 0, 0.5, 3, 1000, kNan}},
      {ScalarOp::cos, [](double x) { return std::cos(x); }, {-100, -1, 0, 0.5, 3, 1000, kNan}},
      {ScalarOp::tan, [](double x) { return std::tan(x); }, {-1, 0, 0.5, 1.5, kNan}},
      {ScalarOp::asin, [](double x) { return std::asin(x); }, kUnit},
      {ScalarOp::acos, [](double x) { return std::acos(x); }, kUnit},
      {ScalarOp::atan, [](double x) { return std::atan(x); }, kAnywhere},
      {ScalarOp::sinh, [](double x) { return std::sinh(x); }, {-4, -0.1, 0, 1, 5, kInf, kNan}},
      {ScalarOp::cosh, [](double x) { return std::cosh(x); }, {-4, -0.1, 0, 1, 5, kInf, kNan}},
      {ScalarOp::tanh, [](double x) { return std::tanh(x); }, kAnywhere},
      {ScalarOp::asinh, [](double x) { return std::asinh(x); }, kAnywhere},
      {ScalarOp::acosh, [](double x) { return std::acosh(x); }, {1, 1.5, 10, kInf, 0.5, kNan}},
      {ScalarOp::atanh, [](double x) { return std::atanh(x); }, kUnit},
      {ScalarOp::erf, [](double x) { return std::erf(x); }, kAnywhere},
      {ScalarOp::erfc, [](double x) { return std::erfc(x); }, {-3, -0.5, 0, 0.5, 3, kInf, -kInf, kNan}},
      {ScalarOp::lgamma, [](double x) { return std::lgamma(x); }, {0.1, 0.5, 1, 2, 10, 100, -0.5, -1.5, 0, -1, kInf, kNan}},
      {ScalarOp::floor, [](double x) { return std::floor(x); }, kAnywhere},
      {ScalarOp::ceil, [](double x) { return std::ceil(x); }, kAnywhere},
      {ScalarOp::trunc, [](double x) { return std::trunc(x); }, kAnywhere},
      {ScalarOp::round, [](double x) { return std::nearbyint(x); }, kAnywhere},
      {ScalarOp::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, kAnywhere},
  };
  return list;
}

TEST(Pointwise, FunctionsOfOneReal) {
  for (const Function& function : functions()) {
    for (const DType dtype : kReals) {
      const Tensor x = tensor({static_cast<std::int64_t>(function.at.size())}, function.at, dtype);
      Values expected = values(x);
      for (double& v : expected) v = function.f(v);
      const Tensor y = apply(function.op, dtype, {x});
      expected = values(tensor(x.sizes(), expected, dtype));  // what fits the dtype, infinity otherwise
      expect_near(y, expected, tolerance(dtype, true), std::string(core::name(function.op)) + " " + std::string(name(dtype)));
    }
  }
}

// Relative, not only against the largest value: small results keep their digits.
TEST(Pointwise, SmallResultsKeepRelativeAccuracy) {
  const std::pair<ScalarOp, double (*)(double)> cases[] = {{ScalarOp::tanh, [](double x) { return std::tanh(x); }},
                                                           {ScalarOp::erf, [](double x) { return std::erf(x); }},
                                                           {ScalarOp::exp, [](double x) { return std::exp(x); }},
                                                           {ScalarOp::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }}};
  Values points;
  for (double x = -80; x < 80; x += 0.0137) points.push_back(x);
  for (double x = 1e-30; x < 1; x *= 1.7) points.push_back(x);
  const Tensor x = tensor({static_cast<std::int64_t>(points.size())}, points);
  const Values rounded = values(x);
  for (const auto& [op, f] : cases) {
    const Values got = values(apply(op, DType::f32, {x}));
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i] / f(rounded[i]), 1, 4e-7) << core::name(op) << " at " << rounded[i];
  }
}

// Values from a computer algebra system's 20 digits.
TEST(Pointwise, SpecialFunctions) {
  struct Case {
    ScalarOp op;
    std::vector<double> x, y;
  };
  const Case cases[] = {
      {ScalarOp::digamma,
       {-3.5, -0.25, 0.125, 1.0, 2.5, 9.75, 100.0, 0.0, -1.0, kInf, kNan},
       {1.388870926359529, 2.9141391202135276, -8.388492663295855, -0.5772156649015329, 0.7031566406452432, 2.225109535044576, 4.600161852738087, -kInf, kNan,
        kInf, kNan}},
      {ScalarOp::i0,
       {-6.0, -0.5, 0.0, 0.25, 1.0, 3.0, 12.5, 35.0, 37.0, 80.0, kNan},
       {67.23440697647797, 1.0634833707413236, 1.0, 1.015686141223608, 1.2660658777520084, 4.8807925858650245, 30596.335155785153, 107338818494514.06,
        771245522292810.5, 2.4751784043341704e+33, kNan}},
      {ScalarOp::i0e,
       {-6.0, -0.5, 0.0, 0.25, 1.0, 3.0, 12.5, 35.0, 37.0, 80.0, 300.0, kInf},
       {0.16665743263981658, 0.6450352704491501, 1.0, 0.7910171621397194, 0.46575960759364043, 0.2430003541618254, 0.1140219294622889, 0.06767837835041363,
        0.06581074772866409, 0.044673291782275276, 0.02304255841508546, 0.0}},
      {ScalarOp::i1,
       {-6.0, -0.5, 0.0, 0.25, 1.0, 3.0, 12.5, 35.0, 37.0, 80.0},
       {-61.341936777640235, -0.2578943053908963, 0.0, 0.12597910894546793, 0.565159103992485, 3.9533702174026093, 29345.74964207113, 105794126051896.27,
        760750876492641.5, 2.459659579567541e+33}},
      {ScalarOp::i1e,
       {-6.0, -0.5, 0.0, 0.25, 1.0, 3.0, 12.5, 35.0, 37.0, 80.0, 300.0},
       {-0.1520514593085059, -0.1564208031848717, 0.0, 0.09811262869736824, 0.20791041534970844, 0.19682671329730086, 0.10936143099065089, 0.06670443172949143,
        0.06491523460438252, 0.044393200058097465, 0.02300412204026895}},
      {ScalarOp::erfinv,
       {-1.0, -0.999, -0.5, -9.094947017729282e-13, 0.0, 0.25, 0.75, 0.9999990463256836, 1.0, 1.5},
       {-kInf, -2.3267537655135246, -0.4769362762044699, -8.060186932677953e-13, 0.0, 0.2253120550121781, 0.8134198475976185, 3.465505025803331, kInf, kNan}},
      {ScalarOp::erfcx,
       {-5.0, -0.5, 0.0, 0.5, 2.0, 20.0, 24.9, 25.1, 1000.0, kInf, -kInf},
       {144009798674.66104, 1.952360489182557, 1.0, 0.6156903441929259, 0.25539567631050575, 0.02817434874105132, 0.022639987776049506, 0.02245987581758139,
        0.0005641893014533876, 0.0, kInf}},
      {ScalarOp::ndtri,
       {0.0, 8.077935669463161e-28, 9.313225746154785e-10, 0.015625, 0.03125, 0.25, 0.5, 0.75, 0.9990234375, 1.0, -0.5, 1.5},
       {-kInf, -10.869229908609205, -6.009353565530744, -2.1538746940614564, -1.8627318674216515, -0.6744897501960817, 0.0, 0.6744897501960817,
        3.0972690781987846, kInf, kNan, kNan}},
      {ScalarOp::log_ndtr,
       {-100.0, -30.0, -5.0, -1.0, -0.5, 0.0, 2.0, 8.0, -kInf, kInf},
       {-5005.524208694205, -454.3212439563432, -15.064998393988725, -1.8410216450092636, -1.1759117615936185, -0.6931471805599453, -0.02301290932896349,
        -6.220960574271786e-16, -kInf, -0.0}},
  };
  for (const Case& c : cases) {
    const Sizes sizes{static_cast<std::int64_t>(c.x.size())};
    for (const DType dtype : {DType::f64, DType::f32}) {
      const Values got = values(apply(c.op, dtype, {tensor(sizes, c.x, dtype)}));
      for (std::size_t i = 0; i < got.size(); ++i) {
        const std::string what = std::string(core::name(c.op)) + " at " + std::to_string(c.x[i]);
        if (std::isnan(c.y[i]))
          EXPECT_TRUE(std::isnan(got[i])) << what;
        else if (std::isinf(c.y[i]))
          EXPECT_EQ(got[i], c.y[i]) << what;
        else
          EXPECT_NEAR(got[i], c.y[i], std::abs(c.y[i]) * (dtype == DType::f64 ? 2e-13 : 2e-6) + 1e-300) << what;
      }
    }
  }
}

TEST(Pointwise, SpecialFunctionsOfTwo) {
  struct Case {
    ScalarOp op;
    double a, b, y;
  };
  const Case cases[] = {
      {ScalarOp::igamma, 0.5, 0.25, 0.5204998778130465},
      {ScalarOp::igammac, 0.5, 0.25, 0.4795001221869535},
      {ScalarOp::igamma, 2.0, 1.0, 0.26424111765711533},
      {ScalarOp::igammac, 2.0, 1.0, 0.7357588823428847},
      {ScalarOp::igamma, 3.0, 10.0, 0.9972306042844884},
      {ScalarOp::igammac, 3.0, 10.0, 0.002769395715511576},
      {ScalarOp::igamma, 100.0, 90.0, 0.15822098918643016},
      {ScalarOp::igammac, 100.0, 90.0, 0.8417790108135699},
      {ScalarOp::igamma, 100.0, 120.0, 0.9721362601094793},
      {ScalarOp::igammac, 100.0, 120.0, 0.027863739890520663},
      {ScalarOp::igamma, 0.01, 5.0, 0.9999882464805873},
      {ScalarOp::igammac, 0.01, 5.0, 1.175351941275085e-05},
      {ScalarOp::igamma, 0.0, 0.0, kNan},
      {ScalarOp::igammac, 0.0, 0.0, kNan},
      {ScalarOp::igamma, 0.0, 1.0, 1.0},
      {ScalarOp::igammac, 0.0, 1.0, 0.0},
      {ScalarOp::igamma, 1.0, 0.0, 0.0},
      {ScalarOp::igammac, 1.0, 0.0, 1.0},
      {ScalarOp::igamma, 1.0, -1.0, kNan},
      {ScalarOp::igammac, 1.0, -1.0, kNan},
      {ScalarOp::igamma, -1.0, 1.0, kNan},
      {ScalarOp::igammac, -1.0, 1.0, kNan},
      {ScalarOp::igamma, kInf, 1.0, 0.0},
      {ScalarOp::igammac, kInf, 1.0, 1.0},
      {ScalarOp::igamma, 1.0, kInf, 1.0},
      {ScalarOp::igammac, 1.0, kInf, 0.0},
      {ScalarOp::igamma, kInf, kInf, kNan},
      {ScalarOp::igammac, kInf, kInf, kNan},
      {ScalarOp::zeta, 2.0, 1.0, 1.6449340668482264},
      {ScalarOp::zeta, 1.5, 0.25, 10.213055360466601},
      {ScalarOp::zeta, 3.0, 7.5, 0.010152626268322333},
      {ScalarOp::zeta, 30.0, 2.0, 9.313274324196682e-10},
      {ScalarOp::zeta, 2.5, 40.0, 0.002685156581146319},
      {ScalarOp::zeta, 2.0, -0.5, 8.934802200544679},
      {ScalarOp::zeta, 3.0, -0.5, 0.41439832211716},
      {ScalarOp::zeta, 1.0, 1.0, kInf},
      {ScalarOp::zeta, 0.5, 1.0, kNan},
      {ScalarOp::zeta, 2.0, 0.0, kInf},
      {ScalarOp::zeta, 2.0, -1.0, kInf},
      {ScalarOp::zeta, 2.5, -0.5, kNan},
      {ScalarOp::zeta, kNan, 1.0, kNan},
      {ScalarOp::polygamma, 0.0, 0.5, -1.9635100260214235},
      {ScalarOp::polygamma, 1.0, 0.5, 4.934802200544679},
      {ScalarOp::polygamma, 2.0, 3.25, -0.12815694713911513},
      {ScalarOp::polygamma, 3.0, 20.0, 0.0002693742213396389},
  };
  for (const Case& c : cases) {
    const double got = values(apply(c.op, DType::f64, {tensor({1}, {c.a}, DType::f64), tensor({1}, {c.b}, DType::f64)}))[0];
    const std::string what = std::string(core::name(c.op)) + " at " + std::to_string(c.a) + ", " + std::to_string(c.b);
    if (std::isnan(c.y))
      EXPECT_TRUE(std::isnan(got)) << what;
    else if (std::isinf(c.y))
      EXPECT_EQ(got, c.y) << what;
    else
      EXPECT_NEAR(got, c.y, std::abs(c.y) * 1e-12) << what;
  }
}

struct TwoOperands {
  ScalarOp op;
  double (*f)(double, double);
};

double python_mod(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

const TwoOperands kTwoOperands[] = {
    {ScalarOp::add, [](double a, double b) { return a + b; }},
    {ScalarOp::sub, [](double a, double b) { return a - b; }},
    {ScalarOp::mul, [](double a, double b) { return a * b; }},
    {ScalarOp::floor_div, [](double a, double b) { return std::floor(a / b); }},
    {ScalarOp::trunc_div, [](double a, double b) { return std::trunc(a / b); }},
    {ScalarOp::remainder, python_mod},
    {ScalarOp::fmod, [](double a, double b) { return std::fmod(a, b); }},
    {ScalarOp::minimum, [](double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::min(a, b); }},
    {ScalarOp::maximum, [](double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::max(a, b); }},
    {ScalarOp::fmin, [](double a, double b) { return std::fmin(a, b); }},
    {ScalarOp::fmax, [](double a, double b) { return std::fmax(a, b); }},
};

TEST(Pointwise, TwoRealOperands) {
  const Values a{7, -7, 7, -7, 0, 5.5, -5.5, kNan, 1, kInf, 0.25}, b{2, 2, -2, -2, 3, 0.5, 2, 1, kNan, 2, -kInf};
  for (const TwoOperands& c : kTwoOperands) {
    for (const DType dtype : kReals) {
      Values expected;
      for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(c.f(a[i], b[i]));
      if (c.op == ScalarOp::floor_div) {
        expected[9] = kNan;  // by way of the remainder, as Python does
        expected[10] = -1;
      }
      const Sizes sizes{static_cast<std::int64_t>(a.size())};
      expect_near(apply(c.op, dtype, {tensor(sizes, a, dtype), tensor(sizes, b, dtype)}), expected, tolerance(dtype, true), std::string(core::name(c.op)));
    }
  }
}

TEST(Pointwise, RealsOnly) {
  const TwoOperands cases[] = {{ScalarOp::div, [](double a, double b) { return a / b; }},
                               {ScalarOp::pow, [](double a, double b) { return std::pow(a, b); }},
                               {ScalarOp::atan2, [](double a, double b) { return std::atan2(a, b); }},
                               {ScalarOp::hypot, [](double a, double b) { return std::hypot(a, b); }},
                               {ScalarOp::copysign, [](double a, double b) { return std::copysign(a, b); }},
                               {ScalarOp::ldexp, [](double a, double b) { return a * std::exp2(b); }}};
  const Values a{2, -2, 0.5, 0, 3, -8}, b{3, -1, -2, 2, 0, 2};
  for (const TwoOperands& c : cases) {
    for (const DType dtype : kReals) {
      Values expected;
      for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(c.f(a[i], b[i]));
      expect_near(apply(c.op, dtype, {tensor({6}, a, dtype), tensor({6}, b, dtype)}), expected, tolerance(dtype, true), std::string(core::name(c.op)));
    }
  }
  const Tensor next = apply(ScalarOp::nextafter, DType::f32, {tensor({2}, {1, 1}), tensor({2}, {2, 0})});
  EXPECT_EQ(next.data_as<float>()[0], std::nextafterf(1, 2));
  EXPECT_EQ(next.data_as<float>()[1], std::nextafterf(1, 0));
}

TEST(Pointwise, TwoIntegerOperands) {
  for (const TwoOperands& c : kTwoOperands) {
    for (const DType dtype : kIntegers) {
      const Values a = is_signed(dtype) ? Values{7, -7, 7, -7, 0, 100} : Values{7, 9, 3, 0, 255, 100},
                   b = is_signed(dtype) ? Values{2, 2, -2, -2, 3, 1} : Values{2, 4, 3, 7, 2, 1};
      Values expected;
      for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(c.f(a[i], b[i]));
      const Tensor wrapped = tensor({6}, expected, DType::i64).to(dtype);
      expect_near(apply(c.op, dtype, {tensor({6}, a, dtype), tensor({6}, b, dtype)}), values(wrapped), 0,
                  std::string(core::name(c.op)) + " " + std::string(name(dtype)));
    }
  }
}

std::int64_t integer_result(ScalarOp op, DType dtype, std::int64_t a, std::int64_t b) {
  Program program;
  const int x = program.input(dtype), y = program.input(dtype);
  const int z = program.op(op, dtype, x, y);
  Tensor in_a = Tensor::zeros({}, DType::i64), in_b = Tensor::zeros({}, DType::i64);
  *in_a.data_as<std::int64_t>() = a;
  *in_b.data_as<std::int64_t>() = b;
  const Tensor out = Tensor::zeros({}, dtype);
  run(core::Op::pointwise, program.attrs({z}), {in_a.to(dtype), in_b.to(dtype)}, {out});
  return *out.to(DType::i64).data_as<std::int64_t>();
}

TEST(Pointwise, IntegersWrapAndNeverTrap) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min(), kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(integer_result(ScalarOp::add, DType::i64, kMax, 1), kMin);
  EXPECT_EQ(integer_result(ScalarOp::mul, DType::i32, 65536, 65536), 0);
  EXPECT_EQ(integer_result(ScalarOp::mul, DType::u16, 65535, 65535), 1);
  EXPECT_EQ(integer_result(ScalarOp::floor_div, DType::i64, kMin, -1), kMin);
  EXPECT_EQ(integer_result(ScalarOp::remainder, DType::i64, kMin, -1), 0);
  for (const ScalarOp op : {ScalarOp::floor_div, ScalarOp::trunc_div, ScalarOp::remainder, ScalarOp::fmod}) EXPECT_EQ(integer_result(op, DType::i32, 7, 0), 0);
  EXPECT_EQ(integer_result(ScalarOp::pow, DType::i64, 3, 41), -420491770248316829);
  EXPECT_EQ(integer_result(ScalarOp::pow, DType::i64, 2, -1), 0);
  EXPECT_EQ(integer_result(ScalarOp::pow, DType::i64, -1, -3), -1);
  EXPECT_EQ(integer_result(ScalarOp::pow, DType::i64, 1, -3), 1);
}

TEST(Pointwise, BitsAndShifts) {
  EXPECT_EQ(integer_result(ScalarOp::bit_and, DType::i32, 12, 10), 8);
  EXPECT_EQ(integer_result(ScalarOp::bit_or, DType::u8, 12, 10), 14);
  EXPECT_EQ(integer_result(ScalarOp::bit_xor, DType::i64, -1, 1), -2);
  EXPECT_EQ(integer_result(ScalarOp::shift_left, DType::i64, 1, 63), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(integer_result(ScalarOp::shift_left, DType::i64, 2, 64), 0);
  EXPECT_EQ(integer_result(ScalarOp::shift_left, DType::i32, 1, -1), 0);
  EXPECT_EQ(integer_result(ScalarOp::shift_right, DType::i64, -8, 1), -4);
  EXPECT_EQ(integer_result(ScalarOp::shift_right, DType::i64, -8, 70), -1);
  EXPECT_EQ(integer_result(ScalarOp::shift_right, DType::u8, 200, 9), 0);
  EXPECT_EQ(integer_result(ScalarOp::gcd, DType::i32, -4, 6), 2);
  EXPECT_EQ(integer_result(ScalarOp::gcd, DType::i32, 0, 0), 0);
  expect_near(apply(ScalarOp::bit_not, DType::u8, {tensor({2}, {0, 5}, DType::u8)}), {255, 250}, 0);
  expect_near(apply(ScalarOp::bit_not, DType::boolean, {tensor({2}, {0, 1}, DType::boolean)}), {1, 0}, 0);
}

TEST(Pointwise, Relations) {
  const Values a{1, 2, kNan, kInf, -0.0}, b{2, 2, kNan, kInf, 0};
  const std::tuple<ScalarOp, Values> cases[] = {{ScalarOp::eq, {0, 1, 0, 1, 1}}, {ScalarOp::ne, {1, 0, 1, 0, 0}}, {ScalarOp::lt, {1, 0, 0, 0, 0}},
                                                {ScalarOp::le, {1, 1, 0, 1, 1}}, {ScalarOp::gt, {0, 0, 0, 0, 0}}, {ScalarOp::ge, {0, 1, 0, 1, 1}}};
  for (const auto& [op, expected] : cases) {
    for (const DType dtype : kReals)
      expect_near(apply(op, DType::boolean, {tensor({5}, a, dtype), tensor({5}, b, dtype)}), expected, 0, std::string(core::name(op)));
  }
  const Values c{1, kNan, kInf, -kInf, -0.0};
  const std::tuple<ScalarOp, Values> classes[] = {
      {ScalarOp::is_nan, {0, 1, 0, 0, 0}}, {ScalarOp::is_inf, {0, 0, 1, 1, 0}}, {ScalarOp::is_finite, {1, 0, 0, 0, 1}}, {ScalarOp::signbit, {0, 0, 0, 1, 1}}};
  for (const auto& [op, expected] : classes) {
    for (const DType dtype : kReals) expect_near(apply(op, DType::boolean, {tensor({5}, c, dtype)}), expected, 0, std::string(core::name(op)));
    if (op != ScalarOp::signbit) expect_near(apply(op, DType::boolean, {tensor({1}, {3}, DType::i32)}), {op == ScalarOp::is_finite ? 1.0 : 0.0}, 0);
  }
  const Tensor p = tensor({4}, {0, 0, 1, 1}, DType::boolean), q = tensor({4}, {0, 1, 0, 1}, DType::boolean);
  expect_near(apply(ScalarOp::logical_and, DType::boolean, {p, q}), {0, 0, 0, 1}, 0);
  expect_near(apply(ScalarOp::logical_or, DType::boolean, {p, q}), {0, 1, 1, 1}, 0);
  expect_near(apply(ScalarOp::logical_xor, DType::boolean, {p, q}), {0, 1, 1, 0}, 0);
  expect_near(apply(ScalarOp::logical_not, DType::boolean, {p}), {1, 1, 0, 0}, 0);
}

TEST(Pointwise, CastsBetweenAllDTypes) {
  for (int from = 0; from < kDTypeCount; ++from) {
    for (int to = 0; to < kDTypeCount; ++to) {
      const Tensor x = random({67}, static_cast<DType>(from));
      expect_near(apply(ScalarOp::cast, static_cast<DType>(to), {x}), values(x.to(static_cast<DType>(to))), 0);
    }
  }
}

// A cast to f16 rounds although values are held in f32.
TEST(Pointwise, CastsRoundInTheMiddleOfAProgram) {
  Program program;
  const int x = program.input(DType::f32);
  const int half = program.op(ScalarOp::cast, DType::f16, x);
  const int back = program.op(ScalarOp::cast, DType::f32, half);
  const Tensor out = empty({1}, DType::f32);
  run(core::Op::pointwise, program.attrs({back}), {tensor({1}, {1.0001})}, {out});
  EXPECT_EQ(*out.data_as<float>(), 1.0f);
}

TEST(Pointwise, WhereAndFma) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i64, DType::u8, DType::boolean}) {
    const Tensor a = random({37}, dtype, Layout::rows, 1), b = random({37}, dtype, Layout::rows, 2), c = random({37}, DType::boolean, Layout::rows, 3);
    Values expected = values(a);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (values(c)[i] == 0) expected[i] = values(b)[i];
    }
    expect_near(apply(ScalarOp::where, dtype, {c, a, b}), expected, 0);
  }
  expect_near(apply(ScalarOp::fma, DType::f32, {tensor({2}, {2, 3}), tensor({2}, {4, 5}), tensor({2}, {1, -1})}), {9, 14}, 0);
  expect_near(apply(ScalarOp::fma, DType::i32, {tensor({1}, {2}, DType::i32), tensor({1}, {4}, DType::i32), tensor({1}, {1}, DType::i32)}), {9}, 0);
}

TEST(Pointwise, AnyLayoutAndBroadcast) {
  for (const Sizes& sizes : {Sizes{3, 5, 7}, Sizes{1, 2049}, Sizes{2049, 3}, Sizes{0, 4}, Sizes{}, Sizes{1, 1, 1}, Sizes{2, 3, 2, 3, 2}}) {
    for (const Layout in : kLayouts) {
      for (const Layout out : kLayouts) {
        const Tensor a = random(sizes, DType::f32, in, 1);
        Sizes row(sizes.size(), 1);
        if (!sizes.empty()) row.back() = sizes.back();
        const Tensor b = expand(random(row, DType::f32, Layout::rows, 2), sizes),
                     c = expand(random(Sizes(sizes.size(), 1), DType::f32, Layout::rows, 3), sizes);
        Program program;
        const int x = program.input(DType::f32), y = program.input(DType::f32), z = program.input(DType::f32);
        const int scaled = program.op(ScalarOp::mul, DType::f32, z, program.constant(DType::f32, 0.5));
        const int sum = program.op(ScalarOp::add, DType::f32, x, y);
        const int result = program.op(ScalarOp::mul, DType::f32, sum, scaled);
        const Tensor got = empty(sizes, DType::f32, out);
        run(core::Op::pointwise, program.attrs({result}), {a, b, c}, {got});
        Values expected = values(a);
        const Values vb = values(b), vc = values(c);
        for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = (expected[i] + vb[i]) * vc[i] * 0.5;
        expect_near(got, expected, 1e-6, name(in) + " to " + name(out));
      }
    }
  }
}

TEST(Pointwise, SeveralOutputsAndUnusedInstructions) {
  Program program;
  const int x = program.input(DType::f32), unused = program.input(DType::f32);
  program.op(ScalarOp::exp, DType::f32, unused);
  const int constant = program.constant(DType::i64, 7);
  const int negative = program.op(ScalarOp::neg, DType::f32, x);
  const int truth = program.op(ScalarOp::gt, DType::boolean, x, negative);
  const Tensor in = random({5000}),
               outs[] = {empty({5000}, DType::f32), empty({5000}, DType::boolean), empty({5000}, DType::f32, Layout::gaps), empty({5000}, DType::i64)};
  run(core::Op::pointwise, program.attrs({negative, truth, x, constant}), {in, in}, {outs, outs + 4});
  const Values v = values(in);
  Values minus = v, positive = v;
  for (std::size_t i = 0; i < v.size(); ++i) {
    minus[i] = -v[i];
    positive[i] = v[i] > 0;
  }
  expect_near(outs[0], minus, 0);
  expect_near(outs[1], positive, 0);
  expect_near(outs[2], v, 0);
  expect_near(outs[3], Values(5000, 7), 0);
}

TEST(Pointwise, WritesInPlace) {
  const Tensor x = random({3000});
  Values expected = values(x);
  for (double& v : expected) v = v * v + 1;
  Program program;
  const int in = program.input(DType::f32);
  const int square = program.op(ScalarOp::mul, DType::f32, in, in);
  const int result = program.op(ScalarOp::add, DType::f32, square, program.constant(DType::f32, 1));
  run(core::Op::pointwise, program.attrs({result}), {x}, {x});
  expect_near(x, expected, 1e-6);
}

// Many values alive at once, uses far apart: registers must not be given away too early.
TEST(Pointwise, LongPrograms) {
  Program program;
  const int x = program.input(DType::f32);
  std::vector<int> kept;
  int value = x;
  for (int i = 0; i < 20; ++i) {
    value = program.op(ScalarOp::add, DType::f32, value, program.constant(DType::f32, i));
    kept.push_back(value);
  }
  const int late = program.input(DType::f32);
  for (const int k : kept) value = program.op(ScalarOp::maximum, DType::f32, program.op(ScalarOp::sub, DType::f32, value, k), late);
  const Tensor a = random({1500}, DType::f32, Layout::rows, 1), b = random({1500}, DType::f32, Layout::gaps, 2), out = empty({1500}, DType::f32);
  run(core::Op::pointwise, program.attrs({value}), {a, b}, {out});
  Values expected = values(a);
  const Values v = values(a), w = values(b);
  for (std::size_t i = 0; i < v.size(); ++i) {
    double now = v[i] + 190, partial = v[i];
    for (int k = 0; k < 20; ++k) {
      partial += k;
      now = std::max(now - partial, w[i]);
    }
    expected[i] = now;
  }
  expect_near(out, expected, 1e-5);
}

TEST(Pointwise, SymbolsAreEvaluatedWhenAStepIsMade) {
  core::ScalarProgram program;
  program.symbols = {sym::Expr(3) * sym::Expr(4)};
  program.code = {{.op = ScalarOp::symbol, .type = DType::f32}};
  program.outputs = {0};
  const Tensor out = empty({3}, DType::f32);
  run(core::Op::pointwise, {{"program", std::make_shared<const core::ScalarProgram>(program)}}, {}, {out});
  expect_near(out, {12, 12, 12}, 0);
}

TEST(Pointwise, RefusesWrongOperands) {
  Program program;
  const int x = program.input(DType::f32);
  const core::Attrs attrs = program.attrs({program.op(ScalarOp::neg, DType::f32, x)});
  const Tensor f = random({3}), other = random({4}), wrong = random({3}, DType::i32);
  EXPECT_THROW(run(core::Op::pointwise, attrs, {wrong}, {f}), InvalidArgument);
  EXPECT_THROW(run(core::Op::pointwise, attrs, {other}, {f}), InvalidArgument);
  EXPECT_THROW(run(core::Op::pointwise, attrs, {f, f}, {f}), InvalidArgument);
  EXPECT_THROW(run(core::Op::pointwise, attrs, {f}, {wrong}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
