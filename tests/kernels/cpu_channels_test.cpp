// Ops on images with the channels innermost, by the CPU's own kernels, against the reference in f64.
#include "kernels/cpu_run.h"
#include "kernels/cpu_variants.h"
#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct PoolCase {
  Sizes in, out;
  std::int64_t channels, kernel, stride, padding, dilation = 1;
  const char* kind = "max";
  bool counts_padding = true;
  std::int64_t divisor = 0;
};

TEST(CpuChannels, Pool) {
  const PoolCase cases[] = {{{17, 13}, {9, 7}, 64, 3, 2, 1},
                            {{9, 12}, {7, 10}, 37, 2, 1, 0, 2},
                            {{9, 12}, {5, 6}, 72, 3, 2, 1, 1, "avg"},
                            {{9, 12}, {5, 6}, 5, 3, 2, 1, 1, "avg", false},
                            {{8, 8}, {4, 4}, 24, 2, 2, 0, 1, "avg", true, 3},
                            {{28, 28}, {1, 1}, 120, 1, 1, 0, 1, "adaptive_avg"},
                            {{7, 10}, {3, 4}, 33, 1, 1, 0, 1, "adaptive_max"},
                            {{50}, {25}, 19, 2, 2, 0}};
  for (const PoolCase& c : cases) {
    const std::size_t n = c.in.size();
    core::Attrs attrs{{"kind", text(c.kind)}};
    if (!std::string(c.kind).starts_with("adaptive")) {
      attrs.set("kernel", ints(Sizes(n, c.kernel)));
      attrs.set("stride", ints(Sizes(n, c.stride)));
      attrs.set("padding", ints(Sizes(n, c.padding)));
      attrs.set("dilation", ints(Sizes(n, c.dilation)));
      attrs.set("count_include_pad", c.counts_padding);
      attrs.set("divisor", integer(c.divisor));
    }
    Sizes x_sizes{2, c.channels}, y_sizes = x_sizes;
    x_sizes.insert(x_sizes.end(), c.in.begin(), c.in.end());
    y_sizes.insert(y_sizes.end(), c.out.begin(), c.out.end());
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Tensor x = channels_last(random(x_sizes, dtype)), y = channels_last(empty(y_sizes, dtype));
      EXPECT_EQ(cpu_kernel(core::Op::pool, attrs, {x}, {y}), "cpu");
      check_variants(core::Op::pool, attrs, {x}, {y}, tolerance(dtype), c.kind);
    }
  }
}

TEST(CpuChannels, PoolKeepsNan) {
  const Tensor x = channels_last(tensor({1, 2, 1, 4}, {1, kNan, 2, 3, -kInf, -kInf, 5, kInf})), y = channels_last(empty({1, 2, 1, 2}, DType::f32));
  const core::Attrs attrs{{"kind", text("max")}, {"kernel", ints({1, 2})}, {"stride", ints({1, 2})}};
  run_variants(core::Op::pool, attrs, {x}, {y}, [&](const std::string& what) { expect_near(y, {kNan, 3, -kInf, kInf}, 0, what); });
}

core::ScalarProgramPtr program(DType from, DType to, bool product) {
  core::ScalarProgram p;
  p.inputs.assign(product ? 2 : 1, from);
  p.code.push_back({.op = core::ScalarOp::input, .type = from});
  if (product) {
    p.code.push_back({.op = core::ScalarOp::input, .type = from, .imm_int = 1});
    p.code.push_back({.op = core::ScalarOp::cast, .type = DType::f32, .a = 0});
    p.code.push_back({.op = core::ScalarOp::cast, .type = DType::f32, .a = 1});
    p.code.push_back({.op = core::ScalarOp::mul, .type = DType::f32, .a = 2, .b = 3});
  }
  p.code.push_back({.op = core::ScalarOp::cast, .type = to, .a = static_cast<int>(p.code.size()) - 1});
  p.outputs = {static_cast<int>(p.code.size()) - 1};
  return std::make_shared<const core::ScalarProgram>(p);
}

TEST(CpuChannels, Scale) {
  for (const std::int64_t channels : {7, 24, 72, 160}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Sizes sizes{2, channels, 9, 11};
      const Tensor x = channels_last(random(sizes, dtype, Layout::rows, 1)), y = channels_last(empty(sizes, dtype));
      const Tensor s = expand(random({2, channels, 1, 1}, dtype, Layout::rows, 2), sizes);
      const core::Attrs attrs{{"program", program(dtype, dtype, true)}};
      EXPECT_EQ(cpu_kernel(core::Op::pointwise, attrs, {s, x}, {y}), "cpu");
      Values expected = values(x);
      const Values factors = values(s);
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] *= factors[i];
      run_variants(core::Op::pointwise, attrs, {x, s}, {y}, [&](const std::string& what) { expect_near(y, expected, tolerance(dtype), what); });
    }
  }
}

TEST(CpuChannels, Turn) {
  for (const std::int64_t channels : {2, 3, 8}) {
    const Sizes sizes{2, channels, 13, 17};
    for (const auto& [from, to] : {std::pair(DType::f32, DType::f32), std::pair(DType::f32, DType::bf16), std::pair(DType::bf16, DType::bf16)}) {
      const Tensor x = random(sizes, from), y = channels_last(empty(sizes, to));
      const core::Attrs attrs{{"program", program(from, to, false)}};
      EXPECT_EQ(cpu_kernel(core::Op::pointwise, attrs, {x}, {y}), "cpu");
      run_variants(core::Op::pointwise, attrs, {x}, {y},
                   [&, allowed = from == to ? 0 : tolerance(to)](const std::string& what) { expect_near(y, values(x), allowed, what); });
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::test
