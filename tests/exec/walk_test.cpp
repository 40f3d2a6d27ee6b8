#include "exec/walk.h"

#include <gtest/gtest.h>

#include "device/device.h"
#include "support/plan_maker.h"

namespace reprise::exec {
namespace {

using sym::Expr;
using test::PlanMaker;
using test::Ref;
using Sizes = std::vector<std::int64_t>;

Executable executable(PlanMaker& m) { return {m.finish(), device::open(Device::cpu()), {}, test::make_toy_step}; }

/// The op and the first output's sizes (or the first input's) of every visited command.
struct Visited {
  std::vector<std::pair<core::Op, Sizes>> all;
  Visit visit() {
    return [this](const plan::Command& command, const kernels::StepSpec& spec) {
      const auto shape = (spec.outputs.empty() ? spec.inputs : spec.outputs)[0].shape();
      all.emplace_back(command.op, Sizes(shape.begin(), shape.end()));
    };
  }
};

using List = std::vector<std::pair<core::Op, Sizes>>;

/// The indices of what is not zero among `elements` elements, copied.
void copy_nonzero(PlanMaker& m, std::int64_t elements) {
  const Expr u = m.symbol("u0", 0, 100, true);
  const Ref x = m.input("x", {elements}), count = m.temp({1}, DType::i64), indices = m.dynamic_temp({u, 1}, DType::i64);
  const Ref y = m.output("y", {u, 1}, DType::i64, elements * 8);
  m.nonzero(x, indices, count, "u0");
  m.add(core::Op::copy, {indices}, {y});
}

TEST(Walk, VisitsEveryProfilesOptShapesThenTheExtremes) {
  PlanMaker m;
  const Expr n = m.symbol("s0", 1, 64);
  const Ref x = m.input("x", {n, 2}), y = m.output("y", {n, 2});
  m.affine(x, y, 2, 0);
  m.plan.profiles = {{{1}, {4}, {8}}, {{16}, {16}, {sym::kUnbounded}}};
  Visited visited;
  walk_profiles(executable(m), visited.visit());
  const auto at = [](std::int64_t rows) { return std::pair(core::Op::pointwise, Sizes{rows, 2}); };
  EXPECT_EQ(visited.all, (List{at(4), at(16), at(1), at(8)}));  // what is opt already is visited once, what has no bound not at all
}

TEST(Walk, CountsWhatDataDefinesAsItsBound) {
  PlanMaker m;
  copy_nonzero(m, 6);
  Visited visited;
  walk(executable(m), Sizes{0}, visited.visit());
  EXPECT_EQ(visited.all, (List{{core::Op::nonzero, {6, 1}}, {core::Op::copy, {6, 1}}}));
}

TEST(Walk, ProfilesSeeFewCountedElementsToo) {
  PlanMaker m;
  copy_nonzero(m, 50);
  m.plan.profiles = {{{0}, {0}, {0}}};
  Visited visited;
  walk_profiles(executable(m), visited.visit());
  std::vector<std::int64_t> copied;
  for (const auto& [op, sizes] : visited.all)
    if (op == core::Op::copy) copied.push_back(sizes[0]);
  EXPECT_EQ(copied, (std::vector<std::int64_t>{50, 1, 3, 6, 12, 24}));
}

TEST(Walk, TakesWhatTheExportSawForValues) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 2, 100, true);
  m.plan.symbols = {};
  m.plan.symbols.add({.name = "u0", .range = {2, 100}, .unbacked = true, .hint = 7});
  const Ref x = m.input("x", {1}, DType::i64), a = m.input("a", {50}), y = m.output("y", {u}, DType::f32, Expr(400));
  m.item(x, "u0");
  m.affine({a.buffer, DType::f32, {u}}, y, 1, 0);
  Visited visited;
  walk(executable(m), Sizes{0}, visited.visit());
  EXPECT_EQ(visited.all, (List{{core::Op::pointwise, {7}}}));
}

TEST(Walk, LeavesOutWhatDoesNotFitTheGuesses) {
  PlanMaker m;
  const Expr u = m.symbol("u0", 2, 100, true);
  const Ref x = m.input("x", {1}, DType::i64), a = m.input("a", {50}), y = m.output("y", {u}, DType::f32, Expr(400)), z = m.output("z", {50});
  m.item(x, "u0");
  // 2 rows of a hundred: outside of its buffer, whatever the call finds.
  m.add(core::Op::copy, {{a.buffer, DType::f32, {u * Expr(100)}}}, {y});
  m.affine(a, z, 1, 0);
  Visited visited;
  walk(executable(m), Sizes{0}, visited.visit());
  EXPECT_EQ(visited.all, (List{{core::Op::pointwise, {50}}}));
}

TEST(Walk, EntersBothBranchesOnce) {
  PlanMaker m;
  const Ref x = m.input("x", {1}), p = m.temp({1}, DType::boolean), y = m.output("y", {1});
  const int a = m.block(), b = m.block();
  m.less(x, p, 0);
  m.cond(p, {y}, a, b);
  m.affine(x, y, 1, 0, a);
  m.affine(x, y, -1, 0, b);
  m.affine(y, y, 1, 1);
  Visited visited;
  walk(executable(m), Sizes{}, visited.visit());
  EXPECT_EQ(visited.all.size(), 4u);
}

}  // namespace
}  // namespace reprise::exec
