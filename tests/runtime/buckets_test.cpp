// Calls at a larger batch than the caller's.
#include <gtest/gtest.h>

#include <functional>

#include "reprise/runtime.h"
#include "runtime/helpers.h"
#include "runtime/independence.h"

namespace reprise::test {
namespace {

using core::Attrs;
using core::Op;
using runtime::find_independent_batch;
using sym::Expr;

/// y = softmax(x @ w + b), z = x's rows' sums: with the device's own kernels.
PlanMaker rows_maker() {
  PlanMaker m;
  const Expr n = m.symbol("n", 0, 64);
  const Ref x = m.input("x", {n, 3}), w = m.weight("w", {1, 2, 3, 4, 5, 6}), y = m.output("y", {n, 2}), z = m.output("z", {n, 1}), t = m.temp({n, 2});
  m.add(Op::matmul, {x, {w.buffer, DType::f32, {3, 2}}}, {t}, {{"has_bias", false}});
  m.add(Op::softmax, {t}, {y}, {{"axis", Expr(1)}, {"log", false}});
  m.add(Op::reduce, {x}, {z}, {{"kind", std::string("sum")}, {"axes", std::vector<Expr>{1}}});
  return m;
}
Module rows() {
  auto m = rows_maker();
  return runtime::make_module(m.finish(), Device::cpu());
}
Tensor input(std::int64_t n) {
  Tensor x = Tensor::empty(std::vector<std::int64_t>{n, 3}, DType::f32);
  for (std::int64_t i = 0; i < 3 * n; ++i) x.data_as<float>()[i] = 0.37F * static_cast<float>(i % 11) - 1;
  return x;
}
std::uint64_t count_of(const std::vector<ReasonCount>& list, const std::string& reason) {
  for (const auto& entry : list)
    if (entry.reason.starts_with(reason)) return entry.count;
  return 0;
}

TEST(Buckets, FewRecordingsServeManyBatchesExactly) {
  const Module plain = rows(), module = rows();
  const auto graphs = runtime::enable_cudagraphs(module, {.buckets = {4, 8, 16}});
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t n = 1; n <= 16; ++n) {
      const auto want = call(plain, {input(n)}), got = call(module, {input(n)});
      for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(std::get<Tensor>(got[i]).sizes(), std::get<Tensor>(want[i]).sizes());
        EXPECT_EQ(values(got[i]), values(want[i])) << n;
      }
    }
  }
  const auto stats = module.stats();
  EXPECT_EQ(stats.records, 3u);
  EXPECT_EQ(stats.bucketed_calls, 26u);
  EXPECT_EQ(stats.padded_rows, 2u * (3 + 2 + 1 + 3 + 2 + 1 + 7 + 6 + 5 + 4 + 3 + 2 + 1));
  EXPECT_TRUE(stats.unbucketed_by.empty());
}

TEST(Buckets, OtherInputsThanContiguousOnes) {
  const Module plain = rows(), module = rows();
  const auto graphs = runtime::enable_cudagraphs(module, {.buckets = {8}});
  const Tensor wide = input(12);
  for (const auto& [sizes, strides] : {std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>>{{5, 3}, {6, 1}}, {{5, 3}, {1, 5}}, {{3, 3}, {0, 1}}}) {
    const Tensor x = wide.as_strided(sizes, strides);
    EXPECT_EQ(values(call(module, {x})[0]), values(call(plain, {x})[0]));
  }
  EXPECT_EQ(module.stats().bucketed_calls, 3u);
  EXPECT_THROW((void)call(module, {floats({1, 2})}), ShapeError);
  EXPECT_THROW((void)call(module, {input(65)}), ShapeError);
}

TEST(Buckets, WhatRunsAsItIsIsCountedWithItsReason) {
  const Module module = rows();
  {
    const auto graphs = runtime::enable_cudagraphs(module, {.buckets = {2, 4}});
    (void)call(module, {input(4)});  // is a bucket
    EXPECT_TRUE(module.stats().unbucketed_by.empty());
    (void)call(module, {input(9)});
    (void)call(module, {input(0)});
    module.run(std::vector<Tensor>{input(3)},
               std::vector<Tensor>{Tensor::zeros(std::vector<std::int64_t>{3, 2}, DType::f32), Tensor::zeros(std::vector<std::int64_t>{3, 1}, DType::f32)});
  }
  (void)call(module, {input(3)});  // the scope is closed
  const auto stats = module.stats();
  EXPECT_EQ(stats.bucketed_calls, 0u);
  for (const char* reason : {"over_buckets", "empty", "caller_outputs"}) EXPECT_EQ(count_of(stats.unbucketed_by, reason), 1u) << reason;
}

TEST(Buckets, StayInsideProfiles) {
  auto m = rows_maker();
  m.plan.profiles = {{{0}, {2}, {6}}};
  const Module module = runtime::make_module(m.finish(), Device::cpu());
  const auto graphs = runtime::enable_cudagraphs(module, {.buckets = {4, 8}});
  (void)call(module, {input(3)});
  (void)call(module, {input(5)});
  EXPECT_EQ(module.stats().bucketed_calls, 1u);
  EXPECT_EQ(count_of(module.stats().unbucketed_by, "profile"), 1u);
}

TEST(Buckets, MustAscendFromOne) {
  const Module module = rows();
  for (const auto& wrong : {std::vector<std::int64_t>{0, 4}, {4, 4}, {8, 4}})
    EXPECT_THROW((void)runtime::enable_cudagraphs(module, {.buckets = wrong}), InvalidArgument);
  EXPECT_FALSE(runtime::get_cudagraphs_mode());
}

// ---- the proof ----

std::string why_not(const std::function<void(PlanMaker&, const Expr&, const Ref&, const Ref&)>& body) {
  PlanMaker m;
  const Expr n = m.symbol("n", 0, 64);
  const Ref x = m.input("x", {n, 3}), y = m.output("y", {n, 3});
  body(m, n, x, y);
  return find_independent_batch(*m.finish()).why_not;
}

TEST(Independence, RowByRowIsProven) {
  const auto proven = find_independent_batch(*rows_maker().finish());
  EXPECT_EQ(proven.symbol, 0);
  EXPECT_EQ(proven.inputs, std::vector<bool>{true});
  EXPECT_EQ(proven.outputs, (std::vector<bool>{true, true}));
  // Rows of a reshaped batch: [n, 3] as [3 n, 1].
  EXPECT_EQ(why_not([](PlanMaker& m, const Expr& n, const Ref& x, const Ref& y) {
              m.add(Op::copy, {{x.buffer, DType::f32, {n * 3, 1}}}, {{y.buffer, DType::f32, {n * 3, 1}}});
            }),
            "");
}

TEST(Independence, WhatMixesRowsIsRefuted) {
  const auto rule = [](Op op, Attrs attrs) { return why_not([&](PlanMaker& m, const Expr&, const Ref& x, const Ref& y) { m.add(op, {x}, {y}, attrs); }); };
  EXPECT_EQ(rule(Op::softmax, {{"axis", Expr(0)}, {"log", false}}), "'softmax' (softmax): it works across items");
  EXPECT_EQ(rule(Op::scan, {{"axis", Expr(0)}, {"kind", std::string("sum")}}), "'scan' (scan): it works across items");
  const auto pads = [](std::int64_t rows, std::int64_t columns) {
    return Attrs{{"kind", std::string("constant")}, {"before", std::vector<Expr>{0, 0}}, {"after", std::vector<Expr>{rows, columns}}, {"value", 0.0}};
  };
  EXPECT_EQ(rule(Op::pad, pads(0, 1)), "");
  EXPECT_EQ(rule(Op::pad, pads(1, 0)), "'pad' (pad): it adds items");
  EXPECT_EQ(rule(Op::random, {}), "'random' (random): it is not known to treat items one by one");
  EXPECT_EQ(why_not([](PlanMaker& m, const Expr& n, const Ref& x, const Ref& y) {
              m.add(Op::pointwise, {x}, {y}, {{"value", n}});
            }),
            "'pointwise' (pointwise): an attribute depends on the batch");
  EXPECT_EQ(why_not([](PlanMaker& m, const Expr&, const Ref& x, const Ref& y) {
              const Ref t = m.temp({1, 3});
              m.add(Op::reduce, {x}, {t}, {{"kind", std::string("sum")}, {"axes", std::vector<Expr>{0}}});
              m.add(Op::copy, {x}, {y});
            }),
            "'reduce' (reduce): its result has no items");
  EXPECT_EQ(why_not([](PlanMaker& m, const Expr& n, const Ref& x, const Ref& y) {
              m.add(Op::copy, {x}, {y});
              m.plan.blocks[0].commands[0].inputs[0].offset = (n - 1) * 3;  // from behind
            }),
            "'copy' (copy): a view depends on the batch");
  EXPECT_EQ(why_not([](PlanMaker& m, const Expr&, const Ref& x, const Ref& y) {
              m.add(Op::copy, {x}, {y});
              m.plan.blocks[0].commands[0].inputs[0].offset = 3;  // the row behind
            }),
            "'copy' (copy): a view reaches from item to item");
  EXPECT_EQ(why_not([](PlanMaker& m, const Expr&, const Ref& x, const Ref& y) {
              m.state("total", {0});
              m.add(Op::copy, {x}, {y});
            }),
            "the program has state");
  EXPECT_EQ(why_not([](PlanMaker& m, const Expr& n, const Ref& x, const Ref& y) {
              m.add(Op::copy, {x}, {y});
              m.number_output(plan::OutputSpec::Kind::integer, n);
            }),
            "output '' is made of it");
}

TEST(Independence, NothingIsPaddedWithoutProof) {
  PlanMaker m;
  const Expr n = m.symbol("n", 0, 64);
  const Ref x = m.input("x", {n, 3}), y = m.output("y", {n, 3});
  m.add(Op::softmax, {x}, {y}, {{"axis", Expr(0)}, {"log", false}});
  const auto plan = m.finish();
  const Module plain = runtime::make_module(plan, Device::cpu()), module = runtime::make_module(plan, Device::cpu());
  const auto graphs = runtime::enable_cudagraphs(module, {.buckets = {8}});
  EXPECT_EQ(values(call(module, {input(5)})[0]), values(call(plain, {input(5)})[0]));
  EXPECT_EQ(module.stats().bucketed_calls, 0u);
  EXPECT_EQ(count_of(module.stats().unbucketed_by, "not_independent: 'softmax' (softmax): it works across items"), 1u);
}

}  // namespace
}  // namespace reprise::test
