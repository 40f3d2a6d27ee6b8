#include <cstring>

#include "kernels/support.h"

namespace reprise::kernels::test {
namespace {

TEST(Copy, EveryLayoutAndItemSize) {
  for (const Sizes& sizes : {Sizes{}, Sizes{0, 3}, Sizes{1}, Sizes{70, 33}, Sizes{3, 40, 41}, Sizes{2, 3, 5, 7}, Sizes{2, 1, 65, 1, 3}}) {
    for (const DType dtype : {DType::u8, DType::bf16, DType::f32, DType::i64, DType::boolean}) {
      for (const Layout from : kLayouts) {
        for (const Layout to : kLayouts) {
          const Tensor x = random(sizes, dtype, from), y = empty(sizes, dtype, to);
          run(core::Op::copy, {}, {x}, {y});
          expect_near(y, values(x), 0, name(from) + " to " + name(to));
        }
      }
    }
  }
}

TEST(Copy, PermutedAndBroadcastSources) {
  const Tensor x = random({4, 50, 60});
  const Tensor permuted = x.as_strided(Sizes{60, 4, 50}, Sizes{1, 3000, 60}), y = empty({60, 4, 50}, DType::f32);
  run(core::Op::copy, {}, {permuted}, {y});
  expect_near(y, values(permuted), 0);
  const Tensor row = expand(random({1, 50, 1}), {8, 50, 9}), z = empty({8, 50, 9}, DType::f32);
  run(core::Op::copy, {}, {row}, {z});
  expect_near(z, values(row), 0);
}

// NaN payloads, signs of zero and infinities are bits like others.
TEST(Copy, KeepsBits) {
  const Tensor x = tensor({2, 2}, {-0.0, kNan, kInf, -kInf}), y = empty({2, 2}, DType::f32, Layout::columns);
  run(core::Op::copy, {}, {x}, {y});
  const Tensor back = y.contiguous();
  EXPECT_EQ(std::memcmp(back.data(), x.data(), 16), 0);
}

TEST(Copy, RefusesOtherSizesOrDType) {
  EXPECT_THROW(run(core::Op::copy, {}, {random({3})}, {random({4})}), InvalidArgument);
  EXPECT_THROW(run(core::Op::copy, {}, {random({3})}, {random({3}, DType::f64)}), InvalidArgument);
}

}  // namespace
}  // namespace reprise::kernels::test
