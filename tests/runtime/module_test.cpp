#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using sym::Expr;

/// y = (x + 1) * 2 + w over [s0, 3].
PlanMaker affine_plan() {
  PlanMaker m;
  const Expr s = m.symbol("s0", 0, 100);
  const Ref x = m.input("x", {s, 3}), a = m.temp({s, 3}), b = m.temp({s, 3}), y = m.output("y", {s, 3});
  Ref w = m.weight("w", {10, 20, 30});
  m.affine(x, a, 1, 1);
  m.affine(a, b, 2, 0);
  auto& command = m.add(core::Op::pointwise, {b, b}, {y}, {{"toy", std::string("sum")}});
  command.inputs[1] = {w.buffer, DType::f32, {3}, {1}, 0};  // the toy sums element by element: one row
  return m;
}

TEST(Module, RunsAStraightLine) {
  auto m = affine_plan();
  const Module module = module_of(m);
  EXPECT_EQ(values(call(module, {floats({1, 2, 3}, {1, 3})}).at(0)), (std::vector<float>{14, 26, 38}));
}

TEST(Module, ResultsAreNewTensorsOfExactSizes) {
  PlanMaker m;
  const Expr s = m.symbol("s0");
  const Ref x = m.input("x", {s}), y = m.output("y", {s});
  m.affine(x, y, 2, 0);
  const Module module = module_of(m);
  const auto first = call(module, {floats({1, 2, 3})});
  const auto second = call(module, {floats({5})});
  const auto third = call(module, {floats({7, 8, 9})});
  EXPECT_EQ(values(first[0]), (std::vector<float>{2, 4, 6}));  // not touched by the calls after it
  EXPECT_EQ(values(second[0]), (std::vector<float>{10}));
  EXPECT_EQ(values(third[0]), (std::vector<float>{14, 16, 18}));
  EXPECT_NE(std::get<Tensor>(first[0]).data(), std::get<Tensor>(third[0]).data());
}

TEST(Module, WritesIntoTheCallersTensors) {
  PlanMaker m;
  const Expr s = m.symbol("s0");
  const Ref x = m.input("x", {s}), y = m.output("y", {s}), z = m.output("z", {s});
  m.number_output(plan::OutputSpec::Kind::integer, s);
  m.affine(x, y, 2, 0);
  m.affine(x, z, 3, 0);
  const Module module = module_of(m);
  const std::vector<Tensor> in = {floats({1, 2})}, out = {floats({0, 0}), floats({0, 0})};
  module.run(in, out);
  EXPECT_EQ(values(out[0]), (std::vector<float>{2, 4}));
  EXPECT_EQ(values(out[1]), (std::vector<float>{3, 6}));
  EXPECT_EQ(module.output_sizes(in, 1), (std::vector<std::int64_t>{2}));
}

TEST(Module, EmptyAndZeroDimensionalInputsWork) {
  PlanMaker m;
  const Expr s = m.symbol("s0");
  const Ref x = m.input("x", {s, 2}), p = m.input("p", {}), y = m.output("y", {s, 2}), q = m.output("q", {});
  m.affine(x, y, 2, 0);
  m.affine(p, q, 2, 1);
  const Module module = module_of(m);
  const auto out = call(module, {floats({}, {0, 2}), floats({4}, {})});
  EXPECT_EQ(std::get<Tensor>(out[0]).sizes(), (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(std::get<Tensor>(out[1]).sizes(), std::vector<std::int64_t>{});
  EXPECT_EQ(values(out[1]), std::vector<float>{9});
}

TEST(Module, MemoryDoesNotGrowWithCalls) {
  PlanMaker m;
  const Expr s = m.symbol("s0");
  const Ref x = m.input("x", {s}), t = m.temp({s}), y = m.output("y", {s});
  m.affine(x, t, 2, 0);
  m.affine(t, y, 2, 0);
  const Module module = module_of(m);
  (void)call(module, {floats({})});
  const auto before = module.memory();
  for (int i = 0; i < 1000; ++i) (void)call(module, {floats({})});
  const auto after = module.memory();
  EXPECT_EQ(before.contexts, 1u);
  EXPECT_EQ(after.contexts, 1u);
  EXPECT_EQ(after.arena_committed_bytes, before.arena_committed_bytes);
  EXPECT_EQ(after.arena_reserved_bytes, before.arena_reserved_bytes);
}

// ---- inputs in all their forms ----

TEST(Module, TakesStridedAndMisalignedInputs) {
  PlanMaker m;
  const Ref x = m.input("x", {2, 3}), y = m.output("y", {2, 3});
  m.affine(x, y, 1, 0);
  const Module module = module_of(m);
  const Tensor base = floats({0, 1, 2, 3, 4, 5});
  EXPECT_EQ(values(call(module, {base.as_strided(std::vector<std::int64_t>{2, 3}, std::vector<std::int64_t>{1, 2})})[0]),
            (std::vector<float>{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(values(call(module, {base.as_strided(std::vector<std::int64_t>{2, 3}, std::vector<std::int64_t>{0, 1})})[0]),
            (std::vector<float>{0, 1, 2, 0, 1, 2}));
  std::vector<std::byte> bytes(25);
  const std::vector<float> want = {1, 2, 3, 4, 5, 6};
  std::memcpy(bytes.data() + 1, want.data(), 24);
  const std::vector<std::int64_t> sizes = {2, 3};
  EXPECT_EQ(values(call(module, {Tensor::from_blob(bytes.data() + 1, sizes, DType::f32)})[0]), want);
}

TEST(Module, TakesIntegersAsNumbersAndAsTensors) {
  PlanMaker m;
  const Expr n = m.symbol("n", 0, 50);
  m.integer_input("n", n);
  const Ref buffer = m.integer_buffer(0), seen = m.output("seen", {}, DType::i64), filled = m.output("filled", {n});
  m.number_output(plan::OutputSpec::Kind::integer, n * 2);
  m.add(core::Op::copy, {buffer}, {seen});
  m.add(core::Op::fill, {}, {filled}, {{"value", n}});
  const Module module = module_of(m);
  Tensor i32 = Tensor::empty({}, DType::i32);
  *i32.data_as<std::int32_t>() = 3;
  for (const auto& out : {call_with(module, {std::int64_t{3}}), call(module, {i32}), call_with(module, {i32})}) {
    EXPECT_EQ(values<std::int64_t>(out[0]), std::vector<std::int64_t>{3});
    EXPECT_EQ(values(out[1]), (std::vector<float>{3, 3, 3}));
    EXPECT_EQ(std::get<std::int64_t>(out[2]), 6);
  }
}

TEST(Module, ConstantsMayBeLeftOutOrPassed) {
  PlanMaker m;
  m.constant_input("flag", true);
  const Ref x = m.input("x", {1}), y = m.output("y", {1});
  m.constant_input("alpha", 2.0);
  m.constant_input("mode", std::string("sum"));
  m.constant_input("mask", std::monostate{});
  m.constant_input("n", std::int64_t{3});
  m.affine(x, y, 1, 1);
  const Module module = module_of(m);
  const Tensor one = floats({1});
  EXPECT_EQ(values(call(module, {one})[0]), std::vector<float>{2});
  EXPECT_EQ(values(call_with(module, {one})[0]), std::vector<float>{2});
  const auto pass = [&](const Argument& flag, const Argument& alpha, const Argument& mode, const Argument& mask, const Argument& n) {
    return call_with(module, {flag, one, alpha, mode, mask, n});
  };
  const std::string sum = "sum", mean = "mean";
  EXPECT_EQ(values(pass(true, 2.0, sum, std::monostate{}, std::int64_t{3})[0]), std::vector<float>{2});
  EXPECT_EQ(values(pass(true, std::int64_t{2}, sum, std::monostate{}, 3.0)[0]), std::vector<float>{2});  // as numbers compare in Python
  const auto refused = [&](auto... arguments) { return message_of<InvalidArgument>([&] { (void)pass(arguments...); }); };
  const std::monostate none;
  EXPECT_EQ(refused(false, 2.0, sum, none, std::int64_t{3}), "[run/inputs] input 'flag' was fixed at export (got False, want True)");
  EXPECT_EQ(refused(true, 2.5, sum, none, std::int64_t{3}), "[run/inputs] input 'alpha' was fixed at export (got 2.5, want 2)");
  EXPECT_EQ(refused(true, 2.0, mean, none, std::int64_t{3}), "[run/inputs] input 'mode' was fixed at export (got 'mean', want 'sum')");
  EXPECT_EQ(refused(true, 2.0, sum, one, std::int64_t{3}), "[run/inputs] input 'mask' was fixed at export (got a tensor, want None)");
  EXPECT_EQ(refused(true, 2.0, sum, none, std::int64_t{4}), "[run/inputs] input 'n' was fixed at export (got 4, want 3)");
  EXPECT_EQ(refused(true, 2.0, sum, none, true), "[run/inputs] input 'n' was fixed at export (got True, want 3)");
}

// ---- results ----

TEST(Module, EvaluatesNumbersFromSymbols) {
  using Kind = plan::OutputSpec::Kind;
  PlanMaker m;
  const Expr s = m.symbol("s0");
  m.input("x", {s});
  m.number_output(Kind::integer, s * 2 + 1);
  m.number_output(Kind::real, sym::true_div(s, 4));
  m.number_output(Kind::boolean, sym::compare(sym::Op::gt, s, 2));
  m.number_output(Kind::text, 0);
  m.number_output(Kind::none, 0);
  const Module module = module_of(m);
  const auto out = call(module, {floats({1, 2, 3})});
  EXPECT_EQ(std::get<std::int64_t>(out[0]), 7);
  EXPECT_EQ(std::get<double>(out[1]), 0.75);
  EXPECT_EQ(std::get<bool>(out[2]), true);
  EXPECT_EQ(std::get<std::string>(out[3]), "text");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(out[4]));
}

TEST(Module, ItemGivesScalarsOfEveryType) {
  using Kind = plan::OutputSpec::Kind;
  PlanMaker m;
  const Expr u = m.symbol("u0", std::numeric_limits<std::int64_t>::min(), sym::kUnbounded, true), f = m.symbol("u1", 0, 5, true),
             b = m.symbol("u2", 0, 1, true);
  m.item(m.input("i", {}, DType::i32), "u0");
  m.item(m.input("f", {}), "u1");
  m.item(m.input("b", {}, DType::boolean), "u2");
  m.number_output(Kind::integer, u);
  m.number_output(Kind::real, f);
  m.number_output(Kind::boolean, b);
  const Module module = module_of(m);
  Tensor i = Tensor::empty({}, DType::i32), flag = Tensor::empty({}, DType::boolean);
  *i.data_as<std::int32_t>() = -7;
  *flag.data_as<bool>() = true;
  const auto out = call(module, {i, floats({-0.25F}, {}), flag});
  EXPECT_EQ(std::get<std::int64_t>(out[0]), -7);
  EXPECT_EQ(std::get<double>(out[1]), -0.25);
  EXPECT_EQ(std::get<bool>(out[2]), true);
}

// ---- state ----

/// total += x; y = total
PlanMaker counter_plan() {
  PlanMaker m;
  const Ref x = m.input("x", {2}), total = m.state("total", {100, 200}), y = m.output("y", {2});
  m.sum(total, x, total);
  m.affine(total, y, 1, 0);
  return m;
}

TEST(Module, StateBelongsToTheModule) {
  auto m = counter_plan();
  const Module module = module_of(m);
  EXPECT_EQ(values(call(module, {floats({1, 2})})[0]), (std::vector<float>{101, 202}));
  EXPECT_EQ(values(call(module, {floats({1, 2})})[0]), (std::vector<float>{102, 204}));
  EXPECT_EQ(module.state_names(), std::vector<std::string>{"total"});
  const Tensor read = module.state("total");
  EXPECT_EQ(values(read), (std::vector<float>{102, 204}));
  (void)call(module, {floats({1, 2})});
  EXPECT_EQ(values(read), (std::vector<float>{102, 204}));  // a copy
  const Module same = module;
  EXPECT_EQ(values(same.state("total")), (std::vector<float>{103, 206}));
}

TEST(Module, StateCanBeSetAndReset) {
  auto m = counter_plan();
  Module module = module_of(m);
  module.set_state("total", floats({7, 0, 8, 0}).as_strided(std::vector<std::int64_t>{2}, std::vector<std::int64_t>{2}));
  EXPECT_EQ(values(call(module, {floats({1, 1})})[0]), (std::vector<float>{8, 9}));
  module.reset_state();
  EXPECT_EQ(values(module.state("total")), (std::vector<float>{100, 200}));
  EXPECT_EQ(message_of<InvalidArgument>([&] { (void)module.state("nothing"); }), "[run/state] no state of that name (got 'nothing', want one of: total)");
  EXPECT_EQ(message_of<ShapeError>([&] { module.set_state("total", floats({1})); }), "[run/state] 'total' has other sizes (got [1], want [2])");
  EXPECT_EQ(message_of<InvalidArgument>([&] { module.set_state("total", Tensor::zeros(std::vector<std::int64_t>{2}, DType::i64)); }),
            "[run/state] 'total' has another dtype (got i64, want f32)");
  EXPECT_EQ(values(module.state("total")), (std::vector<float>{100, 200}));
}

TEST(Module, ReplicasHaveTheirOwnStateOnTheirOwnDevice) {
  auto m = counter_plan();
  const Module module = module_of(m);
  (void)call(module, {floats({1, 2})});
  const Module replica = module.to(Device::cpu(1));
  EXPECT_EQ(replica.device(), Device::cpu(1));
  const auto out = call(replica, {floats({0, 0}, {2}, Device::cpu(1))});
  EXPECT_EQ(values(out[0]), (std::vector<float>{100, 200}));
  EXPECT_EQ(std::get<Tensor>(out[0]).device(), Device::cpu(1));
  EXPECT_EQ(values(module.state("total")), (std::vector<float>{101, 202}));
  EXPECT_THROW((void)module.to(Device::cuda(99)), DeviceError);
}

TEST(Module, WeightsAreUsedWhereTheyLie) {
  auto m = affine_plan();
  const Module module = module_of(m);
  (void)call(module, {floats({1, 2, 3}, {1, 3})});
  const auto memory = module.memory();
  EXPECT_EQ(memory.weight_bytes, 12u);
  EXPECT_EQ(memory.state_bytes, 0u);
  EXPECT_GT(memory.arena_committed_bytes, 0u);
  EXPECT_GE(memory.arena_reserved_bytes, memory.arena_committed_bytes);
  m.plan.weights[0].data.data_as<float>()[0] = 1000;  // the plan shares the test's tensor
  EXPECT_EQ(values(call(module, {floats({1, 2, 3}, {1, 3})})[0])[0], 1004);
}

// ---- mutated inputs ----

/// cache += x; y = cache * 2
PlanMaker mutating_plan() {
  PlanMaker m;
  const Ref cache = m.input("cache", {2, 2}, DType::f32, true), x = m.input("x", {2, 2}), y = m.output("y", {2, 2});
  m.sum(cache, x, cache);
  m.affine(cache, y, 2, 0);
  return m;
}

TEST(Module, WritesMutatedInputsIntoTheCallersTensor) {
  auto m = mutating_plan();
  const Module module = module_of(m);
  const Tensor cache = floats({1, 2, 3, 4}, {2, 2}), x = floats({10, 10, 10, 10}, {2, 2});
  const auto out = call(module, {cache, x});
  EXPECT_EQ(values(cache), (std::vector<float>{11, 12, 13, 14}));
  EXPECT_EQ(values(out[0]), (std::vector<float>{22, 24, 26, 28}));
  EXPECT_EQ(values(x), (std::vector<float>{10, 10, 10, 10}));
}

TEST(Module, WritesMutatedInputsThroughTheirStrides) {
  auto m = mutating_plan();
  const Module module = module_of(m);
  const Tensor base = floats({1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor cache = base.as_strided(std::vector<std::int64_t>{2, 2}, std::vector<std::int64_t>{1, 4});
  const auto out = call(module, {cache, floats({10, 20, 30, 40}, {2, 2})});
  EXPECT_EQ(values(base), (std::vector<float>{11, 32, 3, 4, 25, 46, 7, 8}));
  EXPECT_EQ(values(out[0]), (std::vector<float>{22, 50, 64, 92}));
}

TEST(Module, MutatedInputsMayShareMemoryWithOthers) {
  auto m = mutating_plan();
  const Module module = module_of(m);
  const Tensor both = floats({1, 2, 3, 4}, {2, 2});
  const auto out = call(module, {both, both});
  EXPECT_EQ(values(both), (std::vector<float>{2, 4, 6, 8}));
  EXPECT_EQ(values(out[0]), (std::vector<float>{4, 8, 12, 16}));
}

TEST(Module, RefusesMutatedInputsWhoseElementsShareMemory) {
  auto m = mutating_plan();
  const Module module = module_of(m);
  const Tensor expanded = floats({1, 2}).as_strided(std::vector<std::int64_t>{2, 2}, std::vector<std::int64_t>{0, 1});
  EXPECT_EQ(message_of<InvalidArgument>([&] {
              (void)call(module, {expanded, floats({1, 2, 3, 4}, {2, 2})});
            }),
            "[run/inputs] input 'cache' is written by the call, but its elements share memory (got stride 0 in dimension 0)");
}

TEST(Module, OutputsMayLieOnInputs) {
  PlanMaker m;
  const Ref a = m.input("a", {3}), b = m.input("b", {3}), y = m.output("y", {3}), z = m.output("z", {3});
  m.affine(a, y, 2, 0);
  m.sum(a, b, z);  // reads both inputs after y is written
  const Module module = module_of(m);
  const std::vector<Tensor> in = {floats({1, 2, 3}), floats({10, 20, 30})};
  const std::vector<Tensor> out = {in[0], in[1]};
  module.run(in, out);
  EXPECT_EQ(values(out[0]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(values(out[1]), (std::vector<float>{11, 22, 33}));
}

TEST(Module, RefusesOutputsOnInputsThatItWrites) {
  auto m = mutating_plan();
  const Module module = module_of(m);
  const std::vector<Tensor> in = {floats({1, 2, 3, 4}, {2, 2}), floats({0, 0, 0, 0}, {2, 2})};
  const std::vector<Tensor> out = {in[0]};
  EXPECT_EQ(message_of<InvalidArgument>([&] { module.run(in, out); }), "[run/outputs] an output shares memory with input 'cache', which the call writes");
  EXPECT_EQ(values(in[0]), (std::vector<float>{1, 2, 3, 4}));
}

// ---- signature ----

TEST(Module, TellsItsSignature) {
  PlanMaker m;
  const Expr s = m.symbol("s0", 2, 64);
  m.constant_input("flag", true);
  const Ref x = m.input("x", {s, 3});
  m.integer_input("n", s);
  const Ref y = m.output("y", {s * 2 + 1});
  m.add(core::Op::fill, {}, {y}, {{"value", 1.0}});
  m.plan.profiles = {{{2}, {8}, {16}}, {{16}, {32}, {64}}};
  const Module module = module_of(m);
  const auto in = module.inputs(), out = module.outputs();
  ASSERT_EQ(in.size(), 3u);
  EXPECT_EQ(in[0].kind, SignatureEntry::Kind::constant);
  EXPECT_EQ(in[0].constant, "True");
  EXPECT_EQ(in[1].name, "x");
  EXPECT_EQ(in[1].sizes, (std::vector<std::string>{"s0", "3"}));
  EXPECT_EQ(in[1].min, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(in[1].opt, (std::vector<std::int64_t>{8, 3}));
  EXPECT_EQ(in[1].max, (std::vector<std::int64_t>{16, 3}));
  EXPECT_EQ(in[2].kind, SignatureEntry::Kind::integer);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].min, std::vector<std::int64_t>{5});
  EXPECT_EQ(out[0].opt, std::vector<std::int64_t>{17});
  EXPECT_EQ(out[0].max, std::vector<std::int64_t>{33});
  EXPECT_EQ(x.sizes.size(), 2u);
}

}  // namespace
}  // namespace reprise::test
