// module.stats(): every count moves when what it counts happens, and only then.
#include "reprise/stats.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "reprise/runtime.h"
#include "runtime/helpers.h"

namespace reprise::test {
namespace {

using sym::Expr;

class Stats : public testing::Test {
 protected:
  void TearDown() override { runtime::set_cudagraphs_mode(false); }
};

/// y = (x + 1) * 2 over [s].
Module chain() {
  PlanMaker m;
  const Expr s = m.symbol("s", 0, 1000);
  const Ref x = m.input("x", {s}), a = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 2, 0);
  return module_of(m);
}

std::uint64_t count_of(const std::vector<ReasonCount>& list, const std::string& reason) {
  for (const auto& entry : list)
    if (entry.reason == reason) return entry.count;
  return 0;
}

TEST_F(Stats, ANewModuleDidNothing) {
  const ModuleStats stats = chain().stats();
  EXPECT_EQ(stats.calls + stats.contexts + stats.records + stats.plain_enqueues + stats.output_allocations, 0u);
  EXPECT_TRUE(stats.records_by.empty());
  EXPECT_TRUE(stats.islands.empty());
}

TEST_F(Stats, PlainCalls) {
  const Module module = chain();
  for (int i = 0; i < 5; ++i) (void)call(module, {floats({1, 2})});
  (void)call(module, {floats({1})});
  const ModuleStats stats = module.stats();
  EXPECT_EQ(stats.calls, 6u);
  EXPECT_EQ(stats.failed_calls, 0u);
  EXPECT_EQ(stats.plain_enqueues, 6u);
  EXPECT_EQ(stats.replays, 0u);
  EXPECT_EQ(stats.contexts, 1u);
  EXPECT_EQ(stats.shapes_bound, 2u);
  EXPECT_EQ(stats.stages_bound, 2u);
  EXPECT_EQ(stats.output_allocations, 6u);
}

TEST_F(Stats, ShapesThatTakeTurnsRecordOnceEach) {
  const Module module = chain();
  runtime::set_cudagraphs_mode(true);
  for (int i = 0; i < 1000; ++i) {
    const Tensor x = i % 2 == 0 ? floats({1, 2}) : floats({1, 2, 3});
    EXPECT_EQ(values(call(module, {x})[0])[1], 6);
  }
  const ModuleStats stats = module.stats();
  EXPECT_EQ(stats.calls, 1000u);
  EXPECT_EQ(stats.records, 2u);
  EXPECT_EQ(count_of(stats.records_by, "first_sight"), 2u);
  EXPECT_EQ(stats.replays, 1000u);
  EXPECT_EQ(stats.plain_enqueues, 0u);
  EXPECT_EQ(stats.recordings_held, 2u);
  EXPECT_GT(stats.recording_bytes, 0u);
}

TEST_F(Stats, AddressesThatChangeArePatchedAndNeverRecordedAnew) {
  const Module module = chain();
  runtime::set_cudagraphs_mode(true);
  std::vector<Tensor> in, out;
  for (int i = 0; i < 10; ++i) {
    in.push_back(floats({static_cast<float>(i), 1}));
    out.push_back(floats({0, 0}));
  }
  for (std::size_t i = 0; i < 100; ++i) {
    module.run(std::span(&in[i % 10], 1), std::span(&out[i % 10], 1));
    ASSERT_EQ(values(out[i % 10])[0], 2 * (static_cast<float>(i % 10) + 1));
  }
  ModuleStats stats = module.stats();
  EXPECT_EQ(stats.records, 1u);
  EXPECT_EQ(stats.replays, 100u);
  EXPECT_EQ(stats.patched_addresses, 2u * 99);
  EXPECT_EQ(stats.staged_inputs + stats.staged_outputs + stats.staged_bytes, 0u);
  for (int i = 0; i < 10; ++i) module.run(std::span(&in[0], 1), std::span(&out[0], 1));
  EXPECT_EQ(module.stats().patched_addresses, 2u * 100);  // the first of the ten alone
}

TEST_F(Stats, ShapesThatAContextCannotHoldAreEvictedWithTheirRecordings) {
  const Module module = chain();
  runtime::set_cudagraphs_mode(true);
  for (std::size_t n = 1; n <= 20; ++n) (void)call(module, {floats(std::vector<float>(n))});
  const ModuleStats stats = module.stats();
  EXPECT_EQ(stats.shapes_bound, 20u);
  EXPECT_EQ(stats.shapes_held, 16u);
  EXPECT_EQ(stats.shapes_evicted, 4u);
  EXPECT_EQ(stats.recordings_held, 16u);
  EXPECT_EQ(stats.records, 20u);
}

TEST_F(Stats, CopiesHaveTheirReasons) {
  PlanMaker m;
  const Expr n = m.symbol("n", 0, 9);
  const Ref x = m.input("x", {2}), cache = m.input("cache", {2}, DType::f32, true);
  m.integer_input("n", n);
  const Ref number = m.integer_buffer(2), y = m.output("y", {2}), seen = m.output("seen", {}, DType::i64);
  m.sum(x, cache, cache);
  m.affine(cache, y, 1, 0);
  m.add(core::Op::copy, {number}, {seen});
  const Module module = module_of(m);
  const auto run = [&](const Tensor& a, const Tensor& b) { (void)call_with(module, {a, b, std::int64_t{3}}); };
  const auto staged = [&](const char* reason) { return count_of(module.stats().staged_by, reason); };
  const Tensor wide = floats({1, 2, 3, 4}), plain = floats({1, 2});
  run(plain, floats({0, 0}));
  EXPECT_EQ(staged("integer"), 1u);
  EXPECT_EQ(module.stats().staged_inputs, 1u);
  run(wide.as_strided(std::vector<std::int64_t>{2}, std::vector<std::int64_t>{2}), floats({0, 0}));
  EXPECT_EQ(staged("not_contiguous"), 1u);
  run(plain, plain);
  EXPECT_EQ(staged("overlaps_input"), 1u);
  alignas(64) std::byte bytes[16] = {};
  run(Tensor::from_blob(bytes + 1, std::vector<std::int64_t>{2}, DType::f32), floats({0, 0}));
  EXPECT_EQ(staged("misaligned"), 1u);
  EXPECT_EQ(module.stats().staged_inputs, 4u + 3u);  // an integer each time
}

TEST_F(Stats, AnOutputOnAnInputIsACopy) {
  const Module module = chain();
  const std::vector<Tensor> x = {floats({1, 2})};
  module.run(x, x);
  EXPECT_EQ(count_of(module.stats().staged_by, "overlaps_output"), 1u);
}

TEST_F(Stats, SizesFromDataNameTheirIslandAndRecordAnewWhenTheyChange) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 0, 8, true);
  const Ref x = m.input("x", {8}), y = m.output("y", {u, 1}, DType::i64, 64), count = m.temp({1}, DType::i64), w = m.output("w", {u}, DType::f32, 32);
  m.nonzero(x, y, count, "u0");
  m.add(core::Op::fill, {}, {w}, {{"value", u}});
  const Module module = module_of(m);
  runtime::set_cudagraphs_mode(true);
  for (const auto& in : {std::vector<float>{1, 0, 0, 0, 0, 0, 0, 0}, {0, 2, 0, 0, 0, 0, 0, 0}, {3, 3, 0, 0, 0, 0, 0, 0}}) (void)call(module, {floats(in)});
  const ModuleStats stats = module.stats();
  ASSERT_EQ(stats.islands.size(), 1u);
  EXPECT_EQ(stats.islands[0].op, "nonzero");
  EXPECT_EQ(stats.islands[0].why, "the host needs u0");
  EXPECT_EQ(stats.islands[0].runs, 3u);
  EXPECT_EQ(count_of(stats.records_by, "first_sight"), 2u);
  EXPECT_EQ(count_of(stats.records_by, "data_size"), 1u);
  EXPECT_EQ(stats.recordings_held, 2u);
}

TEST_F(Stats, FailedCallsAreCounted) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), y = m.output("y", {1});
  m.demand_positive(x);
  m.affine(x, y, 2, 0);
  const Module module = module_of(m);
  EXPECT_THROW((void)call(module, {floats({-1})}), InvalidArgument);
  (void)call(module, {floats({1})});
  const std::vector<Tensor> in = {floats({1})}, wrong = {floats({0, 0})};
  EXPECT_THROW(module.run(in, wrong), ShapeError);
  EXPECT_EQ(module.stats().calls, 3u);
  EXPECT_EQ(module.stats().failed_calls, 2u);
}

TEST_F(Stats, MemoryGrowsOnceForEachLargerShape) {
  PlanMaker m;
  const Expr s = m.symbol("s", 0, 1 << 24);
  const Ref x = m.input("x", {s}), a = m.temp({s}), y = m.output("y", {s});
  m.affine(x, a, 1, 1);
  m.affine(a, y, 2, 0);
  const Module module = module_of(m);
  const auto growths_of = [&](std::size_t n) {
    const auto before = module.stats().memory_growths;
    for (int i = 0; i < 3; ++i) (void)call(module, {floats(std::vector<float>(n))});
    return module.stats().memory_growths - before;
  };
  EXPECT_EQ(growths_of(10), 1u);
  EXPECT_EQ(growths_of(1 << 20), 1u);
  EXPECT_EQ(growths_of(20), 0u);
}

TEST_F(Stats, JsonHoldsEveryCount) {
  const Module module = chain();
  runtime::set_cudagraphs_mode(true);
  for (int i = 0; i < 3; ++i) (void)call(module, {floats({1, 2})});
  const base::JsonDocument document(to_json(module.stats()), "stats");
  const auto root = document.root();
  EXPECT_EQ(root.at("calls").as_int(), 3);
  EXPECT_EQ(root.at("replays").as_int(), 3);
  EXPECT_EQ(root.at("records_by").at("first_sight").as_int(), 1);
  EXPECT_EQ(root.at("output_allocations").as_int(), 3);
  EXPECT_EQ(root.at("islands").size(), 0u);
}

}  // namespace
}  // namespace reprise::test
