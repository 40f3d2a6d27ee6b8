#include <algorithm>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

struct Case {
  Sizes in, out, kernel, stride, padding, dilation;
  bool count_include_pad = true;
  std::int64_t divisor = 0;
};

struct Window {
  Values values;
  std::vector<std::int64_t> positions;
  std::int64_t full = 1;  // elements with padding
};

/// `adaptive`: windows by the sizes alone.
Window window(const Case& c, bool adaptive, const Values& plane, const Sizes& at) {
  Sizes first, last, step;
  Window w;
  for (std::size_t d = 0; d < c.in.size(); ++d) {
    if (adaptive) {
      first.push_back(at[d] * c.in[d] / c.out[d]);
      last.push_back(((at[d] + 1) * c.in[d] + c.out[d] - 1) / c.out[d]);
      step.push_back(1);
    } else {
      first.push_back(at[d] * c.stride[d] - c.padding[d]);
      last.push_back(first.back() + (c.kernel[d] - 1) * c.dilation[d] + 1);
      step.push_back(c.dilation[d]);
    }
    w.full *= std::min(last.back(), c.in[d] + (adaptive ? 0 : c.padding[d])) - first.back();
  }
  for_each_index(c.in, [&](const Sizes& i) {
    for (std::size_t d = 0; d < i.size(); ++d) {
      if (i[d] < first[d] || i[d] >= last[d] || (i[d] - first[d]) % step[d] != 0) return;
    }
    w.positions.push_back(position(c.in, i));
    w.values.push_back(plane[static_cast<std::size_t>(w.positions.back())]);
  });
  return w;
}

core::Attrs attrs(const Case& c, const char* kind) {
  core::Attrs a{{"kind", text(kind)}};
  if (!c.kernel.empty()) a.set("kernel", ints(c.kernel)).set("stride", ints(c.stride)).set("padding", ints(c.padding)).set("dilation", ints(c.dilation));
  if (std::string(kind) == "avg") a.set("count_include_pad", c.count_include_pad).set("divisor", integer(c.divisor));
  return a;
}

void check(const Case& c, const char* kind, const Tensor& x, Layout layout = Layout::rows) {
  const bool adaptive = std::string(kind).starts_with("adaptive"), max = std::string(kind).ends_with("max");
  Sizes sizes{x.size(0), x.size(1)};
  sizes.insert(sizes.end(), c.out.begin(), c.out.end());
  const Tensor y = empty(sizes, x.dtype(), layout), indices = empty(sizes, DType::i64, layout);
  const Values v = values(x);
  Values expected, where;
  for (std::int64_t plane = 0; plane < x.size(0) * x.size(1); ++plane) {
    const std::int64_t n = count(c.in);
    const Values part(v.begin() + plane * n, v.begin() + (plane + 1) * n);
    for_each_index(c.out, [&](const Sizes& at) {
      const Window w = window(c, adaptive, part, at);
      std::size_t best = 0;
      double sum = 0;
      for (std::size_t i = 0; i < w.values.size(); ++i) {
        sum += w.values[i];
        if (w.values[i] > w.values[best] || std::isnan(w.values[i])) best = i;
      }
      const double divisor = static_cast<double>(c.divisor != 0                     ? c.divisor
                                                 : c.count_include_pad && !adaptive ? w.full
                                                                                    : static_cast<std::int64_t>(w.values.size()));
      expected.push_back(max ? w.values[best] : is_floating(x.dtype()) ? sum / divisor : std::trunc(sum / divisor));
      where.push_back(max ? static_cast<double>(w.positions[best]) : 0);
    });
  }
  run(core::Op::pool, attrs(c, kind), {x}, max ? std::vector<Tensor>{y, indices} : std::vector<Tensor>{y});
  expect_near(y, expected, tolerance(x.dtype(), max), kind);
  if (max) expect_near(indices, where, 0, kind);
}

Tensor input(const Case& c, DType dtype = DType::f32, Layout layout = Layout::rows) {
  Sizes sizes{2, 3};
  sizes.insert(sizes.end(), c.in.begin(), c.in.end());
  return random(sizes, dtype, layout);
}

std::vector<Case> sliding() {
  return {{{9, 8}, {4, 4}, {3, 2}, {2, 2}, {0, 0}, {1, 1}},
          {{9, 8}, {5, 5}, {3, 3}, {2, 2}, {1, 1}, {1, 1}},  // the last column's window reaches beyond the padding
          {{11}, {5}, {4}, {2}, {1}, {1}},
          {{5, 6, 7}, {2, 3, 4}, {2, 2, 2}, {2, 2, 2}, {0, 0, 1}, {1, 1, 1}}};
}

TEST(Pool, MaxAndAverage) {
  for (Case c : sliding()) {
    for (const DType dtype : kReals) {
      for (const Layout layout : kLayouts) {
        check(c, "max", input(c, dtype, layout), layout);
        check(c, "avg", input(c, dtype, layout), layout);
      }
    }
    c.count_include_pad = false;
    check(c, "avg", input(c));
    c.divisor = 5;
    check(c, "avg", input(c));
    for (const DType dtype : {DType::i64, DType::u8}) {
      check(c, "max", input(c, dtype));
      check(c, "avg", input(c, dtype));
    }
  }
}

TEST(Pool, DilatedMax) {
  const Case c{{12, 13}, {5, 6}, {3, 3}, {2, 2}, {1, 1}, {2, 2}};
  check(c, "max", input(c));
}

TEST(Pool, Adaptive) {
  for (const Case& c : {Case{{7, 9}, {3, 4}, {}, {}, {}, {}}, Case{{7, 9}, {1, 1}, {}, {}, {}, {}}, Case{{3}, {5}, {}, {}, {}, {}},
                        Case{{4, 5, 6}, {2, 5, 4}, {}, {}, {}, {}}}) {
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      check(c, "adaptive_avg", input(c, dtype));
      check(c, "adaptive_max", input(c, dtype, Layout::columns));
    }
  }
}

TEST(Pool, NanWinsAndTheLastOneIsNamed) {
  const Case c{{6}, {4}, {3}, {1}, {0}, {1}};
  check(c, "max", tensor({1, 1, 6}, {1, kNan, 2, 3, kNan, kNan}));
  check(c, "max", tensor({1, 1, 6}, {-kInf, -kInf, -kInf, -kInf, kInf, 0}));
  check(c, "avg", tensor({1, 1, 6}, {1, kNan, 2, 3, kInf, 1}));
}

TEST(Pool, EmptyBatch) {
  const Case c{{6}, {4}, {3}, {1}, {0}, {1}};
  check(c, "max", random({0, 3, 6}));
}

TEST(Pool, RefusesWhatDoesNotFit) {
  const Case c{{6}, {4}, {3, 3}, {1}, {0}, {1}};
  EXPECT_THROW(run(core::Op::pool, attrs(c, "max"), {random({1, 1, 6})}, {random({1, 1, 4})}), InvalidArgument);
  EXPECT_THROW(run(core::Op::pool, {{"kind", text("median")}}, {random({1, 1, 6})}, {random({1, 1, 4})}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
