#include "runtime/mode_checker/programs.h"

#include <cstdlib>
#include <stdexcept>

#include "runtime/helpers.h"

namespace reprise::test::checker {
namespace {

using core::Instr;
using core::ScalarOp;
using sym::Expr;

core::Attrs binary(ScalarOp op, DType result) {
  std::vector<Instr> code = {{.op = ScalarOp::input}, {.op = ScalarOp::input, .imm_int = 1}, {.op = op, .type = result, .a = 0, .b = 1}};
  return {{"program", std::make_shared<const core::ScalarProgram>(core::ScalarProgram{{DType::f32, DType::f32}, {}, std::move(code), {2}})}};
}

/// Recordings fail where the vector's length is even.
ForeignKernel twice_kernel() {
  return {.schema = "checker::twice(Tensor x) -> Tensor",
          .host =
              [](const ForeignCall& call) {
                for (std::int64_t i = 0; i < call.input(0).numel(); ++i) call.output().data_as<float>()[i] = 2 * call.input(0).data_as<float>()[i];
              },
          .before_capture =
              [](const ForeignCall& call) {
                if (call.input(0).numel() % 2 == 0) throw std::runtime_error("an even length");
              }};
}
ForeignKernel advance_kernel() {
  return {.schema = "checker::advance_(Tensor(a!) x, Tensor step) -> ()", .host = [](const ForeignCall& call) {
            for (std::int64_t i = 0; i < call.input(0).numel(); ++i) call.input(0).data_as<float>()[i] += call.input(1).data_as<float>()[i];
          }};
}

}  // namespace

Device checked_device() {
  const char* named = std::getenv("REPRISE_TEST_DEVICE");
  return Device::parse(named == nullptr ? "cpu" : named);
}

Module make_program(Program program) {
  PlanMaker m;
  m.plan.settings.enable_weight_streaming = true;
  const Expr s = m.symbol("s", 0, 8);
  const Ref x = m.input("x", {s}), cache = m.input("cache", {4}, DType::f32, true), total = m.state("total", {0, 0, 0, 0});
  const Ref t = m.temp({s}), y = m.output("y", {s}), after = m.output("after", {4}), twice = m.output("twice", {s});
  const auto add = binary(ScalarOp::add, DType::f32);
  m.plan.profiles = {{{0}, {2}, {4}}, {{3}, {4}, {8}}};  // of s
  if (program == kForeign)
    m.foreign("checker.twice.default", {{"x", x}}, {t});
  else
    m.add(core::Op::pointwise, {x, x}, {t}, add);
  m.add(core::Op::pointwise, {t, t}, {y}, add).segment = program == kBroken ? 1 : 0;
  if (program == kBroken) m.plan.segments.push_back({false, "in fallback_ops"});
  m.add(core::Op::pointwise, {x, x}, {twice}, add);
  const auto accumulate = [&](const Ref& to, const Ref& from) {
    if (program == kForeign)
      m.foreign("checker.advance_.default", {{"x", to}, {"step", from}}, {}, {}, {0});
    else
      m.add(core::Op::pointwise, {to, from}, {to}, add);
  };
  accumulate(total, cache);
  for (const Values& part : {Values{1, 1, 1, 1}, Values{0, 1, 1, 2}, Values{0, 0, 1, 1}}) accumulate(cache, m.weight("part", part));
  m.add(core::Op::copy, {total}, {after});
  if (program != kDynamic) return runtime::make_module(m.finish(), checked_device(), {}, {.foreign_kernels = {twice_kernel(), advance_kernel()}});
  const Expr u = m.symbol("u0", 0, 8, true);
  for (auto& profile : m.plan.profiles)
    for (auto* bounds : {&profile.min, &profile.opt, &profile.max}) bounds->push_back(bounds == &profile.max ? 8 : 0);
  const Ref positions = m.output("positions", {u, 1}, DType::i64, s * 8), count = m.temp({1}, DType::i64), branch = m.output("branch", {4});
  m.nonzero(x, positions, count, "u0");
  const Ref w = m.weight("w", {1, 2, 3, 4}), limit = m.weight("limit", {kLimit}), pred = m.temp({}, DType::boolean);
  m.add(core::Op::pointwise, {{total.buffer, DType::f32, {}}, {limit.buffer, DType::f32, {}}}, {pred}, binary(ScalarOp::lt, DType::boolean));
  const int then_block = m.block(), else_block = m.block();
  m.cond(pred, {branch}, then_block, else_block);
  m.add(core::Op::pointwise, {total, w}, {branch}, add, then_block);
  m.add(core::Op::pointwise, {total, total}, {branch}, add, else_block);
  return runtime::make_module(m.finish(), checked_device());
}

}  // namespace reprise::test::checker
